/*
 * fuzz_frame: what goes between the processes. The first byte says which of three.
 *
 * Frames: the rest of the input is a stream of them, as a worker or the daemon reads it, each payload by every reader. What
 * one accepts, the writer writes and the reader reads again as the same; a job's args are bound to its task, and a command that comes of
 * them can be started, or they are BadArguments.
 *
 * Workers: the daemon's end (workers.c, channel.c) with two workers that an understudy plays, by orders of the input:
 * jobs are sent, begun, answered, cancelled, taken back, workers write anything or die, births fail. Each job that was
 * sent comes back once: as an outcome only when it had begun there, as withdrawn only when it had not; and all are back
 * when all workers are gone.
 *
 * Progress: lines of a command. Read in pieces they tell the same as at once.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/command.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/queues.h"
#include "daemon/workers.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/understudy.h"

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

/* The one frame that out holds: of that type, and of the header's job. */
static struct span
written(const struct frame_out *out, const struct frame_header *header, enum frame_type type)
{
	struct frame_header again;
	struct span payload;

	FUZZ_CHECK(frame_cut(out->bytes, out->len, &again, &payload) == 1, "what was written is no frame");
	FUZZ_CHECK(sizeof(again) + again.length == out->len, "more than one frame");
	FUZZ_CHECK(again.type == type && again.job == header->job && again.token == header->token, "another frame");
	return payload;
}

/* The args as the task's own function sees them. */
static void
bind_args(const struct task *task, struct span args)
{
	const struct task_call call = {.job = 1, .attempt = 1, .args = args};
	struct command command = {.umask = COMMAND_UMASK_NONE};
	struct outcome outcome = {0};
	struct span values[TASK_PARAMS_MAX];
	int result;

	if (task->any_args || (jsonspan_type(args) != JSONSPAN_ARRAY && jsonspan_type(args) != JSONSPAN_OBJECT))
		return;
	if (task->command != NULL)
		result = task->command(&call, &command, &outcome);
	else
		result = task_bind(task, args, values, &outcome);
	FUZZ_CHECK((result == 0) == (outcome.error == JOB_ERROR_NONE), "%s", outcome.json);
	FUZZ_CHECK(result == 0 || outcome.error == JOB_ERROR_BAD_ARGUMENTS, "%s", outcome.json);
	FUZZ_CHECK(result == 0 || jsonspan_validate((struct span){outcome.json, outcome.len}, NULL, NULL) == 0, "%s", outcome.json);
	if (result == 0 && task->command != NULL)
		FUZZ_CHECK(command.argv != NULL && command.argv[0] != NULL && command.argv[0][0] != '\0' &&
			(command.umask == COMMAND_UMASK_NONE || command.umask <= 0777), "a command that is none");
	command_done(&command);
	outcome_done(&outcome);
}

