/*
 * proctree_sweep: the search for what an earlier daemon's processes left behind when all of them died at once.
 *
 * None of what is looked for descends from us, so nothing proves its absence but looking: at the environment of every
 * process (a command hands its mark on to all it starts), at the recorded leaders, and at what descends from either.
 * Each process is held before it is judged, stopped before its children are read, and killed only then.
 */
#include "daemon/proctree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/mem.h"
#include "daemon/procfs.h"

struct sweep_prey {
	pid_t pid;
	int hold;
};

struct sweep {
	const char *mark;
	const struct proctree_leader *leaders;
	size_t n_leaders;
	struct sweep_prey *prey; /* one tree's: held and stopped */
	size_t n, capacity;
};

static bool
sweep_is_ours(const struct sweep *sweep, pid_t pid)
{
	struct procfs_stat stat;

	if (procfs_has_env(pid, sweep->mark))
		return true;
	for (size_t i = 0; i < sweep->n_leaders; i++) {
		if (sweep->leaders[i].pid == pid)
			return procfs_stat(pid, &stat) == 0 && !stat.ended &&
			       stat.start_time == sweep->leaders[i].start_time;
	}
	return false;
}

/* Takes hold, unless the process cannot be stopped: then it is gone, or not ours to touch. */
static void
sweep_take(struct sweep *sweep, pid_t pid, int hold)
{
	if (procfs_signal(hold, pid, SIGSTOP) < 0) {
		procfs_release(hold);
		return;
	}
	sweep->prey = mem_room(sweep->prey, sweep->n, &sweep->capacity, sizeof(*sweep->prey));
	sweep->prey[sweep->n++] = (struct sweep_prey){.pid = pid, .hold = hold};
}

static void
sweep_take_children(struct sweep *sweep, pid_t parent)
{
	struct procfs_stat stat;
	pid_t *children;
	size_t n = procfs_children(parent, &children);

	for (size_t i = 0; i < n; i++) {
		int hold = children[i] == getpid() ? -1 : procfs_hold(children[i]);

		if (hold == -1)
			continue;
		if (procfs_stat(children[i], &stat) == 0 && stat.parent == parent && !stat.ended)
			sweep_take(sweep, children[i], hold);
		else
			procfs_release(hold);
	}
	free(children);
}

/* Whether the process ended before the deadline. */
static bool
sweep_wait(const struct sweep_prey *prey, int64_t deadline_ms)
{
	struct pollfd pollfd = {.fd = prey->hold, .events = POLLIN};
	int64_t left_ms = deadline_ms - clock_mono_ms();

	if (prey->hold == PROCFS_UNHELD)
		return true; /* the next pass tells */
	return poll(&pollfd, 1, left_ms < 0 ? 0 : (int)left_ms) > 0;
}

/* Kills the process and what descends from it: how many, or -1 when some did not end in time. */
static int
sweep_tree(struct sweep *sweep, pid_t root, int hold, int64_t deadline_ms)
{
	bool ended = true;

	sweep->n = 0;
	sweep_take(sweep, root, hold);
	for (size_t i = 0; i < sweep->n; i++)
		sweep_take_children(sweep, sweep->prey[i].pid);
	for (size_t i = 0; i < sweep->n; i++)
		procfs_signal(sweep->prey[i].hold, sweep->prey[i].pid, SIGKILL);
	for (size_t i = 0; i < sweep->n; i++) {
		ended = sweep_wait(&sweep->prey[i], deadline_ms) && ended;
		procfs_release(sweep->prey[i].hold);
	}
	return ended ? (int)sweep->n : -1;
}

/* One look at all processes: how many were killed, or -1. */
static int
sweep_pass(struct sweep *sweep, int64_t deadline_ms)
{
	pid_t *pids;
	size_t n = procfs_all(&pids);
	int killed = 0;

	for (size_t i = 0; i < n && killed >= 0; i++) {
		int hold, more;

		if (pids[i] <= 1 || pids[i] == getpid() || !sweep_is_ours(sweep, pids[i]))
			continue;
		hold = procfs_hold(pids[i]);
		if (hold == -1)
			continue;
		if (!sweep_is_ours(sweep, pids[i])) {
			procfs_release(hold);
			continue;
		}
		more = sweep_tree(sweep, pids[i], hold, deadline_ms);
		killed = more < 0 ? -1 : killed + more;
	}
	free(pids);
	return killed;
}

int
proctree_sweep(const char *mark, const struct proctree_leader *leaders, size_t n, int64_t deadline_ms)
{
	struct sweep sweep = {.mark = mark, .leaders = leaders, .n_leaders = n};
	int killed = 0, more;

	do {
		more = sweep_pass(&sweep, deadline_ms);
		killed += more;
		if (more > 0 && clock_mono_ms() >= deadline_ms)
			more = -1;
	} while (more > 0);
	free(sweep.prey);
	return more < 0 ? -1 : killed;
}
