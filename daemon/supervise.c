/*
 * supervise: see supervise.h.
 *
 * One poll over its three pipes, the signals, the daemon's channel and some timers. A command is over when its tree is
 * empty, and nothing else ends the loop: not the end of a pipe (an escaped child may hold it), not the end of the
 * leader (it may have left others behind).
 */
#include "daemon/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/capture.h"
#include "daemon/cgroup.h"
#include "daemon/clock.h"
#include "daemon/leaders.h"
#include "daemon/log.h"
#include "daemon/proctree.h"
#include "daemon/text.h"

#define TELL_MS	     50
#define KILL_MS	     50		   /* of killing at a stretch, before pipes and channel are looked at again */
#define GRACE_MAX_MS 1000000000000 /* so that a sum with the clock cannot overflow */
#define READ_SIZE    65536
#define LOSS_MS	     60000 /* between two words in the log about output that could not be kept */
#define NEVER_MS     INT64_MAX

/* The first three are enum command_stream, and the first two enum stream. */
enum { POLL_STDOUT, POLL_STDERR, POLL_PROGRESS, POLL_SIGNAL, POLL_CANCEL, POLL_COUNT };
_Static_assert(POLL_SIGNAL == (int)COMMAND_STREAMS, "a pipe for each stream");

struct supervision {
	const struct supervise_config *config;
	const struct supervise_hooks *hooks;
	struct pollfd polls[POLL_COUNT]; /* an fd of -1 is at its end */
	struct capture captures[2];	 /* by enum stream, as the pipes in polls */
	const struct spec_limits *limits;
	struct progress_reader progress;
	bool progress_news;
	int cgroup; /* of this command, or -1 */
	int64_t progress_at_ms; /* when it was told last */
	sigset_t signals_before;
	pid_t leader;
	int status;
	int64_t leader_cpu_us;
	bool leader_ended;
	bool stopping;
	bool asked;	    /* to end it: its end says why it did not go on, and is no success */
	bool gone;	    /* the daemon is */
	int64_t kill_at_ms; /* while stopping */
	int64_t told_at_ms;
	int64_t told[2]; /* bytes */
	struct usage usage;
};

/* ---- output ---------------------------------------------------------------------------------- */

