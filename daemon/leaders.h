/*
 * leaders: a small file with the pid and start time of each slot's running command.
 *
 * If the daemon, the spawner and all workers die in one moment, nobody is left to end the commands; the next start
 * finds their leaders here. No fsync: what the page cache loses, the machine lost, and no process lives through that.
 * The boot id in its head says whether the content is of this boot. One writer a slot (the worker), one reader (a
 * start).
 */
#ifndef DAEMON_LEADERS_H
#define DAEMON_LEADERS_H

#include <stddef.h>
#include <sys/types.h>

#include "daemon/proctree.h"

/* Opens or makes the file below dir; O_CLOEXEC. fd or -1 with errno. */
int leaders_open(int dir, const char *name);
/* What stands in it, if it is of this boot: *ret_leaders is malloc'ed (NULL when none). Number, or -1 with errno. */
ssize_t leaders_read(int fd, struct proctree_leader **ret_leaders);
/* Empties it for slots slots and writes this boot's id. 0 or -1 with errno. */
int leaders_reset(int fd, unsigned slots);
/*
 * Worker: notes (pid > 0) or clears (0) the leader of its slot. Errors are ignored: the environment mark is the other
 * net.
 */
void leaders_note(int fd, unsigned slot, pid_t pid);

#endif
