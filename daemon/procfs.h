/*
 * procfs: what /proc tells of other processes, and holding a process so that its pid cannot come to mean another one.
 *
 * All of it may be out of date when it is returned, but for one's own children, who stay until one waits for them. No
 * threads.
 */
#ifndef DAEMON_PROCFS_H
#define DAEMON_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procfs_stat {
	pid_t parent;
	bool ended;	     /* a zombie, or gone but for its entry */
	uint64_t start_time; /* in clock ticks since boot */
};

/* 0, or -1 when there is no such process. */
int procfs_stat(pid_t pid, struct procfs_stat *ret_stat);
/* The children of a process, in the order in which they came to it; malloc'ed. How many; 0 also when it is gone. */
size_t procfs_children(pid_t pid, pid_t **ret_children);
/* All processes that can be seen; malloc'ed. */
size_t procfs_all(pid_t **ret_pids);
/* Whether the environment that a process was started with has the entry ("NAME=value"). false where one may not look.
 */
bool procfs_has_env(pid_t pid, const char *entry);
/* How many threads the calling process has; 0 where /proc does not tell. */
size_t procfs_threads(void);
/* Whether this kernel lists children. */
bool procfs_works(void);

/*
 * Holds a process: a descriptor (readable when the process has ended), PROCFS_UNHELD on a kernel without pidfds, or -1
 * with errno. What was found out about the pid before must be asked for again once it is held.
 */
#define PROCFS_UNHELD (-2)
int procfs_hold(pid_t pid);
/* Signals what is held. 0 or -1 with errno. */
int procfs_signal(int hold, pid_t pid, int sig);
void procfs_release(int hold);

#endif
