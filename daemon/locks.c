/*
 * locks: see locks.h. Waiting for a lock is a blocking flock(2) that a timer interrupts.
 */
#include "daemon/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/leaders.h"
#include "daemon/log.h"
#include "daemon/mem.h"
#include "daemon/proctree.h"

#define LOCKS_DAEMON_MS 1000  /* a killed daemon's lock may be held a moment longer */
#define LOCKS_TREE_MS 10000   /* its workers need a moment to end their trees */
#define LOCKS_SWEEP_MS 10000
#define LOCKS_EXIT_BUSY 75
#define LOCKS_EXIT_CONFIG 78

static void
locks_alarm(int sig)
{
	(void)sig;
}

int
locks_wait(int fd, int64_t ms)
{
	const struct itimerval tick = {{0, 50000}, {0, 50000}}, off = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = locks_alarm}, before;
	int64_t deadline_ms = clock_mono_ms() + ms;
	int error;

	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &tick, NULL);
	while ((error = flock(fd, LOCK_EX)) < 0 && errno == EINTR && clock_mono_ms() < deadline_ms)
		;
	if (error < 0 && errno == EINTR)
		errno = EWOULDBLOCK;
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &before, NULL);
	return error;
}

/* The folder and those above it. */
static int
locks_make_dir(const char *path)
{
	char *copy = mem_text(path), *at;
	int error = 0;

	for (at = copy + 1; error == 0 && (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			error = -1;
		*at = '/';
	}
	if (error == 0 && mkdir(copy, 0700) < 0 && errno != EEXIST)
		error = -1;
	free(copy);
	return error;
}

/* Whoever may write in it could be whom he likes: the token and the store lie there. NULL: nobody else may; else what is wrong. */
static char *
locks_distrust(int dir, const char *path)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return mem_format("the state folder %s cannot be used: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return mem_format("the state folder %s belongs to uid %u and the daemon is uid %u: chown -R it, or take another", path,
		    (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 022) != 0)
		return mem_format("the state folder %s may be written by others (mode %03o): look whether what is in it is yours, then chmod 700",
		    path, (unsigned)st.st_mode & 0777);
	return NULL;
}

static int
locks_open(int dir, const char *name)
{
	return openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The mark stands in tree.lock; it is made with it. */
static int
locks_read_mark(int fd, char *mark, size_t size)
{
	unsigned char random[16];
	char hex[40] = "";
	ssize_t n = pread(fd, hex, 32, 0);

	if (n < 0)
		return -1;
	if (n != 32) {
		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			return -1;
		for (size_t i = 0; i < sizeof(random); i++)
			snprintf(hex + 2 * i, 3, "%02x", random[i]);
		if (pwrite(fd, hex, 32, 0) != 32)
			return -1;
	}
	snprintf(mark, size, "FUTURED_TREE=%s", hex);
	return 0;
}

static int
locks_sweep(struct locks *locks, char **ret_reason)
{
	struct proctree_leader *leaders = NULL;
	ssize_t n = leaders_read(locks->leaders, &leaders);
	int killed;

	killed = proctree_sweep(locks->mark, leaders, n > 0 ? (size_t)n : 0, clock_mono_ms() + LOCKS_SWEEP_MS);
	free(leaders);
	if (killed < 0) {
		*ret_reason = mem_format("processes of an earlier daemon's jobs are alive and cannot be ended");
		return LOCKS_EXIT_BUSY;
	}
	if (killed > 0)
		log_notice("%d processes of an earlier daemon's jobs were ended", killed);
	return 0;
}

static int
locks_fail(struct locks *locks, int status, char **ret_reason, char *reason)
{
	*ret_reason = reason;
	locks_close(locks);
	return status;
}

int
locks_take(const char *state_dir, struct locks *ret_locks, char **ret_reason)
{
	struct locks locks = {-1, -1, -1, -1, ""};
	bool held;
	char *distrust;

	if (locks_make_dir(state_dir) < 0 || (locks.dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return locks_fail(&locks, LOCKS_EXIT_CONFIG, ret_reason,
		    mem_format("the state folder %s cannot be used: %s", state_dir, strerror(errno)));
	distrust = locks_distrust(locks.dir, state_dir);
	if (distrust != NULL)
		return locks_fail(&locks, LOCKS_EXIT_CONFIG, ret_reason, distrust);
	if ((locks.daemon_lock = locks_open(locks.dir, "daemon.lock")) < 0 ||
	    (locks.tree_lock = locks_open(locks.dir, "tree.lock")) < 0 || (locks.leaders = leaders_open(locks.dir, "leaders")) < 0)
		return locks_fail(&locks, LOCKS_EXIT_CONFIG, ret_reason,
		    mem_format("the state folder %s cannot be used: %s", state_dir, strerror(errno)));
	/* The folder too, where folders can be locked: it is still there when somebody has deleted the locks in it. */
	if (locks_wait(locks.daemon_lock, LOCKS_DAEMON_MS) < 0 || (locks_wait(locks.dir, LOCKS_DAEMON_MS) < 0 && errno == EWOULDBLOCK))
		return locks_fail(&locks, LOCKS_EXIT_BUSY, ret_reason, mem_format("another daemon has the store in %s", state_dir));
	held = locks_wait(locks.tree_lock, LOCKS_TREE_MS) < 0;
	if (locks_read_mark(locks.tree_lock, locks.mark, sizeof(locks.mark)) < 0)
		return locks_fail(&locks, LOCKS_EXIT_CONFIG, ret_reason,
		    mem_format("%s/tree.lock cannot be used: %s", state_dir, strerror(errno)));
	if (locks_sweep(&locks, ret_reason) != 0)
		return locks_fail(&locks, LOCKS_EXIT_BUSY, ret_reason, *ret_reason);
	if (held && locks_wait(locks.tree_lock, LOCKS_DAEMON_MS) < 0)
		return locks_fail(&locks, LOCKS_EXIT_BUSY, ret_reason,
		    mem_format("workers of an earlier daemon still hold %s/tree.lock", state_dir));
	*ret_locks = locks;
	return 0;
}

void
locks_close(struct locks *locks)
{
	int *const fds[] = {&locks->leaders, &locks->tree_lock, &locks->daemon_lock, &locks->dir};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
