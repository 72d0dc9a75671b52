/*
 * test_client_memory: libfutured without memory. Each allocation of the library in turn fails, in a program that
 * connects, submits, watches and asks by every call there is; each then either says so or does without, and what was begun comes to an
 * end.
 *
 * The allocators are wrapped by the linker (--wrap), so only what this program's own objects ask for can fail.
 */
#include "fake_daemon.h"

#include <stdatomic.h>

static _Thread_local bool counted; /* the client's thread alone; the daemon has memory */
static long fail_at;
static long allocations;

static bool fails(void)
{
	return counted && ++allocations == fail_at;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size)
{
	return fails() ? NULL : __real_realloc(at, size);
}

void *__real_reallocarray(void *at, size_t count, size_t size);
void *__wrap_reallocarray(void *at, size_t count, size_t size);
void *__wrap_reallocarray(void *at, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(at, count, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *__real_strndup(const char *text, size_t len);
char *__wrap_strndup(const char *text, size_t len);
char *__wrap_strndup(const char *text, size_t len)
{
	return fails() ? NULL : __real_strndup(text, len);
}

int __real_vasprintf(char **text, const char *format, va_list args);
int __wrap_vasprintf(char **text, const char *format, va_list args);
int __wrap_vasprintf(char **text, const char *format, va_list args)
{
	return fails() ? -1 : __real_vasprintf(text, format, args);
}

/* What the compiler makes of it in a fortified build. */
int __real___vasprintf_chk(char **text, int flag, const char *format, va_list args);
int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list args);
int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list args)
{
	return fails() ? -1 : __real___vasprintf_chk(text, flag, format, args);
}

/* Answers submissions, watches of any range of one, and all else; a job's result is its id. */
static void answer(void)
{
	int job = 40, watch = 0, request, first;
	const char *line, *ids;

	while ((line = hear()) != NULL && sscanf(line, "{\"jsonrpc\":\"2.0\",\"id\":%d", &request) == 1) {
		if (strstr(line, "\"submit\"") != NULL) {
			say_format("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"id\":%d}}\n", request, ++job);
		} else if (strstr(line, "\"watch\",") != NULL) {
			ids = strpbrk(strstr(line, "\"ids\":["), "0123456789");
			first = atoi(ids);
			watch++;
			say_format("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"watch\":%d,\"count\":1}}\n", request,
				   watch);
			for (int id = first; id < first + 2; id++)
				say_format("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":%d,"
					   "\"event\":\"finished\",\"job\":{\"id\":%d,\"state\":\"%s\",\"result\":%d,"
					   "\"error\":{\"type\":\"ExitStatus\",\"message\":\"it ended\"}}}}\n",
					   watch, id, id == 42 ? "failed" : "succeeded", id);
			say_format(
			    "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":%d,\"event\":\"end\"}}\n",
			    watch);
		} else {
			say_format("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":\"pong\"}\n", request);
		}
	}
}

static int called, due;

static void count_reply(struct fut_client *from, int code, const char *result, void *arg)
{
	(void)from;
	(void)code;
	(void)result;
	(void)arg;
	called++;
}

static void count_done(struct fut_future *future, void *arg)
{
	(void)future;
	(void)arg;
	called++;
}

static void count_event(struct fut_watch *watch, enum fut_event event, const struct fut_job *job, void *arg)
{
	(void)watch;
	(void)job;
	(void)arg;
	called += event == FUT_EVENT_END;
}

/* Whether a code is one that a lack of memory may give, or the end of the connection for it. */
static bool is_fitting(int r)
{
	return r >= 0 || r == FUT_E_MEMORY || r == FUT_E_DISCONNECTED || r == FUT_E_JOB_FAILED;
}

/* Check asks for memory too. */
#define check(...)                          \
	do {                                \
		counted = false;            \
		ck_assert_msg(__VA_ARGS__); \
		counted = true;             \
	} while (0)

