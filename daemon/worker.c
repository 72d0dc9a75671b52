/*
 * worker: see worker.h.
 *
 * Many small jobs come in one read and their results leave in one write. A result never waits for long behind the next
 * job: what has gathered is written when nothing more is buffered, at OUT_MAX bytes, and 1 ms after the first of it
 * came, by a timer's signal if need be in the midst of a function. For as long as a job runs the output buffer is lent
 * to that signal's handler, and nobody else touches it.
 */
#include "daemon/worker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/frame.h"
#include "daemon/log.h"
#include "daemon/mem.h"
#include "daemon/proctree.h"
#include "daemon/supervise.h"

#define CHANNEL	   3
#define IN_MIN	   (64u * 1024)
#define IN_KEEP	   (1024u * 1024) /* a buffer that grew beyond is given back */
#define OUT_MAX	   (64u * 1024)
#define OUT_US	   1000
#define FRAME_ROOM 4096 /* of FRAME_MAX, for what stands around a result */
#define BRIEF_US   100	/* of so short a function the kernel is not asked what it took */
#define AROUND_US  5	/* about what reading a job and writing its result take */

struct worker {
	const struct spawner_config *config;
	unsigned slot;
	pid_t spawner;
	uint32_t number; /* of the next job */
	size_t max_result;
	char *in; /* bytes from start to end are not handled yet */
	size_t in_start, in_end, in_capacity;
	struct frame_out out;
	struct rusage rusage; /* of this process, when it was asked for last */
	int64_t brief_us;     /* what functions have been told to have taken since, and about what stood around them */
	int64_t peak_kib;     /* of a large job that is over: what is not above it tells nothing; 0: there was none */
	uint64_t job, token;  /* of the command that runs */
	size_t scanned;	      /* bytes from in_start that were searched for its cancel */
	int64_t report_due_us; /* before that no report of the function that runs is written */
	size_t report_at, report_end; /* one that waits in out; the end is 0 when there is none */
};

static struct worker worker; /* the signal handler has no other way to it */
static volatile sig_atomic_t worker_out_is_lent;
static volatile sig_atomic_t worker_flush_due;
static volatile sig_atomic_t worker_timer_on;

static void __attribute__((noreturn)) worker_end(int status)
{
	proctree_kill(NULL, 0, 0, NULL, NULL);
	_exit(status);
}

static void __attribute__((noreturn)) worker_fault(const char *what)
{
	log_error("worker of slot %u: %s", worker.slot, what);
	worker_end(1);
}

static void
worker_ask_usage(void)
{
	getrusage(RUSAGE_SELF, &worker.rusage);
	worker.brief_us = 0;
}

/* ---- results out ----------------------------------------------------------------------------- */