/* Reads once, at most size bytes; at its end the pipe is closed. */
static ssize_t
supervise_read(struct supervision *s, int which, size_t size)
{
	static char bytes[READ_SIZE];
	ssize_t n;

	n = read(s->polls[which].fd, bytes, size < READ_SIZE ? size : READ_SIZE);
	if (n > 0 && which == POLL_PROGRESS) {
		s->progress_news = progress_read(&s->progress, bytes, (size_t)n) || s->progress_news;
	} else if (n > 0) {
		capture_add(&s->captures[which], bytes, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(s->polls[which].fd);
		s->polls[which].fd = -1;
	}
	return n;
}

/* What is in the pipes now, and no more: somebody outside of the tree may hold them open and write on. */
static void
supervise_drain(struct supervision *s)
{
	for (int which = POLL_STDOUT; which < POLL_SIGNAL; which++) {
		int left = 0;

		if (s->polls[which].fd < 0 || ioctl(s->polls[which].fd, FIONREAD, &left) < 0)
			continue;
		while (left > 0 && s->polls[which].fd >= 0) {
			ssize_t n = supervise_read(s, which, (size_t)left);

			if (n <= 0)
				break;
			left -= (int)n;
		}
	}
}

static bool
supervise_has_news(const struct supervision *s)
{
	return s->captures[STREAM_STDOUT].kept != s->told[STREAM_STDOUT] ||
	       s->captures[STREAM_STDERR].kept != s->told[STREAM_STDERR];
}

static void
supervise_tell(struct supervision *s)
{
	for (int stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++)
		s->told[stream] = s->captures[stream].kept;
	s->told_at_ms = clock_mono_ms();
	if (s->hooks->on_output != NULL)
		s->hooks->on_output(s->hooks->arg, s->told[STREAM_STDOUT], s->told[STREAM_STDERR]);
}

/* When the daemon is to hear of new output. */
static int64_t
supervise_tell_at_ms(const struct supervision *s)
{
	return supervise_has_news(s) ? s->told_at_ms + TELL_MS : NEVER_MS;
}

static int64_t
supervise_progress_at_ms(const struct supervision *s)
{
	return s->progress_news && s->hooks->on_progress != NULL ? s->progress_at_ms + PROGRESS_GAP_MS : NEVER_MS;
}

static void
supervise_tell_progress(struct supervision *s)
{
	s->progress_news = false;
	s->progress_at_ms = clock_mono_ms();
	s->hooks->on_progress(s->hooks->arg, &s->progress.last);
}

/* ---- the tree -------------------------------------------------------------------------------- */

static void
supervise_reaped(pid_t pid, int status, const struct rusage *usage, void *arg)
{
	struct supervision *s = arg;

	usage_add(&s->usage, usage);
	if (pid == s->leader && !s->leader_ended) {
		struct usage own = {0};

		usage_add(&own, usage);
		s->leader_cpu_us = own.user_us + own.system_us;
		s->leader_ended = true;
		s->status = status;
	}
}

/* TERM now, KILL when the grace is over. A second call may only shorten the grace. */
static void
supervise_stop(struct supervision *s, int64_t grace_ms)
{
	int64_t kill_at_ms = clock_mono_ms() + (grace_ms < GRACE_MAX_MS ? grace_ms : GRACE_MAX_MS);

	if (!s->stopping || kill_at_ms < s->kill_at_ms)
		s->kill_at_ms = kill_at_ms;
	if (s->stopping || grace_ms == 0) {
		s->stopping = true;
		return;
	}
	s->stopping = true;
	proctree_signal(SIGTERM, NULL, 0);
}

/* Whether the tree is empty; moves its end on where it is not. */
static bool
supervise_is_over(struct supervision *s)
{
	int64_t now_ms;

	if (proctree_empty(NULL, 0, supervise_reaped, s))
		return true;
	if (s->leader_ended && !s->stopping)
		supervise_stop(s, s->config->grace_ms);
	now_ms = clock_mono_ms();
	if (!s->stopping || now_ms < s->kill_at_ms)
		return false;
	cgroup_kill(s->cgroup);
	return proctree_kill(NULL, 0, now_ms + KILL_MS, supervise_reaped, s) == 0;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void
supervise_hear(struct supervision *s)
{
	int64_t grace_ms = 0;

	switch (s->hooks->on_readable(s->hooks->arg, &grace_ms)) {
	case SUPERVISE_GO_ON: break;
	case SUPERVISE_STOP:
		s->asked = true;
		supervise_stop(s, grace_ms);
		break;
	case SUPERVISE_GONE:
		s->gone = true;
		s->polls[POLL_CANCEL].fd = -1;
		supervise_stop(s, 0);
		break;
	}
}

static int
supervise_timeout(const struct supervision *s)
{
	int64_t at_ms = supervise_tell_at_ms(s);
	int64_t left_ms;

	if (supervise_progress_at_ms(s) < at_ms)
		at_ms = supervise_progress_at_ms(s);
	if (s->stopping && s->kill_at_ms < at_ms)
		at_ms = s->kill_at_ms;
	if (at_ms == NEVER_MS)
		return -1;
	left_ms = at_ms - clock_mono_ms();
	return left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

static void
supervise_turn(struct supervision *s)
{
	struct signalfd_siginfo infos[8];

	if (poll(s->polls, POLL_COUNT, supervise_timeout(s)) < 0)
		return; /* a signal: the next turn polls again */
	for (int which = POLL_STDOUT; which < POLL_SIGNAL; which++) {
		if (s->polls[which].revents != 0)
			supervise_read(s, which, READ_SIZE);
	}
	if (s->polls[POLL_SIGNAL].revents != 0 && read(s->polls[POLL_SIGNAL].fd, infos, sizeof(infos)) < 0)
		return; /* proctree took them */
	if (s->polls[POLL_CANCEL].revents != 0)
		supervise_hear(s);
	if (clock_mono_ms() >= supervise_tell_at_ms(s))
		supervise_tell(s);
	if (clock_mono_ms() >= supervise_progress_at_ms(s))
		supervise_tell_progress(s);
}

/* ---- birth and end --------------------------------------------------------------------------- */

static void
supervise_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Signals and pipes; ret_write are the command's ends. 0, or -1 with the error. */
static int
supervise_open(struct supervision *s, int ret_write[COMMAND_STREAMS], struct outcome *ret_outcome)
{
	sigset_t sigchld;

	sigemptyset(&sigchld);
	sigaddset(&sigchld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &sigchld, &s->signals_before);
	s->polls[POLL_SIGNAL].fd = signalfd(-1, &sigchld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->polls[POLL_SIGNAL].fd < 0) {
		outcome_set_errno(ret_outcome, "watch", "signals", errno);
		return -1;
	}
	for (int which = POLL_STDOUT; which < POLL_SIGNAL; which++) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC) < 0) {
			outcome_set_errno(ret_outcome, "make", "a pipe", errno);
			return -1;
		}
		s->polls[which].fd = fds[0];
		ret_write[which] = fds[1];
		fcntl(fds[0], F_SETFL, O_NONBLOCK); /* our end alone */
	}
	return 0;
}

