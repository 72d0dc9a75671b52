/*
 * test_client_memory: libfutured without memory. Each allocation of the library in turn fails, in a program that
 * connects, submits, watches and asks; every call then either says so or does without, and what was begun comes to an
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
		use_everything(with);
	else if (with != NULL)
		check(fut_error_code(with) == FUT_E_MEMORY, "connect: %s", fut_error_message(with));
	fut_free(with);
	counted = false;
	return allocations >= at;
}

START_TEST(each_in_turn)
{
	long at = 1;

	script = answer;
	atomic_store(&over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve_all, NULL), 0);
	while (run_with_failure(at))
		ck_assert_int_lt(at++, 100000);
	ck_assert_msg(at > 50, "only %ld allocations were counted", at);
	atomic_store(&over, true);
	shutdown(listener, SHUT_RDWR); /* ends its accept */
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, each_in_turn);
	return run("client_memory", tcase);
}