static void use_watch(struct fut_watch *watch)
{
	enum fut_event event;
	struct fut_job *job;
	int r;

	while ((r = fut_watch_next(watch, FUT_FOREVER, &event, &job)) > 0)
		fut_job_free(job);
	check(is_fitting(r), "watch_next: %d", r);
	fut_watch_free(watch);
}

static void use_everything(struct fut_client *with)
{
	struct fut_future *futures[3] = {NULL};
	struct fut_watch *watch = NULL, *called_back = NULL;
	struct fut_range range = {5, 6};
	struct fut_params *params;
	const char *result;
	int r = 0, poll_fd;

	due = 0;
	called = 0;
	poll_fd = fut_poll_fd(with);
	check(poll_fd >= 0 || poll_fd == FUT_E_MEMORY, "poll_fd: %d", poll_fd);
	for (int i = 0; i < 2; i++)
		if ((r = fut_future_submit(with, "noop", "[1]", NULL, &futures[i])) < 0)
			check(is_fitting(r), "submit: %d", r);
		else
			due += fut_future_add_done_callback(futures[i], count_done, NULL) == 0;
	r = fut_future_open(with, 7, &futures[2]);
	check(is_fitting(r), "open: %d", r);
	if (futures[0] != NULL && (r = fut_future_cancel(futures[0], 1, "no more")) < 0)
		check(is_fitting(r), "cancel: %d", r);
	params = fut_params_new();
	if (params != NULL) {
		fut_params_ranges(params, &range, 1);
		if (fut_watch(with, params, NULL, NULL, &watch) < 0)
			watch = NULL;
		due += fut_watch(with, params, count_event, NULL, &called_back) == 0;
		fut_params_free(params);
	}
	due += fut_ask(with, "ping", NULL, count_reply, NULL, NULL) == 0;
	for (int i = 0; i < 3; i++) {
		r = futures[i] != NULL ? fut_future_result(futures[i], FUT_FOREVER, &result) : 0;
		check(is_fitting(r), "result: %d (%s)", r, fut_error_message(with));
	}
	if (watch != NULL)
		use_watch(watch);
	while (called < due && (r = fut_process(with, -1)) >= 0)
		;
	check(called == due, "%d of %d callbacks", called, due);
	check(is_fitting(r), "process: %d", r);
	fut_watch_free(called_back);
	for (int i = 0; i < 3; i++)
		fut_future_free(futures[i]);
	r = fut_ping(with);
	check(is_fitting(r), "ping: %d", r);
}

/* ---- every call that waits for its answer ------------------------------------------------------------------- */

#define JOB                                                                                                            \
	"{\"id\":42,\"state\":\"failed\",\"args\":[1],\"result\":null,\"error\":{\"type\":\"ExitStatus\",\"message\":\"it " \
	"ended\"},\"progress\":{\"fraction\":0.5,\"text\":\"half\"}}"

/* What the daemon says to each; a result of more than this is not asked for. */
static const struct {
	const char *method, *result;
} answers[] = {
	{"\"submit\"", "{\"id\":42,\"state\":\"pending\"}"},
	{"\"map\"", "{\"first\":7,\"count\":3}"},
	{"\"run\"", JOB},
	{"\"status\"", JOB},
	{"\"await\"", "{\"timed_out\":false,\"counts\":{\"failed\":1},\"done\":[" JOB "],\"not_done\":[]}"},
	{"\"list\"", "{\"jobs\":[" JOB "," JOB "],\"next\":9}"},
	{"\"cancel\"", "{\"id\":42,\"cancelled\":true,\"was\":\"running\"}"},
	{"\"retry\"", "{\"id\":42,\"retried\":true,\"new\":57}"},
	{"\"forget\"", "{\"id\":42,\"forgotten\":true}"},
	{"\"output\"", "{\"data\":\"aGVsbG8=\",\"encoding\":\"base64\",\"offset\":0,\"next\":5,\"eof\":true}"},
	{"\"queues\"", "[{\"queue\":\"default\"}]"},
	{"\"tasks\"", "[{\"task\":\"noop\"}]"},
	{"\"stats\"", "{\"running\":0}"},
	{"\"ping\"", "\"pong\""},
};

