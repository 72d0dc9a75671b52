/*
 * proctree: ends process trees, and proves that they are empty.
 *
 * The one procedure that daemon, spawner and workers, all of them subreapers, use: kill every child that is not to live
 * until waitpid(-1, __WALL) says that none is left. Since whatever leaves its parent lands at the nearest subreaper
 * above, that alone proves a tree empty. No other file calls kill(2) on a pid it has not just forked. No threads, no
 * libevent.
 */
#ifndef DAEMON_PROCTREE_H
#define DAEMON_PROCTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rusage;

/* Makes the calling process a subreaper. 0 or -1 with errno (ENOSYS: /proc is missing, or has no lists of children). */
int proctree_adopt(void);

/* Told of each child that was reaped; usage is as wait4(2) gives it. */
typedef void (*proctree_reaped_cb)(pid_t pid, int status, const struct rusage *usage, void *arg);

/*
 * Kills (SIGKILL, in rounds: killpg and kill of each child; SIGSTOP over the whole tree when it outgrows the rounds,
 * then kill) and reaps all that descends from the calling process but the n pids in keep and what descends from those.
 * Returns 0 when nothing else is left (the proof: ECHILD, or /proc/self/task/TID/children lists only keep), -1 when
 * deadline_ms (monotonic; 0: none) passed first. SIGCHLDs that come meanwhile are taken: a caller with a signalfd looks
 * for ended children of its own accord afterwards.
 */
int proctree_kill(const pid_t *keep, size_t n, int64_t deadline_ms, proctree_reaped_cb reaped, void *arg);

/*
 * Sends sig once to everything that descends from the calling process but not from keep: TERM, before the grace. All of
 * it is stopped first, so that nobody is born in between who would not hear of it, and goes on afterwards, who was
 * stopped before too.
 */
void proctree_signal(int sig, const pid_t *keep, size_t n);

/* Whether a child other than keep (reaped ones aside) is left; reaps what has ended. */
bool proctree_empty(const pid_t *keep, size_t n, proctree_reaped_cb reaped, void *arg);

/*
 * Start time of a process in clock ticks since boot (/proc/PID/stat), 0 when there is none. With the pid it names a
 * process for good.
 */
uint64_t proctree_start_time(pid_t pid);

/*
 * For a start after all have died at once: kills every process of the system (that we may signal) whose environment has
 * the entry mark, and what descends from it, and the given leaders (pid and start time) with what descends from them,
 * until a pass finds none. Returns how many were killed, or -1 when deadline_ms passed and some still live.
 */
struct proctree_leader {
	pid_t pid;
	uint64_t start_time;
};
int proctree_sweep(const char *mark, const struct proctree_leader *leaders, size_t n, int64_t deadline_ms);

#endif
