/*
 * proctree: see proctree.h.
 *
 * Two facts make it sound. A process's orphans become children of its nearest subreaper in the same step in which it
 * ends, so a subreaper that has no child left has no descendant left. And the list of one's own children changes only
 * at its end while one does not wait for any, so that list is complete when it is read. The lists of others are not:
 * whole trees are walked again and again.
 *
 * A pid found in another process's list may be reaped and used anew before a signal reaches it: it is held first, and
 * asked for its parent again. One's own children cannot vanish that way.
 */
#include "daemon/proctree.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/mem.h"
#include "daemon/procfs.h"

#define PLAIN_ROUNDS 4 /* of killing children alone, before whole trees are stopped first */
#define STOP_PASSES  8 /* most walks over a tree until nothing new is found in it */
#define WAIT_MIN_MS  5 /* between rounds, when nothing dies: something sits in the kernel */
#define WAIT_MAX_MS  100
#define WALK_MAX     1000000u /* entries of one walk: what forks faster than it is walked is met again in the next */

int
proctree_adopt(void)
{
	if (!procfs_works()) {
		errno = ENOSYS;
		return -1;
	}
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

uint64_t
proctree_start_time(pid_t pid)
{
	struct procfs_stat stat;

	return procfs_stat(pid, &stat) < 0 || stat.ended ? 0 : stat.start_time;
}

static bool
proctree_is_kept(pid_t pid, const pid_t *keep, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (keep[i] == pid)
			return true;
	}
	return false;
}

/* ---- walking over the tree ------------------------------------------------------------------- */

struct proctree_node {
	pid_t pid;
	pid_t parent;
};

struct proctree_walk {
	struct proctree_node *nodes;
	size_t n, capacity;
};

static void
proctree_add_children(struct proctree_walk *walk, pid_t parent, const pid_t *keep, size_t n_keep)
{
	pid_t *children;
	size_t n = procfs_children(parent, &children);

	for (size_t i = 0; i < n && walk->n < WALK_MAX; i++) {
		if (proctree_is_kept(children[i], keep, n_keep))
			continue;
		walk->nodes = mem_room(walk->nodes, walk->n, &walk->capacity, sizeof(*walk->nodes));
		walk->nodes[walk->n++] = (struct proctree_node){.pid = children[i], .parent = parent};
	}
	free(children);
}

/* Signals a process only if it still is the one that was found. */
static void
proctree_signal_node(const struct proctree_node *node, int sig)
{
	struct procfs_stat stat;
	int hold;

	if (node->parent == getpid()) {
		kill(node->pid, sig);
		return;
	}
	hold = procfs_hold(node->pid);
	if (hold == -1)
		return;
	if (procfs_stat(node->pid, &stat) == 0 && (stat.parent == node->parent || stat.parent == getpid()))
		procfs_signal(hold, node->pid, sig);
	procfs_release(hold);
}

/* One walk: each process is stopped before its children are read, so that none is born behind the walk's back. */
static void
proctree_walk_down(struct proctree_walk *walk, const pid_t *keep, size_t n)
{
	proctree_add_children(walk, getpid(), keep, n);
	for (size_t i = 0; i < walk->n; i++) {
		proctree_signal_node(&walk->nodes[i], SIGSTOP);
		proctree_add_children(walk, walk->nodes[i].pid, NULL, 0);
	}
}

/* Stops all below the calling process but keep, and lists it. */
static void
proctree_freeze(struct proctree_walk *walk, const pid_t *keep, size_t n)
{
	size_t before = 0;

	for (int pass = 0; pass < STOP_PASSES; pass++) {
		walk->n = 0;
		proctree_walk_down(walk, keep, n);
		if (walk->n == before)
			break;
		before = walk->n;
	}
}

static void
proctree_signal_walked(const struct proctree_walk *walk, int sig)
{
	for (size_t i = 0; i < walk->n; i++)
		proctree_signal_node(&walk->nodes[i], sig);
}

void
proctree_signal(int sig, const pid_t *keep, size_t n)
{
	struct proctree_walk walk = {0};

	proctree_freeze(&walk, keep, n);
	proctree_signal_walked(&walk, sig);
	proctree_signal_walked(&walk, SIGCONT);
	free(walk.nodes);
}

/* ---- ending it ------------------------------------------------------------------------------- */

/* Kills a child's whole process group in one step, unless we, or somebody who is to live, are in it. */
static void
proctree_kill_group(pid_t child, const pid_t *keep, size_t n)
{
	pid_t group = getpgid(child);

	if (group <= 1 || group == getpgrp())
		return;
	for (size_t i = 0; i < n; i++) {
		if (keep[i] > 0 && getpgid(keep[i]) == group)
			return;
	}
	kill(-group, SIGKILL);
}

static void
proctree_kill_children(const pid_t *keep, size_t n)
{
	pid_t *children;
	size_t n_children = procfs_children(getpid(), &children);

	for (size_t i = 0; i < n_children; i++) {
		if (proctree_is_kept(children[i], keep, n))
			continue;
		proctree_kill_group(children[i], keep, n);
		kill(children[i], SIGKILL);
	}
	free(children);
}

/*
 * For trees that fork while they are being killed: nobody dies, and makes room for another, before all of them stand
 * still.
 */
static void
proctree_kill_trees(const pid_t *keep, size_t n)
{
	struct proctree_walk walk = {0};

	proctree_freeze(&walk, keep, n);
	proctree_signal_walked(&walk, SIGKILL);
	free(walk.nodes);
	proctree_kill_children(keep, n);
}

bool
proctree_empty(const pid_t *keep, size_t n, proctree_reaped_cb reaped, void *arg)
{
	struct rusage usage;
	pid_t pid, *children;
	size_t n_children;
	bool empty;
	int status;

	while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) != 0) {
		if (pid > 0 && reaped != NULL)
			reaped(pid, status, &usage, arg);
		if (pid < 0 && errno == ECHILD)
			return true;
	}
	if (n == 0)
		return false;
	/* There is a child at least: a list without any could not be read. */
	n_children = procfs_children(getpid(), &children);
	empty = n_children > 0;
	for (size_t i = 0; i < n_children && empty; i++)
		empty = proctree_is_kept(children[i], keep, n);
	free(children);
	return empty;
}

/* Waits for the next SIGCHLD, which is blocked. */
static void
proctree_wait(const sigset_t *sigchld, int64_t ms)
{
	struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (ms > 0 && sigtimedwait(sigchld, NULL, &timeout) < 0)
		return; /* in time or not, the next look at the children tells */
}

int
proctree_kill(const pid_t *keep, size_t n, int64_t deadline_ms, proctree_reaped_cb reaped, void *arg)
{
	sigset_t sigchld, before;
	int64_t wait_ms = WAIT_MIN_MS;
	int result = 0;

	sigemptyset(&sigchld);
	sigaddset(&sigchld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &sigchld, &before);
	for (int round = 0; !proctree_empty(keep, n, reaped, arg); round++) {
		int64_t left_ms = deadline_ms == 0 ? WAIT_MAX_MS : deadline_ms - clock_mono_ms();

		if (round > 0 && left_ms <= 0) {
			result = -1;
			break;
		}
		if (round < PLAIN_ROUNDS)
			proctree_kill_children(keep, n);
		else
			proctree_kill_trees(keep, n);
		proctree_wait(&sigchld, left_ms < wait_ms ? left_ms : wait_ms);
		wait_ms = wait_ms < WAIT_MAX_MS / 2 ? wait_ms * 2 : WAIT_MAX_MS;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return result;
}