static bool
same_span(struct span a, struct span b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static void
check_job(const struct frame_header *header, struct span payload)
{
	struct frame_job job, again;
	struct frame_out out = {0};
	const struct task *task;

	if (frame_read_job(payload, &job) < 0)
		return;
	task = task_find(tasks_builtin, job.task);
	if (task == NULL)
		return;
	bind_args(task, job.args);
	frame_put_job(&out, header->job, header->token, task->name, job.attempt, &job.limits, job.as, job.args);
	FUZZ_CHECK(frame_read_job(written(&out, header, FRAME_JOB), &again) == 0, "a job that cannot be read again");
	FUZZ_CHECK(task_find(tasks_builtin, again.task) == task && again.attempt == job.attempt && again.as == job.as &&
		memcmp(&again.limits, &job.limits, sizeof(job.limits)) == 0 && same_span(again.args, job.args), "another job");
	frame_out_done(&out);
}

static void
check_result(const struct frame_header *header, struct span payload)
{
	struct outcome outcome, again;
	struct frame_out out = {0};

	if (frame_read_result(payload, &outcome) < 0)
		return;
	FUZZ_CHECK(outcome.usage.known && outcome.usage.user_us >= 0 && outcome.usage.max_rss_kib >= 0, "usage");
	frame_put_result(&out, header->job, header->token, &outcome);
	FUZZ_CHECK(frame_read_result(written(&out, header, FRAME_RESULT), &again) == 0, "a result that cannot be read again");
	FUZZ_CHECK(again.error == outcome.error && again.len == outcome.len && memcmp(again.json, outcome.json, again.len) == 0 &&
		again.usage.user_us == outcome.usage.user_us && again.usage.system_us == outcome.usage.system_us &&
		again.usage.max_rss_kib == outcome.usage.max_rss_kib, "another result");
	outcome_done(&outcome);
	outcome_done(&again);
	frame_out_done(&out);
}

static void
check_numbers(const struct frame_header *header, struct span payload)
{
	struct frame_out out = {0};
	int64_t grace_ms, grace_again, bytes[2], bytes_again[2];

	if (frame_read_cancel(payload, &grace_ms) == 0) {
		frame_put_cancel(&out, header->job, header->token, grace_ms);
		FUZZ_CHECK(frame_read_cancel(written(&out, header, FRAME_CANCEL), &grace_again) == 0 && grace_again == grace_ms, "another grace");
	} else if (frame_read_output(payload, &bytes[0], &bytes[1]) == 0) {
		frame_put_output(&out, header->job, header->token, bytes[0], bytes[1]);
		FUZZ_CHECK(frame_read_output(written(&out, header, FRAME_OUTPUT), &bytes_again[0], &bytes_again[1]) == 0 &&
			bytes[0] == bytes_again[0] && bytes[1] == bytes_again[1], "other bytes");
	}
	frame_out_done(&out);
}

static void
check_progress(const struct frame_header *header, struct span payload)
{
	struct progress progress, again;
	struct frame_out out = {0};
	struct text text = {0};

	if (frame_read_progress(payload, &progress) < 0)
		return;
	frame_put_progress(&out, header->job, header->token, &progress);
	FUZZ_CHECK(frame_read_progress(written(&out, header, FRAME_PROGRESS), &again) == 0 && again.millionths == progress.millionths &&
		strcmp(again.text, progress.text) == 0, "another progress");
	progress_add_json(&progress, &text);
	FUZZ_CHECK(jsonspan_validate(text_span(&text), NULL, NULL) == 0, "%.*s", (int)text.len, text.at);
	text_done(&text);
	frame_out_done(&out);
}

static void
play_frames(struct span bytes)
{
	struct span stream = fuzz_tight(bytes), payload;
	struct frame_header header;
	size_t at = 0;

	while (frame_cut(stream.at + at, stream.len - at, &header, &payload) == 1) {
		FUZZ_CHECK(payload.at == stream.at + at + sizeof(header) && payload.len == header.length, "another payload");
		at += sizeof(header) + header.length;
		payload = fuzz_tight(payload);
		check_job(&header, payload);
		check_result(&header, payload);
		check_numbers(&header, payload);
		check_progress(&header, payload);
		fuzz_release(payload);
	}
	fuzz_release(stream);
}

/* ---- progress --------------------------------------------------------------------------------------------------- */

static void
play_progress(struct fuzz_input *input)
{
	struct progress_reader whole = {0}, pieces = {0};
	size_t piece = 1 + fuzz_byte(input) % 64u;
	struct span bytes = fuzz_take(input, SIZE_MAX), part;
	struct fuzz_input rest = {(const uint8_t *)bytes.at, bytes.len};
	bool news = progress_read(&whole, bytes.at, bytes.len), some = false;

	while (rest.left > 0) {
		part = fuzz_tight(fuzz_take(&rest, piece));
		some = progress_read(&pieces, part.at, part.len) || some;
		fuzz_release(part);
	}
	FUZZ_CHECK(news == some && whole.last.millionths == pieces.last.millionths && strcmp(whole.last.text, pieces.last.text) == 0,
	    "in pieces it tells something else: %d \"%s\", not %d \"%s\"", pieces.last.millionths, pieces.last.text,
	    whole.last.millionths, whole.last.text);
	FUZZ_CHECK(whole.last.millionths >= 0 && whole.last.millionths <= PROGRESS_MILLION &&
		jsonspan_is_text(whole.last.text, strlen(whole.last.text)), "no progress");
}

/* ---- workers ---------------------------------------------------------------------------------------------------- */

#define JOBS_MAX  16
#define CPU_SLOTS 1

enum order { ORDER_SEND, ORDER_BEGIN, ORDER_ANSWER, ORDER_FRAME, ORDER_BYTES, ORDER_DIE, ORDER_CANCEL, ORDER_KILL, ORDER_TAKE_BACK,
	ORDER_REFUSE, ORDER_TURN, ORDERS };

static struct loop *loop;
static struct slots *shared;
static struct workers *workers;
static struct understudy us;
static struct jobs jobs;
static struct queue queue;
static struct {
	struct job *job; /* NULL: this place is free */
	bool begun;
} out[JOBS_MAX];
static int64_t last_id;

static size_t
place_of(const struct job *job)
{
	for (size_t i = 0; i < JOBS_MAX; i++) {
		if (out[i].job == job)
			return i;
	}
	fuzz_fail(__FILE__, __LINE__, "a job came back that nobody has out");
}

static void
came_back(struct job *job)
{
	size_t at = place_of(job);

	FUZZ_CHECK(job->slot == NULL, "it is in its slot still");
	out[at].job = NULL;
	job_free(&jobs, job);
}

static void
on_outcome(struct job *job, struct outcome *outcome, void *arg)
{
	(void)arg;
	FUZZ_CHECK(out[place_of(job)].begun, "the outcome of a job that has not begun");
	outcome_done(outcome);
	came_back(job);
}

static void
on_died(struct job *job, bool begun, int status, const struct usage *usage, void *arg)
{
	(void)status;
	(void)usage;
	(void)arg;
	FUZZ_CHECK(begun == out[place_of(job)].begun, "whether it had begun is told wrong");
	came_back(job);
}

static void
on_withdrawn(struct job *job, void *arg)
{
	(void)arg;
	FUZZ_CHECK(!out[place_of(job)].begun, "a job that has begun is withdrawn");
	came_back(job);
}

static void
on_output(struct job *job, int64_t stdout_bytes, int64_t stderr_bytes, void *arg)
{
	(void)arg;
	FUZZ_CHECK(out[place_of(job)].job != NULL && stdout_bytes >= 0 && stderr_bytes >= 0, "output");
}

static void
on_progress(struct job *job, const struct progress *progress, void *arg)
{
	(void)arg;
	FUZZ_CHECK(out[place_of(job)].job != NULL && progress->millionths <= PROGRESS_MILLION, "progress");
}

static void
on_room(void *arg)
{
	(void)arg;
}

static void
on_spawner_died(void *arg)
{
	(void)arg;
	fuzz_fail(__FILE__, __LINE__, "the spawner is said to have died");
}

static void
us_job(struct understudy *understudy, unsigned slot, const struct frame_header *header, struct span payload)
{
	struct job *job = job_find(&jobs, (int64_t)header->job);
	struct frame_job read;

	(void)understudy;
	FUZZ_CHECK(job != NULL && job->token == header->token && job->slot == workers_slot(workers, slot), "a job of another slot");
	FUZZ_CHECK(frame_read_job(payload, &read) == 0 && jsonspan_is(read.task, job->spec->task), "a job that cannot be read");
	out[place_of(job)].begun = true;
}

static void
us_cancel(struct understudy *understudy, unsigned slot, const struct frame_header *header, struct span payload)
{
	int64_t grace_ms;

	(void)understudy;
	(void)slot;
	(void)header;
	FUZZ_CHECK(frame_read_cancel(payload, &grace_ms) == 0, "a cancel that cannot be read");
}

static void
turn(bool read)
{
	us.mute = !read;
	for (int i = 0; i < 3; i++) {
		understudy_turn(&us);
		workers_flush(workers);
		event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
	}
}

/* What kind of job it is: its task, and how often it may begin. */
static struct job *
new_job(uint8_t kind)
{
	static const char *const names[] = {"noop", "math.is_prime", "exec", "exec"};
	const char *name = names[kind % 4];
	const struct task *task = task_find_name(tasks_builtin, name);
	struct spec spec = {.id = ++last_id,
	    .pool = kind % 4 == 3 ? POOL_PROCESSES : POOL_CPU,
	    .idempotent = kind % 4 < 2 || kind & 4,
	    .max_attempts = kind & 8 ? 1 : 3,
	    .timeout_ms = SPEC_NONE,
	    .task = name,
	    .queue = "default",
	    .owner = "uid:1",
	    .args = SPAN_LIT("[1]")};
	struct job *job = job_new(&jobs, spec_new(&spec), task);

	job->queue = &queue;
	job->attempts = 1;
	job->token = (uint64_t)last_id + 1000;
	return job;
}

static void
send_job(size_t at, uint8_t kind)
{
	struct slot *slot;
	struct job *job;

	if (out[at].job != NULL)
		return;
	job = new_job(kind);
	slot = workers_place(workers, job);
	if (slot == NULL) {
		job_free(&jobs, job);
		return;
	}
	out[at].job = job;
	out[at].begun = false;
	workers_reserve(slot, job);
	FUZZ_CHECK(workers_send(job), "a place that is none");
	workers_flush(workers);
}

/* A result as a worker would send it, or another frame of any type and content; of that job, nearly. */
static void
put_frame(const struct job *job, bool good, struct fuzz_input *input)
{
	struct frame_header header = {.version = FRAME_VERSION, .job = (uint64_t)job->spec->id, .token = job->token};
	struct outcome outcome = {0};
	struct frame_out frames = {0};
	unsigned slot = job->slot->index;
	struct span payload;

	if (good) {
		outcome_set_result(&outcome, SPAN_LIT("[1]"));
		frame_put_result(&frames, header.job, header.token, &outcome);
		understudy_put(&us, slot, &frames);
		outcome_done(&outcome);
		return;
	}
	header.type = fuzz_byte(input);
	header.token += header.type >> 7;
	header.type &= 0x7f;
	payload = fuzz_take(input, fuzz_byte(input));
	header.length = (uint32_t)payload.len;
	understudy_write(&us, slot, (struct span){(const char *)&header, sizeof(header)});
	understudy_write(&us, slot, payload);
}

static void
obey(enum order order, size_t at, struct fuzz_input *input)
{
	struct job *job = out[at].job;

	switch (order) {
	case ORDER_SEND: send_job(at, fuzz_byte(input)); return;
	case ORDER_BEGIN: turn(true); return;
	case ORDER_ANSWER:
	case ORDER_FRAME:
		if (job != NULL)
			put_frame(job, order == ORDER_ANSWER, input);
		return;
	case ORDER_BYTES: understudy_write(&us, (unsigned)at % us.n_slots, fuzz_take(input, fuzz_byte(input))); return;
	case ORDER_DIE: understudy_die(&us, (unsigned)at % us.n_slots, fuzz_byte(input) % 128 ? 0 : SIGSEGV); return;
	case ORDER_CANCEL:
		if (job != NULL && job->task->kind == TASK_COMMAND)
			workers_cancel(job, 5000);
		return;
	case ORDER_KILL:
		if (job != NULL)
			workers_kill(job);
		return;
	case ORDER_TAKE_BACK: workers_take_back(workers, &queue); return;
	case ORDER_REFUSE: us.refuse = 1; return;
	case ORDER_TURN: turn(false); return;
	case ORDERS: return;
	}
}

static void
open_workers(void)
{
	const struct workers_callbacks callbacks = {
	    on_outcome, on_died, on_withdrawn, on_output, on_progress, on_room, on_spawner_died, NULL};
	struct workers_config config = {.cpu = CPU_SLOTS, .processes = 1};

	loop = loop_new();
	shared = slots_new(config.cpu + config.processes);
	us = (struct understudy){.job = us_job, .cancel = us_cancel};
	understudy_open(&us, config.cpu + config.processes, shared, &config.spawner_fd);
	config.shared = shared;
	workers = workers_new(loop, &config, &callbacks);
	workers_start(workers);
}

static void
close_workers(void)
{
	us.refuse = UINT16_MAX; /* nobody is born any more */
	turn(false);
	for (unsigned i = 0; i < us.n_slots; i++)
		understudy_die(&us, i, 0);
	turn(false);
	for (size_t i = 0; i < JOBS_MAX; i++)
		FUZZ_CHECK(out[i].job == NULL, "job %lld has not come back", (long long)out[i].job->spec->id);
	FUZZ_CHECK(jobs.n == 0, "%zu jobs are left", jobs.n);
	workers_free(workers);
	understudy_close(&us);
	slots_free(shared);
	loop_free(loop);
}

static void
play_workers(struct fuzz_input *input)
{
	open_workers();
	turn(true);
	while (input->left > 0) {
		uint8_t what = fuzz_byte(input);

		obey((enum order)(what % ORDERS), (what / ORDERS) % JOBS_MAX, input);
	}
	close_workers();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};

	switch (fuzz_byte(&input) % 3) {
	case 0: play_frames(fuzz_take(&input, SIZE_MAX)); break;
	case 1: play_workers(&input); break;
	default: play_progress(&input); break;
	}
	return 0;
}