static void answer_calls(void)
{
	const char *line, *result;
	int request;

	while ((line = hear()) != NULL && sscanf(line, "{\"jsonrpc\":\"2.0\",\"id\":%d", &request) == 1) {
		result = "true";
		for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
			if (strstr(line, answers[i].method) != NULL)
				result = answers[i].result;
		say_format("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":%s}\n", request, result);
	}
}

/* Whether it went well; else it says so, in a code and in words. */
static bool went_well(struct fut_client *with, const char *call, int r)
{
	check(is_fitting(r), "%s: %d (%s)", call, r, fut_error_message(with));
	if (r < 0)
		check(fut_error_message(with)[0] != '\0' && fut_error_code(with) == r, "%s: %d without a word", call, r);
	return r >= 0;
}

static void check_job(struct fut_job *job)
{
	check(fut_job_id(job) == 42 && fut_job_state(job) == FUT_FAILED && fut_job_ended(job), "another job");
	check(strcmp(fut_job_error_type(job), "ExitStatus") == 0, "another error");
	check(strcmp(fut_job_error_message(job), "it ended") == 0, "another message");
	check(fut_job_progress(job) != NULL && fut_job_error(job) != NULL, "something is left out");
	check(fut_job_result(job) == NULL && strcmp(fut_job_json(job), JOB) == 0, "another object");
	fut_job_free(job);
}

static void use_submissions(struct fut_client *with, struct fut_params *params)
{
	int64_t id = 0, count = 0;
	struct fut_job *job;

	if (went_well(with, "submit", fut_submit(with, "noop", "[1]", params, &id)))
		check(id == 42, "another id");
	if (went_well(with, "map", fut_map(with, "noop", "[1,2,3]", params, &id, &count)))
		check(id == 7 && count == 3, "another map");
	if (went_well(with, "run", fut_run(with, "noop", NULL, params, 1.5, &job)))
		check_job(job);
}

static void use_jobs(struct fut_client *with, const struct fut_params *params)
{
	struct fut_range range = {42, 42};
	struct fut_jobs *jobs;
	struct fut_job *job;
	bool timed_out = true;
	int64_t next = 0;

	if (went_well(with, "status", fut_status(with, 42, &job)))
		check_job(job);
	if (went_well(with, "await_job", fut_await_job(with, 42, FUT_FOREVER, &job)))
		check_job(job);
	if (went_well(with, "await", fut_await(with, &range, 1, FUT_ANY, 2, &timed_out, &jobs))) {
		check(!timed_out && fut_jobs_count(jobs) == 1, "another end of the wait");
		fut_jobs_free(jobs);
	}
	if (went_well(with, "list", fut_list(with, params, &jobs, &next))) {
		check(next == 9 && fut_jobs_count(jobs) == 2 && fut_job_id(fut_jobs_at(jobs, 1)) == 42, "another list");
		fut_jobs_free(jobs);
	}
	if (went_well(with, "job_read", fut_job_read(with, JOB, &job)))
		check_job(job);
}

static void use_control(struct fut_client *with)
{
	struct fut_chunk chunk;
	bool yes = false;
	int64_t id = 0;

	if (went_well(with, "cancel", fut_cancel(with, 42, 1, "because", &yes)))
		check(yes, "not cancelled");
	yes = false;
	if (went_well(with, "forget", fut_forget(with, 42, &yes)))
		check(yes, "not forgotten");
	if (went_well(with, "retry", fut_retry(with, 42, &id)))
		check(id == 57, "another retry");
	if (went_well(with, "output", fut_output(with, 42, FUT_STDERR, 0, 100, FUT_FOREVER, &chunk))) {
		check(chunk.len == 5 && strcmp(chunk.bytes, "hello") == 0 && chunk.eof, "another output");
		free(chunk.bytes);
	}
	went_well(with, "pause", fut_pause(with, "a queue"));
	went_well(with, "resume", fut_resume(with, "a queue"));
	went_well(with, "set_queue", fut_set_queue(with, "a queue", 3));
	went_well(with, "drain", fut_drain(with, 1));
}