/* The job ends as it ends; whoever keeps the machine should know. A full disk or a folder that is gone is one word a minute, and no more. */
static void
supervise_tell_loss(const struct supervision *s, uint64_t job)
{
	static int64_t told_ms = -LOSS_MS;
	int64_t now_ms = clock_mono_ms();
	int error = 0;

	for (int stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++) {
		if (s->captures[stream].error != 0)
			error = s->captures[stream].error;
	}
	if (error == 0 || now_ms - told_ms < LOSS_MS)
		return;
	told_ms = now_ms;
	log_warning("job %llu: its output could not be kept whole in the state folder's output/: %s", (unsigned long long)job, strerror(error));
}

static void
supervise_done(struct supervision *s)
{
	for (int which = POLL_STDOUT; which <= POLL_SIGNAL; which++)
		supervise_close(&s->polls[which].fd);
	capture_done(&s->captures[STREAM_STDOUT]);
	capture_done(&s->captures[STREAM_STDERR]);
	sigprocmask(SIG_SETMASK, &s->signals_before, NULL);
}

static void
supervise_set_result(const struct supervision *s, struct outcome *outcome)
{
	const struct capture *out = &s->captures[STREAM_STDOUT], *err = &s->captures[STREAM_STDERR];
	bool truncated = out->total > CAPTURE_HEAD || err->total > CAPTURE_HEAD;
	struct text text = {0};
	size_t len;
	char *json;

	text_add_lit(&text, "{\"exit_status\":0,");
	text_add_bytes(&text, "stdout", "stdout_encoding", out->head, capture_head(out));
	text_add_char(&text, ',');
	text_add_bytes(&text, "stderr", "stderr_encoding", err->head, capture_head(err));
	text_printf(&text, ",\"truncated\":%s", truncated ? "true" : "false");
	if (truncated) /* what it wrote in all: whoever reads its files sees whether they have it all */
		text_printf(&text, ",\"stdout_bytes\":%lld,\"stderr_bytes\":%lld", (long long)out->total, (long long)err->total);
	text_add_char(&text, '}');
	json = text_steal(&text, &len);
	outcome_take_result(outcome, json, len);
}

/* Of a process that was told by SIGXCPU, or had no ear for it: its shell tells it by an exit status. */
static bool
supervise_used_up_cpu(const struct supervision *s)
{
	/* The kernel counts by its clock's ticks there, and exactly here. */
	int64_t used_up_us = (s->limits->cpu_s + COMMAND_CPU_GRACE_S) * 750000;

	if (s->limits->cpu_s == 0 || s->asked)
		return false;
	if (WIFEXITED(s->status))
		return WEXITSTATUS(s->status) == 128 + SIGXCPU;
	return WTERMSIG(s->status) == SIGXCPU ||
	       (WTERMSIG(s->status) == SIGKILL && s->leader_cpu_us >= used_up_us);
}

