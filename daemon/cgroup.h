/*
 * cgroup: a control group for each running command, where a part of the cgroup v2 tree has been delegated to the daemon:
 * all of a tree is killed in one step, its memory and the number of its processes are limited, and that it ran out of
 * memory is known.
 *
 * Everything goes by descriptors of folders; -1 stands for "there is none" and is taken everywhere. Where a file is
 * missing (a controller is not there, the kernel is old) that part is left out. No threads, no libevent.
 *
 *	ROOT/daemon    the daemon, its spawner and its workers: a group with controllers may have no processes of its own
 *	ROOT/slot-N    the tree of the command that slot N supervises
 */
#ifndef DAEMON_CGROUP_H
#define DAEMON_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#define CGROUP_PIDS_MAX 4096 /* processes and threads of one command's tree */

/*
 * The folder of the group that we are in, if its manager has delegated it (the attribute user.delegate or
 * trusted.delegate, as systemd sets it) and it can be written: malloc'ed, or NULL. own is the text of
 * /proc/self/cgroup, mounts are places where a v2 tree may be mounted, ending with NULL; both NULL: this machine's.
 */
char *cgroup_find(const char *own, const char *const *mounts);
/*
 * Daemon: opens the folder, and makes ROOT/daemon, which nobody but this user (and root) can open. Whoever has the flock of
 * *ret_lock, its descriptor, has the slots: two daemons would end each other's commands. The descriptor of the folder, or -1
 * with errno. Both are O_CLOEXEC.
 */
int cgroup_open(const char *path, int *ret_lock);
/*
 * Daemon, with one thread, no child, and the lock: moves us into ROOT/daemon, hands the controllers down, and ends and
 * removes what an earlier life has left in slots.
 */
void cgroup_take(int root, int lock);

/*
 * Worker: a new, empty group for the slot's next command, with its limits: memory_mib (0: none), and CGROUP_PIDS_MAX.
 * The descriptor of its folder, or -1: then it runs without. *ret_memory: its memory is limited.
 */
int cgroup_make(int root, unsigned slot, int64_t memory_mib, bool *ret_memory);
/* Sets the limits on a group; whether that of the memory holds. */
bool cgroup_limit(int group, int64_t memory_mib);
/* Kills all that is in it, also what is being forked. */
void cgroup_kill(int group);
/* Whether the kernel has killed in it for want of memory. */
bool cgroup_ran_out_of_memory(int group);
/* Closes group and removes it; it must be empty. */
void cgroup_remove(int root, unsigned slot, int group);

#endif
