/*
 * locks: one daemon a store, and no tree of an old daemon's jobs beside a new one.
 *
 * daemon.lock, and the folder itself, are the daemon's alone: whoever has them owns the store. tree.lock is held by the spawner and all workers too (flock passes over fork), so
 * it is free only when all of them are gone. It also keeps the mark by which this store's commands are known. Before any thread.
 */
#ifndef DAEMON_LOCKS_H
#define DAEMON_LOCKS_H

#include <stdint.h>

struct locks {
	int dir;         /* the state folder */
	int daemon_lock;
	int tree_lock;
	int leaders;     /* leaders.h */
	char mark[64];   /* "FUTURED_TREE=…" */
};

/*
 * Makes the folder if it is not there, takes both locks, and ends what may be left of an earlier daemon's trees. 0, or an exit status with
 * *ret_reason malloc'ed: 75 another daemon has the store, or its jobs cannot be ended; 78 the folder cannot be used.
 */
int locks_take(const char *state_dir, struct locks *ret_locks, char **ret_reason);
void locks_close(struct locks *locks);

/* Takes the flock of a descriptor: 0, or -1 with errno, EWOULDBLOCK when somebody else has it for so long. */
int locks_wait(int fd, int64_t ms);

#endif
