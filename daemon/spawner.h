/*
 * spawner: the small process that forks, signals and reaps the workers.
 *
 * It is forked before the daemon has a thread, an event base or a database, so that a fork costs little and copies
 * nothing. Between it and the daemon run fixed records over one SOCK_SEQPACKET pair. It keeps a table slot -> pid; the
 * daemon names slots, never pids. When a worker is gone, what it left behind (it lands at the spawner, a subreaper) is
 * killed and reaped first, and only then the daemon hears `gone`: a gone slot has an empty tree. When the daemon's end
 * closes, it kills all and exits. No threads, no libevent, no SQLite. The daemon's end is spawnlink.h.
 */
#ifndef DAEMON_SPAWNER_H
#define DAEMON_SPAWNER_H

#include <stdint.h>
#include <sys/types.h>

#include "daemon/slots.h"
#include "daemon/task.h"

struct spawner_config {
	unsigned slots;
	struct slots *shared;
	const struct task *const *tasks;
	int output_dir;
	int leaders_fd;
	int cgroup; /* the folder of control groups, or -1 */
	int tree_lock;	      /* held by spawner and workers for life */
	const int *close_fds; /* closed first in the child: daemon.lock and the like */
	unsigned n_close_fds;
	const char *mark; /* "FUTURED_TREE=…" */
	int64_t max_output;
	size_t max_result;
	int64_t grace_ms;
	uint64_t nofile_soft; /* RLIMIT_NOFILE's soft limit to restore in commands; 0: leave */
};

enum spawner_verb { SPAWNER_SPAWN = 1, SPAWNER_KILL = 2 };
struct spawner_order { /* daemon → spawner; SPAWN passes the worker's end of the channel */
	uint32_t verb;
	uint32_t slot;
};

enum spawner_news { SPAWNER_SPAWNED = 1, SPAWNER_FAILED = 2, SPAWNER_GONE = 3 };
struct spawner_note { /* spawner → daemon */
	uint32_t news;
	uint32_t slot;
	int32_t pid;	/* SPAWNED */
	int32_t status; /* GONE: as waitpid gave it; FAILED: errno of fork */
	/* GONE: what the process took in its life, and what the tree took that it left behind (not known where several
	 * workers ended in one moment). */
	struct usage used, left;
};

/*
 * Forks the spawner: 0, its pid and the daemon's end of the pair (non-blocking, CLOEXEC) in the parent, -1 with errno
 * on failure; never returns in the child. The caller has one thread (asserted).
 */
int spawner_fork(const struct spawner_config *config, pid_t *ret_pid, int *ret_fd) __attribute__((warn_unused_result));

#endif