/* Also from the signal handler. */
static void
worker_write_out(void)
{
	size_t at = 0;

	while (at < worker.out.len) {
		ssize_t n = send(CHANNEL, worker.out.bytes + at, worker.out.len - at, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			break; /* the daemon is gone, as the next reading will show */
		at += n > 0 ? (size_t)n : 0;
	}
	worker.out.len = 0;
}

static void
worker_flush(void)
{
	worker_flush_due = 0;
	worker_write_out();
}

static void
worker_on_alarm(int sig)
{
	int error = errno;

	(void)sig;
	worker_timer_on = 0;
	if (worker_out_is_lent)
		worker_write_out();
	else
		worker_flush_due = 1;
	errno = error;
}

static void
worker_reclaim_out(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	worker_out_is_lent = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

/* What is in it leaves after so many microseconds, unless it does so anyway before. */
static void
worker_lend_out_for(int64_t us)
{
	const struct itimerval once = {.it_value = {.tv_usec = (suseconds_t)us}};

	if (worker.out.len >= OUT_MAX)
		worker_flush();
	if (worker.out.len > 0 && !worker_timer_on) {
		worker_timer_on = 1;
		setitimer(ITIMER_REAL, &once, NULL);
	}
	atomic_signal_fence(memory_order_seq_cst);
	worker_out_is_lent = 1;
	atomic_signal_fence(memory_order_seq_cst);
	if (worker_flush_due) { /* the signal came when it could not write */
		worker_reclaim_out();
		worker_flush();
	}
}

static void
worker_lend_out(void)
{
	worker_lend_out_for(OUT_US);
}

/* ---- jobs in --------------------------------------------------------------------------------- */

static void
worker_open_buffer(void)
{
	worker.in = mem_grow(NULL, IN_MIN, 1);
	worker.in_start = worker.in_end = 0;
	worker.in_capacity = IN_MIN;
}

/* Room for IN_MIN more bytes, and for the frame that has begun. */
static void
worker_make_room(void)
{
	size_t len = worker.in_end - worker.in_start, wanted = len + IN_MIN;
	struct frame_header header;
	struct span payload;

	if (frame_cut(worker.in + worker.in_start, len, &header, &payload) == 0 && len >= sizeof(header) &&
	    sizeof(header) + header.length > wanted)
		wanted = sizeof(header) + header.length;
	if (len == 0)
		worker.in_start = worker.in_end = 0;
	if (worker.in_capacity - worker.in_start >= wanted)
		return;
	if (worker.in_start > 0)
		memmove(worker.in, worker.in + worker.in_start, len);
	worker.in_start = 0;
	worker.in_end = len;
	if (worker.in_capacity < wanted) {
		worker.in = mem_grow(worker.in, wanted, 1);
		worker.in_capacity = wanted;
	}
}

/*
 * What a large job took is given back. That it was there the kernel remembers, and would count it to what comes next; it
 * forgets by /proc/self/clear_refs, which a process whose memory is closed (privacy.h) may not open.
 */
static void
worker_shrink(void)
{
	if (worker.in_start < worker.in_end || (worker.in_capacity <= IN_KEEP && worker.out.capacity <= IN_KEEP))
		return;
	frame_out_done(&worker.out);
	free(worker.in);
	worker_open_buffer();
	malloc_trim(0);
	worker_ask_usage();
	worker.peak_kib = worker.rusage.ru_maxrss;
}

/* As recv(2). */
static ssize_t
worker_read(int flags)
{
	ssize_t n;

	worker_make_room();
	do
		n = recv(CHANNEL, worker.in + worker.in_end, worker.in_capacity - worker.in_end, flags);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		worker.in_end += (size_t)n;
	return n;
}

/* Looks for a cancel of the running command among what is buffered behind it. */
static bool
worker_find_cancel(int64_t *ret_grace_ms)
{
	struct frame_header header;
	struct span payload;
	const char *at;
	size_t len;
	int whole;

	for (;;) {
		at = worker.in + worker.in_start + worker.scanned;
		len = worker.in_end - worker.in_start - worker.scanned;
		whole = frame_cut(at, len, &header, &payload);
		if (whole < 0)
			worker_fault("something that is no frame");
		if (whole == 0)
			return false;
		worker.scanned += sizeof(header) + header.length;
		if (header.type == FRAME_CANCEL && header.job == worker.job && header.token == worker.token) {
			if (frame_read_cancel(payload, ret_grace_ms) < 0)
				worker_fault("a cancel that cannot be read");
			return true;
		}
	}
}

/* ---- commands -------------------------------------------------------------------------------- */

static enum supervise_wish
worker_on_readable(void *arg, int64_t *ret_grace_ms)
{
	ssize_t n = worker_read(MSG_DONTWAIT);

	(void)arg;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return SUPERVISE_GONE;
	return n > 0 && worker_find_cancel(ret_grace_ms) ? SUPERVISE_STOP : SUPERVISE_GO_ON;
}

static void
worker_on_started(void *arg, pid_t leader)
{
	(void)arg;
	frame_put_started(&worker.out, worker.job, worker.token, leader);
	worker_lend_out(); /* of a short command it goes with the result */
}

static void
worker_on_output(void *arg, int64_t stdout_bytes, int64_t stderr_bytes)
{
	(void)arg;
	worker_reclaim_out();
	frame_put_output(&worker.out, worker.job, worker.token, stdout_bytes, stderr_bytes);
	worker_flush();
}

static void
worker_on_progress(void *arg, const struct progress *progress)
{
	(void)arg;
	worker_reclaim_out();
	frame_put_progress(&worker.out, worker.job, worker.token, progress);
	worker_flush();
}

/*
 * The spawner's death kills a worker at once, but one that supervises: it has a tree to end. It hears of the end from
 * its channel, which the daemon closes when its spawner has died.
 */
static void
worker_die_with_spawner(bool die)
{
	prctl(PR_SET_PDEATHSIG, die ? SIGKILL : 0, 0, 0, 0);
	if (die && getppid() != worker.spawner)
		worker_end(1);
}

static void
worker_supervise(const struct task_call *call, const struct command *command, struct outcome *ret_outcome)
{
	const struct spawner_config *from = worker.config;
	const struct supervise_config config = {
	    .output_dir = from->output_dir,
	    .cgroup = from->cgroup,
	    .leaders_fd = from->leaders_fd,
	    .max_output = from->max_output,
	    .mark = from->mark,
	    .slot = worker.slot,
	    .grace_ms = from->grace_ms,
	};
	const struct supervise_hooks hooks = {
	    .cancel_fd = CHANNEL,
	    .on_readable = worker_on_readable,
	    .on_started = worker_on_started,
	    .on_output = worker_on_output,
	    .on_progress = worker_on_progress,
	};
	int64_t grace_ms;

	worker.scanned = 0;
	if (worker_find_cancel(&grace_ms)) {
		outcome_set_error(ret_outcome, JOB_ERROR_CANCELLED, "cancelled before it was started");
		return;
	}
	worker_die_with_spawner(false);
	if (supervise_run(&config, &hooks, call->job, call->attempt, command, ret_outcome) < 0)
		worker_end(0);
	worker_reclaim_out();
	worker_die_with_spawner(true);
}

/* Whom the command is to become: 0, or -1 with the error. */
static int
worker_find_user(int64_t uid, struct runas_user *ret_user, struct outcome *ret_outcome)
{
	char why_not[256];
	int found = uid != FRAME_AS_OURSELVES ? runas_find(uid, ret_user, why_not, sizeof(why_not)) : 0;

	if (found == 0)
		return 0;
	outcome_set_error(ret_outcome, JOB_ERROR_TASK_ERROR, "%s", why_not);
	ret_outcome->later = found == RUNAS_LATER;
	return -1;
}

static void
worker_run_command(const struct task *task, const struct task_call *call, const struct frame_job *job,
    struct outcome *ret_outcome)
{
	struct command command = {.umask = COMMAND_UMASK_NONE};
	struct runas_user as = {0};

	worker_flush();
	if (worker_find_user(job->as, &as, ret_outcome) == 0 && task->command(call, &command, ret_outcome) == 0) {
		command.limits = job->limits;
		command.as = job->as != FRAME_AS_OURSELVES ? &as : NULL;
		command.apart = worker.peak_kib > 0;
		worker_supervise(call, &command, ret_outcome);
	}
	command_done(&command);
	runas_done(&as);
	worker_ask_usage();
}

/* ---- functions ------------------------------------------------------------------------------- */

/*
 * Of a function: the first is written at once; one that comes too soon waits for its time in out, where the next takes
 * its place.
 */
static void
worker_report(const struct progress *progress)
{
	int64_t now_us = clock_mono_us();

	worker_reclaim_out();
	if (worker.report_end > 0 && worker.report_end == worker.out.len)
		worker.out.len = worker.report_at;
	else if (worker.report_end > 0) /* it was written when its time came */
		worker.report_due_us += PROGRESS_GAP_MS * 1000;
	worker.report_at = worker.out.len;
	frame_put_progress(&worker.out, worker.job, worker.token, progress);
	worker.report_end = worker.out.len;
	if (now_us >= worker.report_due_us) {
		worker.report_end = 0;
		worker.report_due_us = now_us + PROGRESS_GAP_MS * 1000;
		worker_flush();
	}
	worker_lend_out_for(worker.report_due_us - now_us);
}

static int64_t
worker_elapsed_us(const struct timeval *from, const struct timeval *to)
{
	return (int64_t)(to->tv_sec - from->tv_sec) * 1000000 + (to->tv_usec - from->tv_usec);
}

static int64_t
worker_peak_kib(void)
{
	return worker.rusage.ru_maxrss > worker.peak_kib ? worker.rusage.ru_maxrss : 0;
}

/*
 * A system call takes longer than many a function: one that was brief has taken, at most, the time that went by. What the
 * process took since the kernel was asked last stays of that order, so that a longer function is not told more.
 */
static void
worker_measure(int64_t took_us, struct usage *ret_usage)
{
	struct rusage before = worker.rusage;
	int64_t brief_us, user_us;

	*ret_usage = (struct usage){.known = true};
	if (took_us < BRIEF_US && worker.brief_us + took_us < BRIEF_US) {
		worker.brief_us += took_us + AROUND_US;
		ret_usage->user_us = took_us;
		ret_usage->max_rss_kib = worker_peak_kib();
		return;
	}
	brief_us = worker.brief_us;
	worker_ask_usage();
	user_us = worker_elapsed_us(&before.ru_utime, &worker.rusage.ru_utime) - brief_us;
	ret_usage->user_us = user_us > 0 ? user_us : 0;
	ret_usage->system_us = worker_elapsed_us(&before.ru_stime, &worker.rusage.ru_stime);
	ret_usage->max_rss_kib = worker_peak_kib();
}

static void
worker_run_function(const struct task *task, const struct task_call *call, struct outcome *ret_outcome)
{
	int64_t began_us;

	worker.report_due_us = 0;
	worker.report_end = 0;
	worker_lend_out();
	began_us = clock_mono_us();
	task->run(call, ret_outcome);
	worker_reclaim_out();
	worker_measure(clock_mono_us() - began_us, &ret_outcome->usage);
}

/* ---- one job after the other ----------------------------------------------------------------- */

static void
worker_limit_result(struct outcome *outcome)
{
	if (outcome->len <= worker.max_result)
		return;
	if (outcome->error != JOB_ERROR_NONE)
		outcome_set_error(outcome, outcome->error, "(the message was too long)");
	else
		outcome_set_error(outcome, JOB_ERROR_RESULT_TOO_LARGE,
		    "the result has %zu bytes, more than the %zu that [limits] result allows", outcome->len,
		    worker.max_result);
}

static void
worker_run(const struct frame_header *header, struct span payload)
{
	struct outcome outcome = {0};
	struct frame_job job;
	const struct task *task;
	struct task_call call;

	if (frame_read_job(payload, &job) < 0)
		worker_fault("a job that cannot be read");
	worker.job = header->job;
	worker.token = header->token;
	call = (struct task_call){
	    .job = header->job, .attempt = job.attempt, .args = job.args, .report = worker_report};
	task = task_find(worker.config->tasks, job.task);
	if (task != NULL && task->kind == TASK_FUNCTION)
		worker_run_function(task, &call, &outcome);
	else if (task != NULL && task->kind == TASK_COMMAND)
		worker_run_command(task, &call, &job, &outcome);
	else
		outcome_set_error(&outcome, JOB_ERROR_TASK_ERROR, "%.*s is no task for a worker",
		    (int)(job.task.len < 100 ? job.task.len : 100), job.task.at);
	worker_limit_result(&outcome);
	frame_put_result(&worker.out, worker.job, worker.token, &outcome);
	outcome_done(&outcome);
}

/* Handles the first frame of the buffer: false when there is no whole one. */
static bool
worker_take_frame(void)
{
	struct frame_header header;
	struct span payload;
	int whole = frame_cut(worker.in + worker.in_start, worker.in_end - worker.in_start, &header, &payload);

	if (whole < 0)
		worker_fault("something that is no frame");
	if (whole == 0)
		return false;
	worker.in_start += sizeof(header) + header.length; /* first: reading while a command runs may move the buffer */
	if (header.type == FRAME_JOB && slots_begin(worker.config->shared, worker.slot, worker.number++))
		worker_run(&header, payload);
	return true;
}

static void
worker_set_up(const struct spawner_config *config, unsigned slot)
{
	struct sigaction on_alarm = {.sa_handler = worker_on_alarm, .sa_flags = SA_RESTART};
	struct rlimit limit;

	worker = (struct worker){.config = config, .slot = slot, .spawner = getppid()};
	worker.max_result = config->max_result < FRAME_MAX - FRAME_ROOM ? config->max_result : FRAME_MAX - FRAME_ROOM;
	worker_open_buffer();
	log_init("worker");
	prctl(PR_SET_NAME, "futured-worker", 0, 0, 0);
	sigaction(SIGALRM, &on_alarm, NULL);
	if (proctree_adopt() < 0)
		worker_fault("it cannot become a subreaper");
	worker_die_with_spawner(true);
	if (config->nofile_soft > 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = config->nofile_soft < limit.rlim_max ? config->nofile_soft : limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	worker_ask_usage();
}

void
worker_main(const struct spawner_config *config, unsigned slot)
{
	worker_set_up(config, slot);
	frame_put_hello(&worker.out, getpid());
	for (;;) {
		while (worker_take_frame())
			;
		worker_flush();
		worker_shrink();
		if (worker_read(0) <= 0)
			worker_end(0);
	}
}