static void use_texts(struct fut_client *with)
{
	int (*const calls[])(struct fut_client * client, char **ret) = {fut_queues, fut_tasks, fut_stats};
	char *text;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (went_well(with, "a text", calls[i](with, &text))) {
			check(text[0] == '[' || text[0] == '{', "another text: %s", text);
			free(text);
		}
	}
}

/* Replies that are taken in another order than asked, and one that nobody wants any more. */
static void use_requests(struct fut_client *with)
{
	int64_t first = 0, second = 0, dropped = 0, which = 0;
	char *text;

	if (!went_well(with, "send", fut_send(with, "queues", NULL, &first)))
		return;
	if (went_well(with, "send", fut_send(with, "tasks", NULL, &second)) &&
	    went_well(with, "receive", fut_receive(with, second, -1, &text))) {
		check(strcmp(text, "[{\"task\":\"noop\"}]") == 0, "another reply: %s", text);
		free(text);
	}
	if (went_well(with, "send", fut_send(with, "ping", NULL, &dropped)))
		fut_drop(with, dropped);
	went_well(with, "flush", fut_flush(with));
	if (went_well(with, "receive_any", fut_receive_any(with, -1, &which, &text))) {
		check(which == first || which == second, "a reply to nothing");
		free(text);
	}
}

/* Of texts of every kind, long enough to grow. */
static struct fut_params *make_params(void)
{
	struct fut_params *params = fut_params_new();

	if (params == NULL)
		return NULL;
	fut_params_string(params, "label", "one \"that\" is to be quoted, and so long that there must be room made for it");
	fut_params_integer(params, "priority", -7);
	fut_params_number(params, "timeout", 1.25);
	fut_params_bool(params, "jobs", true);
	fut_params_json(params, "limits", "{\"files\":100}", SIZE_MAX);
	return params;
}

static void use_calls(struct fut_client *with)
{
	struct fut_params *params = make_params();

	if (params == NULL)
		return;
	use_submissions(with, params);
	use_jobs(with, params);
	fut_params_free(params);
	use_control(with);
	use_texts(with);
	use_requests(with);
}

/* ---- each allocation in turn ------------------------------------------------------------------------------- */

static void (*used)(struct fut_client *with);
static atomic_bool over;

static void *serve_all(void *arg)
{
	while (!atomic_load(&over))
		serve(arg);
	return NULL;
}

/* One run in which that allocation fails; whether there were as many. */
static bool run_with_failure(long at)
{
	struct fut_client *with;

	fail_at = at;
	allocations = 0;
	counted = true;
	with = fut_new("test");
	if (with != NULL && fut_connect_unix(with, path) == 0)
		used(with);
	else if (with != NULL)
		check(fut_error_code(with) == FUT_E_MEMORY, "connect: %s", fut_error_message(with));
	fut_free(with);
	counted = false;
	return allocations >= at;
}

static void fail_each(void (*use)(struct fut_client *with), void (*answers_so)(void))
{
	long at = 1;

	used = use;
	script = answers_so;
	atomic_store(&over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve_all, NULL), 0);
	while (run_with_failure(at))
		ck_assert_int_lt(at++, 100000);
	ck_assert_msg(at > 50, "only %ld allocations were counted", at);
	printf("client_memory: each of %ld allocations failed\n", at - 1);
	atomic_store(&over, true);
	shutdown(listener, SHUT_RDWR); /* ends its accept */
	pthread_join(thread, NULL);
}

START_TEST(each_in_turn)
{
	fail_each(use_everything, answer);
}
END_TEST

START_TEST(each_of_every_call)
{
	fail_each(use_calls, answer_calls);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, each_in_turn);
	tcase_add_test(tcase, each_of_every_call);
	return run("client_memory", tcase);
}
