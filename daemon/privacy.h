/*
 * privacy: what of the daemon no job may reach: its memory, and its files.
 *
 * Commands run as the daemon's own user, and for that user the kernel would open /proc/PID/mem, environ and fd of each of
 * our processes, and let it trace them (privacy.c). Tasks that run in our own processes read with all that we may read:
 * they open files by privacy_open() alone (privacy_files.c). No libevent.
 */
#ifndef DAEMON_PRIVACY_H
#define DAEMON_PRIVACY_H

/*
 * Closes the memory of this process, and of what it forks, to other processes of the same user, and it leaves no core. A
 * program that is executed is open again. In builds with sanitizers nothing is done: they look at their process as a
 * tracer.
 */
void privacy_close_memory(void);

/*
 * From now on no task reads what is in the folder or below it, or the file, by whatever name. A folder is there already
 * and stays (-1 with errno when it is not); a file may come, go and be replaced. While there is one thread, before the
 * spawner, which hands it down.
 */
int privacy_keep_folder(const char *path) __attribute__((warn_unused_result));
void privacy_keep_file(const char *path);
/* At the end of the daemon, and of tests. */
void privacy_keep_nothing(void);

/*
 * Opens a file for a task to read: a descriptor, -1 with errno, or PRIVACY_KEPT for what is kept, what tells of a process
 * (/proc/PID/…), and what has no place of which that could be said (deleted, or no file). What is kept is not opened at
 * all. Any thread.
 */
#define PRIVACY_KEPT (-2)
int privacy_open(const char *path) __attribute__((warn_unused_result));

#endif
