/*
 * test_client_watch: the events of a watch: one by one, by callback, beside other calls, given up, refused, cut off.
 */
#include "fake_daemon.h"
#include "tests/unit/bulk.h"

#include <stdatomic.h>

#define REPLY "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"watch\":7,\"count\":2}}\n"
#define EVENT(watch, event, job)                                                                                      \
	"{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":" #watch ",\"event\":\"" event "\"" job "}}" \
														 "\n"
#define JOB(id, state, more) ",\"job\":{\"id\":" #id ",\"state\":\"" state "\"" more "}"
#define END		     EVENT(7, "end", "")

static char heard[4][512];

static void listen_to(int index)
{
	const char *line = hear();

	snprintf(heard[index], sizeof(heard[index]), "%s", line != NULL ? line : "");
}

static struct fut_watch *watch_range(fut_watch_cb callback, void *arg)
{
	struct fut_params *params = fut_params_new();
	struct fut_range ranges[] = {{1001, 1400}, {7, 7}};
	struct fut_watch *watch;

	fut_params_ranges(params, ranges, 2);
	ck_assert_int_eq(fut_watch(client, params, callback, arg, &watch), 0);
	fut_params_free(params);
	return watch;
}

/* The next event must be of this job. */
static struct fut_job *next(struct fut_watch *watch, enum fut_event wanted, int64_t id)
{
	enum fut_event event;
	struct fut_job *job;

	ck_assert_int_eq(fut_watch_next(watch, FUT_FOREVER, &event, &job), 1);
	ck_assert_int_eq(event, wanted);
	ck_assert_int_eq(fut_job_id(job), id);
	return job;
}

static void ended(struct fut_watch *watch, int code)
{
	enum fut_event event;
	struct fut_job *job;

	ck_assert_int_eq(fut_watch_next(watch, FUT_FOREVER, &event, &job), code);
	ck_assert_int_eq(fut_watch_code(watch), code);
	fut_watch_free(watch);
}

static void say_events(void)
{
	listen_to(0);
	say(REPLY EVENT(7, "running", JOB(1, "running", "")));
	say(EVENT(7, "progress", JOB(1, "running", ",\"progress\":{\"fraction\":0.5,\"text\":\"half\"}")));
	say(EVENT(8, "finished", JOB(9, "succeeded", "")) EVENT(7, "sneezed", JOB(1, "running", "")));
	say("{\"jsonrpc\":\"2.0\",\"method\":\"gossip\",\"params\":{}}\n" EVENT(7, "finished", ""));
	say(EVENT(7, "finished", JOB(1, "succeeded", ",\"result\":[1]")) END);
	hear();
}

START_TEST(one_by_one)
{
	struct fut_watch *watch;
	struct fut_job *job;

	ck_assert_int_eq(start(say_events), 0);
	watch = watch_range(NULL, NULL);
	ck_assert_int_eq(fut_watch_count(watch), -1);
	job = next(watch, FUT_EVENT_RUNNING, 1);
	ck_assert_int_eq(fut_job_state(job), FUT_RUNNING);
	ck_assert_ptr_null(fut_job_progress(job));
	fut_job_free(job);
	ck_assert_int_eq(fut_watch_count(watch), 2);
	job = next(watch, FUT_EVENT_PROGRESS, 1);
	ck_assert_str_eq(fut_job_progress(job), "{\"fraction\":0.5,\"text\":\"half\"}");
	fut_job_free(job);
	job = next(watch, FUT_EVENT_FINISHED, 1);
	ck_assert_str_eq(fut_job_result(job), "[1]");
	fut_job_free(job);
	ended(watch, 0);
	ck_assert_str_eq(
	    heard[0], "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"watch\",\"params\":{\"ids\":[\"1001-1400\",7]}}\n");
}
END_TEST

static void say_events_before_pong(void)
{
	hear();
	hear();
	say(REPLY EVENT(7, "finished", JOB(1, "succeeded", "")) EVENT(7, "finished", JOB(2, "failed", "")) END);
	say("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":\"pong\"}\n");
	hear();
}

START_TEST(beside_other_calls)
{
	struct fut_watch *watch;

	ck_assert_int_eq(start(say_events_before_pong), 0);
	watch = watch_range(NULL, NULL);
	ck_assert_int_eq(fut_ping(client), 0);
	fut_job_free(next(watch, FUT_EVENT_FINISHED, 1));
	fut_job_free(next(watch, FUT_EVENT_FINISHED, 2));
	ended(watch, 0);
}
END_TEST

static int calls[5];