/* What is known of why it ended so, beyond the way of its end. */
static void
supervise_tell_why(const struct supervision *s, bool out_of_memory, char *why, size_t size)
{
	why[0] = '\0';
	if (out_of_memory && s->limits->memory_mib > 0)
		snprintf(why, size, ": it took more memory than its limit, %lld MiB", (long long)s->limits->memory_mib);
	else if (out_of_memory)
		snprintf(why, size, ": there was not enough memory");
	else if (supervise_used_up_cpu(s))
		snprintf(why, size, ": the limit of cpu_s, %lld, was reached", (long long)s->limits->cpu_s);
}

static void
supervise_set_failure(const struct supervision *s, struct outcome *outcome)
{
	bool out_of_memory = cgroup_ran_out_of_memory(s->cgroup);
	char why[96];
	size_t len;
	char *tail;

	supervise_tell_why(s, out_of_memory, why, sizeof(why));
	if (WIFSIGNALED(s->status)) {
		char name[OUTCOME_SIGNAL_SIZE];

		outcome_name_signal(WTERMSIG(s->status), name);
		outcome_set_error(outcome, out_of_memory ? JOB_ERROR_OUT_OF_MEMORY : JOB_ERROR_SIGNAL,
		    "the command was ended by %s%s", name, why);
		outcome_add_text(outcome, "signal", name, strlen(name));
	} else {
		outcome_set_error(outcome, out_of_memory ? JOB_ERROR_OUT_OF_MEMORY : JOB_ERROR_EXIT_STATUS,
		    "the command ended with exit status %d%s", WEXITSTATUS(s->status), why);
		outcome_add_integer(outcome, "exit_status", WEXITSTATUS(s->status));
	}
	tail = capture_tail(&s->captures[STREAM_STDERR], &len);
	outcome_add_bytes(outcome, "stderr_tail", tail, len);
	free(tail);
}

/* From the start of the leader to the end of its tree. */
static void
supervise_watch(struct supervision *s)
{
	while (!supervise_is_over(s))
		supervise_turn(s);
	supervise_drain(s);
	if (supervise_has_news(s))
		supervise_tell(s);
	if (supervise_progress_at_ms(s) != NEVER_MS)
		supervise_tell_progress(s);
}

int
supervise_run(const struct supervise_config *config, const struct supervise_hooks *hooks, uint64_t job,
    unsigned attempt, const struct command *command, struct outcome *ret_outcome)
{
	const struct command_identity identity = {.mark = config->mark, .job = job, .attempt = attempt};
	struct supervision s = {
	    .config = config, .hooks = hooks, .limits = &command->limits, .usage = {.known = true}};
	struct command_place place = {.streams = {-1, -1, -1}};
	int started = -1;

	for (int which = 0; which < POLL_COUNT; which++)
		s.polls[which] = (struct pollfd){.fd = -1, .events = POLLIN};
	s.polls[POLL_CANCEL].fd = hooks->cancel_fd;
	capture_init(&s.captures[STREAM_STDOUT], config->output_dir, job, STREAM_STDOUT, config->max_output);
	capture_init(&s.captures[STREAM_STDERR], config->output_dir, job, STREAM_STDERR, config->max_output);
	place.cgroup = s.cgroup =
	    cgroup_make(config->cgroup, config->slot, command->limits.memory_mib, &place.cgroup_memory);
	if (supervise_open(&s, place.streams, ret_outcome) == 0)
		started = command_start(command, &identity, &place, &s.leader, ret_outcome);
	for (int stream = 0; stream < COMMAND_STREAMS; stream++)
		supervise_close(&place.streams[stream]);
	if (started == 0) {
		leaders_note(config->leaders_fd, config->slot, s.leader);
		if (hooks->on_started != NULL)
			hooks->on_started(hooks->arg, s.leader);
		supervise_watch(&s);
		leaders_note(config->leaders_fd, config->slot, 0);
		supervise_tell_loss(&s, job);
		if (WIFEXITED(s.status) && WEXITSTATUS(s.status) == 0 && !s.asked)
			supervise_set_result(&s, ret_outcome);
		else
			supervise_set_failure(&s, ret_outcome);
	}
	ret_outcome->usage = s.usage;
	cgroup_remove(config->cgroup, config->slot, s.cgroup);
	supervise_done(&s);
	return s.gone ? -1 : 0;
}
