/*
 * spawner: see spawner.h.
 *
 * pids[slot] is the live worker of a slot, or 0. A worker that has ended leaves pids at once and its slot becomes
 * `leaving`; the daemon hears of it when the spawner's own list of children holds live workers alone, which proves that
 * nothing of what it ran is left.
 */
#include "daemon/spawner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/command.h"
#include "daemon/fdpass.h"
#include "daemon/log.h"
#include "daemon/mem.h"
#include "daemon/procfs.h"
#include "daemon/proctree.h"
#include "daemon/worker.h"

#define KILL_MS	 20 /* of killing at a stretch, before orders are read again */
#define RETRY_MS 20 /* between two such stretches */

/* ThreadSanitizer gives each forked process a thread of its own, so a test that has forked cannot count. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREADS_BEFORE_FORK 2
#endif
#elif defined(__SANITIZE_THREAD__)
#define THREADS_BEFORE_FORK 2
#endif
#ifndef THREADS_BEFORE_FORK
#define THREADS_BEFORE_FORK 1
#endif

struct spawner {
	struct spawner_config config;
	int link;
	int signal_fd;
	pid_t *pids;	/* by slot */
	bool *leaving;	/* by slot: ended, its tree not proven empty */
	struct spawner_note *notes; /* by slot, while leaving: its GONE */
	unsigned n_leaving;
	bool unsettled; /* children other than live workers may be there */
};

/* ---- notes to the daemon --------------------------------------------------------------------- */

static void
spawner_send(const struct spawner *spawner, const struct spawner_note *note)
{
	if (fdpass_send(spawner->link, note, sizeof(*note), -1) < 0)
		return; /* the daemon is gone, as the next reading will show */
}

static void
spawner_tell(const struct spawner *spawner, enum spawner_news news, unsigned slot, pid_t pid, int status)
{
	const struct spawner_note note = {.news = news, .slot = slot, .pid = pid, .status = status};

	spawner_send(spawner, &note);
}

/* ---- the end of workers ---------------------------------------------------------------------- */

static void
spawner_worker_ended(struct spawner *spawner, unsigned slot, int status, const struct rusage *usage)
{
	struct spawner_note *note = &spawner->notes[slot];

	*note = (struct spawner_note){.news = SPAWNER_GONE, .slot = slot, .status = status};
	usage_add(&note->used, usage);
	spawner->pids[slot] = 0;
	spawner->leaving[slot] = true;
	spawner->n_leaving++;
	spawner->unsettled = true;
}

/* A process that a worker left behind: its worker is known when it is the only one that leaves. */
static void
spawner_orphan_ended(struct spawner *spawner, const struct rusage *usage)
{
	for (unsigned slot = 0; spawner->n_leaving == 1 && slot < spawner->config.slots; slot++) {
		if (spawner->leaving[slot])
			usage_add(&spawner->notes[slot].left, usage);
	}
}

static void
spawner_reaped(pid_t pid, int status, const struct rusage *usage, void *arg)
{
	struct spawner *spawner = arg;

	for (unsigned slot = 0; slot < spawner->config.slots; slot++) {
		if (spawner->pids[slot] == pid) {
			spawner_worker_ended(spawner, slot, status, usage);
			return;
		}
	}
	spawner_orphan_ended(spawner, usage);
}

/* Reaps; ends what a dead worker left behind; then tells that it is gone. */
static void
spawner_settle(struct spawner *spawner)
{
	unsigned n = spawner->config.slots;

	if (!proctree_empty(spawner->pids, n, spawner_reaped, spawner) &&
	    proctree_kill(spawner->pids, n, clock_mono_ms() + KILL_MS, spawner_reaped, spawner) < 0) {
		spawner->unsettled = true;
		return;
	}
	for (unsigned slot = 0; slot < n; slot++) {
		if (!spawner->leaving[slot])
			continue;
		spawner->leaving[slot] = false;
		spawner->n_leaving--;
		spawner_send(spawner, &spawner->notes[slot]);
	}
	spawner->unsettled = false;
}

static void __attribute__((noreturn)) spawner_end(void)
{
	proctree_kill(NULL, 0, 0, NULL, NULL);
	_exit(0);
}

/* ---- orders ---------------------------------------------------------------------------------- */

/* In the new worker: it keeps its channel, as descriptor 3, and what the configuration names. */
static void __attribute__((noreturn)) spawner_become_worker(struct spawner *spawner, unsigned slot, int channel)
{
	const int keep[] = {3, spawner->config.output_dir, spawner->config.leaders_fd, spawner->config.tree_lock,
	    spawner->config.cgroup};
	sigset_t none;

	if (dup2(channel, 3) < 0)
		_exit(1);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	fdpass_close_all_but(keep, sizeof(keep) / sizeof(keep[0]));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	worker_main(&spawner->config, slot);
}