static void count_event(struct fut_watch *watch, enum fut_event event, const struct fut_job *job, void *arg)
{
	struct fut_watch **to_free = arg;

	ck_assert((job == NULL) == (event == FUT_EVENT_END));
	calls[event]++;
	if (to_free != NULL) {
		fut_watch_free(watch);
		*to_free = NULL;
	}
}

START_TEST(by_callback)
{
	struct fut_watch *watch;

	memset(calls, 0, sizeof(calls));
	ck_assert_int_eq(start(say_events_before_pong), 0);
	watch = watch_range(count_event, NULL);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_msg(calls[FUT_EVENT_FINISHED] == 0, "a call that waits calls nothing back");
	ck_assert_int_eq(fut_process(client, 0), 3);
	ck_assert_int_eq(calls[FUT_EVENT_FINISHED], 2);
	ck_assert_int_eq(calls[FUT_EVENT_END], 1);
	ck_assert_int_eq(fut_process(client, 0), 0);
	fut_watch_free(watch);
}
END_TEST

START_TEST(freed_by_its_callback)
{
	struct fut_watch *watch;

	memset(calls, 0, sizeof(calls));
	ck_assert_int_eq(start(say_events_before_pong), 0);
	watch = watch_range(count_event, &watch);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_int_eq(fut_process(client, 0), 1);
	ck_assert_ptr_null(watch);
	ck_assert_int_eq(fut_process(client, 0), 0);
	ck_assert_int_eq(calls[FUT_EVENT_FINISHED] + calls[FUT_EVENT_END], 1);
}
END_TEST

static void say_until_unwatched(void)
{
	listen_to(0);
	say(REPLY EVENT(7, "finished", JOB(1, "succeeded", "")));
	listen_to(1);
	say(EVENT(7, "finished", JOB(2, "succeeded", "")));
	say("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":true}\n" EVENT(7, "finished", JOB(3, "succeeded", "")));
	listen_to(2);
	say("{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":\"pong\"}\n");
	hear();
}

START_TEST(given_up)
{
	struct fut_watch *watch;

	ck_assert_int_eq(start(say_until_unwatched), 0);
	watch = watch_range(NULL, NULL);
	fut_job_free(next(watch, FUT_EVENT_FINISHED, 1));
	fut_watch_free(watch);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_str_eq(heard[1], "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"unwatch\",\"params\":{\"watch\":7}}\n");
}
END_TEST

static void say_late_reply(void)
{
	listen_to(0);
	listen_to(1);
	say(REPLY EVENT(7, "finished", JOB(1, "succeeded", "")) "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":\"pong\"}\n");
	listen_to(2);
	say("{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":true}\n");
	listen_to(3);
	say("{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":\"pong\"}\n");
	hear();
}

START_TEST(given_up_before_the_reply)
{
	ck_assert_int_eq(start(say_late_reply), 0);
	fut_watch_free(watch_range(NULL, NULL));
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_int_eq(fut_ping(client), 0);
	ck_assert_ptr_nonnull(strstr(heard[2], "\"unwatch\",\"params\":{\"watch\":7}"));
}
END_TEST

static void refuse(void)
{
	hear();
	say("{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32001,\"message\":\"no such job\",\"data\":{\"code\":"
	    "\"not_found\",\"ids\":[7]}}}\n");
	hear();
}

START_TEST(refused)
{
	struct fut_watch *watch;

	ck_assert_int_eq(start(refuse), 0);
	watch = watch_range(NULL, NULL);
	ended(watch, FUT_E_NOT_FOUND);
	ck_assert_str_eq(fut_error_message(client), "no such job");
	ck_assert_str_eq(fut_error_data(client), "{\"code\":\"not_found\",\"ids\":[7]}");
}
END_TEST

START_TEST(refused_by_callback)
{
	struct fut_watch *watch;

	memset(calls, 0, sizeof(calls));
	ck_assert_int_eq(start(refuse), 0);
	watch = watch_range(count_event, NULL);
	ck_assert_int_eq(fut_process(client, -1), 1);
	ck_assert_int_eq(calls[FUT_EVENT_END], 1);
	ck_assert_int_eq(fut_watch_code(watch), FUT_E_NOT_FOUND);
	ck_assert_str_eq(fut_error_word(client), "not_found");
	fut_watch_free(watch);
}
END_TEST

static void say_one_and_go(void)
{
	hear();
	say(REPLY EVENT(7, "finished", JOB(1, "succeeded", "")));
}

START_TEST(cut_off)
{
	struct fut_watch *watch;

	ck_assert_int_eq(start(say_one_and_go), 0);
	watch = watch_range(NULL, NULL);
	ck_assert_int_eq(fut_call(client, "ping", NULL, NULL), FUT_E_DISCONNECTED);
	fut_job_free(next(watch, FUT_EVENT_FINISHED, 1));
	ended(watch, FUT_E_DISCONNECTED);
}
END_TEST