static void
spawner_spawn(struct spawner *spawner, unsigned slot, int channel)
{
	pid_t pid;

	if (channel < 0 || spawner->pids[slot] != 0 || spawner->leaving[slot]) {
		spawner_tell(spawner, SPAWNER_FAILED, slot, 0, channel < 0 ? EMFILE : EBUSY);
		return;
	}
	pid = fork();
	if (pid == 0)
		spawner_become_worker(spawner, slot, channel);
	if (pid < 0) {
		spawner_tell(spawner, SPAWNER_FAILED, slot, 0, errno);
		return;
	}
	spawner->pids[slot] = pid;
	spawner_tell(spawner, SPAWNER_SPAWNED, slot, pid, 0);
}

static void
spawner_obey(struct spawner *spawner)
{
	struct spawner_order order;
	int channel;
	ssize_t n = fdpass_receive(spawner->link, &order, sizeof(order), &channel);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		spawner_end();
	if (n == (ssize_t)sizeof(order) && order.slot < spawner->config.slots) {
		if (order.verb == SPAWNER_SPAWN)
			spawner_spawn(spawner, order.slot, channel);
		else if (order.verb == SPAWNER_KILL && spawner->pids[order.slot] > 0)
			kill(spawner->pids[order.slot], SIGKILL);
	}
	if (channel >= 0)
		close(channel);
}

static void __attribute__((noreturn)) spawner_loop(struct spawner *spawner)
{
	struct pollfd polls[2] = {{.fd = spawner->link, .events = POLLIN},
	    {.fd = spawner->signal_fd, .events = POLLIN}};
	struct signalfd_siginfo infos[16];

	for (;;) {
		int n = poll(polls, 2, spawner->unsettled ? RETRY_MS : -1);

		if (n < 0)
			continue;
		if (polls[1].revents != 0 && read(spawner->signal_fd, infos, sizeof(infos)) < 0 && errno != EAGAIN)
			spawner_end();
		if (polls[1].revents != 0 || spawner->unsettled)
			spawner_settle(spawner);
		if (polls[0].revents != 0)
			spawner_obey(spawner);
	}
}

/* ---- birth ----------------------------------------------------------------------------------- */

/* What a terminal's Ctrl-C sends to the whole group is the daemon's to act on: it drains, and then closes the link. */
static int
spawner_set_signals(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	sigset_t sigchld;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&sigchld);
	sigaddset(&sigchld, SIGCHLD);
	sigprocmask(SIG_SETMASK, &sigchld, NULL);
	return signalfd(-1, &sigchld, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Workers inherit these: nothing to read, and nowhere to write but the log. */
static void
spawner_set_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (null > STDERR_FILENO)
		close(null);
}

/* Out of the way of a worker's channel. */
static void
spawner_move_high(int *fd)
{
	int high = *fd >= 0 ? fdpass_move_high(*fd) : -1;

	if (*fd >= 0 && high < 0)
		_exit(1);
	*fd = high;
}

static void __attribute__((noreturn)) spawner_main(const struct spawner_config *config, int link)
{
	struct spawner spawner = {.config = *config, .link = link};

	log_init("spawner");
	prctl(PR_SET_NAME, "futured-spawner", 0, 0, 0);
	for (unsigned i = 0; i < config->n_close_fds; i++)
		close(config->close_fds[i]);
	spawner_move_high(&spawner.link);
	spawner_move_high(&spawner.config.output_dir);
	spawner_move_high(&spawner.config.leaders_fd);
	spawner_move_high(&spawner.config.tree_lock);
	spawner_move_high(&spawner.config.cgroup);
	fdpass_close_all_but((const int[]){spawner.link, spawner.config.output_dir, spawner.config.leaders_fd,
				 spawner.config.tree_lock, spawner.config.cgroup},
	    5);
	spawner_set_streams();
	spawner.signal_fd = spawner_set_signals();
	if (spawner.signal_fd < 0 || proctree_adopt() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		log_error("the spawner cannot set itself up: %s", strerror(errno));
		_exit(1);
	}
	spawner_move_high(&spawner.signal_fd);
	spawner.pids = mem_new_array(config->slots, sizeof(*spawner.pids));
	spawner.leaving = mem_new_array(config->slots, sizeof(*spawner.leaving));
	spawner.notes = mem_new_array(config->slots, sizeof(*spawner.notes));
	command_prepare();
	spawner_loop(&spawner);
}

int
spawner_fork(const struct spawner_config *config, pid_t *ret_pid, int *ret_fd)
{
	int fds[2], error;
	pid_t pid;

	assert(procfs_threads() <= THREADS_BEFORE_FORK);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	pid = fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -1 : fork();
	if (pid == 0)
		spawner_main(config, fds[1]);
	error = errno;
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		errno = error;
		return -1;
	}
	*ret_pid = pid;
	*ret_fd = fds[0];
	return 0;
}