static void say_an_early_end(void)
{
	hear();
	say(REPLY EVENT(7, "end", ",\"error\":\"the store is gone\""));
	hear();
}

START_TEST(an_early_end)
{
	struct fut_watch *watch;

	ck_assert_int_eq(start(say_an_early_end), 0);
	watch = watch_range(NULL, NULL);
	ended(watch, FUT_E_INTERNAL);
	ck_assert_str_eq(fut_error_message(client), "the store is gone");
}
END_TEST

START_TEST(longer_than_its_client)
{
	struct fut_watch *watch;
	enum fut_event event;
	struct fut_job *job;

	ck_assert_int_eq(start(say_one_and_go), 0);
	watch = watch_range(count_event, NULL);
	fut_free(client);
	client = NULL;
	ck_assert_int_eq(fut_watch_next(watch, FUT_FOREVER, &event, &job), FUT_E_DISCONNECTED);
	fut_watch_free(watch);
}
END_TEST

START_TEST(nothing_in_time)
{
	struct fut_watch *watch;
	enum fut_event event;
	struct fut_job *job;

	ck_assert_int_eq(start(say_until_unwatched), 0);
	watch = watch_range(NULL, NULL);
	fut_job_free(next(watch, FUT_EVENT_FINISHED, 1));
	ck_assert_int_eq(fut_watch_next(watch, 0, &event, &job), FUT_E_TIMED_OUT);
	ck_assert_int_eq(fut_watch_next(watch, 0.05, &event, &job), FUT_E_TIMED_OUT);
	ck_assert_int_eq(fut_watch_code(watch), 0);
	fut_watch_free(watch);
	ck_assert_int_eq(fut_ping(client), 0);
}
END_TEST

#define FLOOD	    20000
#define FLOOD_BYTES 1000
#define FLOOD_AHEAD 4000 /* what sockets and one read hold, with much to spare */

static atomic_int said;

static void say_flood(void)
{
	char text[FLOOD_BYTES + 1];

	memset(text, 'x', FLOOD_BYTES);
	text[FLOOD_BYTES] = '\0';
	hear();
	say(REPLY);
	for (int i = 1; i <= FLOOD; i++) {
		say_format("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":7,\"event\":\"finished\","
			   "\"job\":{\"id\":%d,\"state\":\"succeeded\",\"result\":\"%s\"}}}\n",
			   i, text);
		atomic_store(&said, i);
	}
	say(END);
	hear();
}

START_TEST(no_faster_than_its_reader)
{
	struct fut_watch *watch;

	atomic_store(&said, 0);
	ck_assert_int_eq(start(say_flood), 0);
	watch = watch_range(NULL, NULL);
	for (int i = 1; i <= FLOOD; i++) {
		fut_job_free(next(watch, FUT_EVENT_FINISHED, i));
		ck_assert_int_lt(atomic_load(&said), i + FLOOD_AHEAD);
	}
	ended(watch, 0);
}
END_TEST

static void check_flood(struct fut_watch *watch, enum fut_event event, const struct fut_job *job, void *arg)
{
	int *taken = arg;

	(void)watch;
	++*taken;
	if (event == FUT_EVENT_FINISHED)
		ck_assert_int_eq(fut_job_id(job), *taken);
	ck_assert_int_lt(atomic_load(&said), *taken + FLOOD_AHEAD);
}

START_TEST(no_faster_than_its_callback)
{
	struct fut_watch *watch;
	int taken = 0;

	atomic_store(&said, 0);
	ck_assert_int_eq(start(say_flood), 0);
	watch = watch_range(check_flood, &taken);
	while (taken <= FLOOD)
		ck_assert_int_gt(fut_process(client, -1), 0);
	ck_assert_int_eq(fut_watch_code(watch), 0);
	fut_watch_free(watch);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, one_by_one);
	tcase_add_test(tcase, beside_other_calls);
	tcase_add_test(tcase, by_callback);
	tcase_add_test(tcase, freed_by_its_callback);
	tcase_add_test(tcase, given_up);
	tcase_add_test(tcase, given_up_before_the_reply);
	tcase_add_test(tcase, refused);
	tcase_add_test(tcase, refused_by_callback);
	tcase_add_test(tcase, cut_off);
	tcase_add_test(tcase, an_early_end);
	tcase_add_test(tcase, longer_than_its_client);
	tcase_add_test(tcase, nothing_in_time);
	tcase_add_bulk_test(tcase, no_faster_than_its_reader);
	tcase_add_bulk_test(tcase, no_faster_than_its_callback);
	return run("client_watch", tcase);
}
