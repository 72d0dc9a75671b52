/*
 * test_waits: timers and transfers by the thousand, and that a cancel stops each at once.
 */
#include "daemon/waits.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/tasks/tasks.h"
#include "http_server.h"
#include "pump.h"
#include "tests/unit/bulk.h"

static struct loop *loop;
static struct waits *waits;
static struct http_server *server;
static unsigned n_done, n_failed;
static uint64_t last_token, last_turn;
#define TURN 900000 /* tokens from here up are of turns() */
static char last_json[512];

static void
done(uint64_t job, uint64_t token, struct outcome *outcome, void *arg)
{
	ck_assert_ptr_eq(arg, &n_done);
	ck_assert_uint_eq(job, token + 1000000);
	n_done++;
	n_failed += outcome->error != JOB_ERROR_NONE;
	last_token = token;
	if (token >= TURN)
		last_turn = token;
	snprintf(last_json, sizeof(last_json), "%.*s", (int)outcome->len, outcome->json);
	outcome_done(outcome);
}

static void
begin(const struct task *task, uint64_t token, const char *args)
{
	waits_begin(waits, task, token + 1000000, token, 1, (struct span){args, strlen(args)}, false);
}

static void
begin_fetch(uint64_t token, const char *path)
{
	char args[256];

	snprintf(args, sizeof(args), "[\"http://127.0.0.1:%d%s\"]", http_server_port(server), path);
	begin(&task_http_fetch, token, args);
}

static void
setup(void)
{
	const struct waits_config config = {.local = false, .max_result = 1 << 20};

	n_done = n_failed = 0;
	loop = loop_new();
	waits = waits_new(loop, &config, done, &n_done);
	ck_assert_ptr_nonnull(waits);
	server = http_server_new("127.0.0.1");
	ck_assert_ptr_nonnull(server);
}

static void
teardown(void)
{
	waits_free(waits);
	http_server_free(server);
	loop_deliver(loop); /* what was posted is freed on delivery */
	loop_free(loop);
}

START_TEST(a_sleep_gives_what_it_was_given)
{
	static const char *const given[] = {"0.05", "0", "5e-2", "0.0"};
	int64_t start = loop_mono_ms();

	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		char args[64];

		snprintf(args, sizeof(args), i % 2 ? "[%s]" : "{\"seconds\":%s}", given[i]);
		begin(&task_time_sleep, i, args);
		PUMP(loop, n_done == i + 1);
		ck_assert_str_eq(last_json, given[i]);
	}
	ck_assert_int_ge(loop_mono_ms() - start, 100);
}
END_TEST

START_TEST(a_sleep_wants_a_number_that_is_not_negative)
{
	static const char *const bad[] = {"[-1]", "[\"1\"]", "[]", "[1,2]", "{\"second\":1}", "[1e300]", "[null]"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin(&task_time_sleep, i, bad[i]);
		PUMP(loop, n_done == i + 1);
		ck_assert_uint_eq(n_failed, n_done);
		ck_assert_ptr_nonnull(strstr(last_json, "\"BadArguments\""));
	}
}
END_TEST

START_TEST(a_noop_gives_its_arguments)
{
	begin(&task_noop_io, 1, "{\"any\":[1,2,{}]}");
	PUMP(loop, n_done == 1);
	ck_assert_str_eq(last_json, "{\"any\":[1,2,{}]}");
}
END_TEST

START_TEST(ten_thousand_sleeps_end_together)
{
	int64_t start = loop_mono_ms(), took;

	for (uint64_t i = 0; i < 10000; i++)
		begin(&task_time_sleep, i, "[1]");
	PUMP(loop, n_done == 10000);
	took = loop_mono_ms() - start;
	ck_assert_uint_eq(n_failed, 0);
	ck_assert_int_ge(took, 1000);
	ck_assert_int_lt(took, 5000 * pump_scale()); /* one after the other they would take three hours */
}
END_TEST

START_TEST(twenty_thousand_waits_cost_nothing)
{
	struct rusage before, after;

	for (uint64_t i = 0; i < 20000; i++)
		begin(&task_time_sleep, i, "[3600]");
	begin(&task_time_sleep, 20000, "[0]");
	PUMP(loop, n_done == 1);
	getrusage(RUSAGE_SELF, &before);
	begin(&task_time_sleep, 20001, "[0.5]");
	PUMP(loop, n_done == 2);
	getrusage(RUSAGE_SELF, &after);
	ck_assert_int_lt((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
		before.ru_utime.tv_usec,
	    250000);
	for (uint64_t i = 0; i < 20000; i += 2)
		waits_cancel(waits, i);
	begin(&task_time_sleep, 20002, "[0]");
	PUMP(loop, n_done == 3);
}
END_TEST

START_TEST(a_cancel_is_the_last_of_it)
{
	begin(&task_time_sleep, 1, "[3600]");
	begin(&task_time_sleep, 2, "[0]");
	waits_cancel(waits, 1);
	waits_cancel(waits, 1);
	waits_cancel(waits, 77);
	PUMP(loop, n_done == 1);
	ck_assert_uint_eq(last_token, 2);
	/* Ended, its outcome on the way or not: the cancel is in time either way. */
	for (uint64_t i = 0; i < 1000; i++) {
		begin(&task_noop_io, 100 + i, "[]");
		waits_cancel(waits, 100 + i);
	}
	begin(&task_time_sleep, 3, "[0.01]");
	PUMP(loop, n_done == 2);
	ck_assert_uint_eq(last_token, 3);
}
END_TEST

START_TEST(a_cancel_closes_the_connection)
{
	for (uint64_t i = 0; i < 50; i++)
		begin_fetch(i, "/never");
	PUMP(loop, http_server_open(server) == 50);
	for (uint64_t i = 0; i < 50; i++)
		waits_cancel(waits, i);
	PUMP(loop, http_server_open(server) == 0);
	ck_assert_uint_eq(n_done, 0);
}
END_TEST

/* A few turns of the thread: what was begun before is under way then. */
static void
turns(void)
{
	static uint64_t token = TURN;

	for (uint64_t end = token + 4; token < end; token++) {
		begin(&task_noop_io, token, "[]");
		PUMP(loop, last_turn == token);
	}
}

START_TEST(a_cancel_does_not_wait_for_a_lookup)
{
	char args[96];
	int64_t start;

	for (uint64_t i = 0; i < 300; i++) {
		snprintf(args, sizeof(args), "[\"http://n%d.futured-test.invalid/\"]", (int)i);
		begin(&task_http_fetch, i, args);
	}
	turns();
	start = loop_mono_ms();
	for (uint64_t i = 0; i < 300; i++)
		waits_cancel(waits, i);
	turns();
	ck_assert_int_lt(loop_mono_ms() - start, 2000 * pump_scale());
}
END_TEST

START_TEST(a_thousand_fetches_wait_side_by_side)
{
	int64_t start = loop_mono_ms(), took;
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	ck_assert_uint_gt(files.rlim_cur, 2200);
	for (uint64_t i = 0; i < 1000; i++)
		begin_fetch(i, "/after/1000");
	PUMP(loop, n_done == 1000);
	took = loop_mono_ms() - start;
	ck_assert_uint_eq(n_failed, 0);
	ck_assert_int_lt(took, 10000 * pump_scale());
}
END_TEST

START_TEST(connections_are_used_again)
{
	for (uint64_t i = 0; i < 20; i++) {
		begin_fetch(i, "/hello");
		PUMP(loop, n_done == i + 1);
	}
	ck_assert_uint_eq(n_failed, 0);
	ck_assert_uint_eq(http_server_accepted(server), 1);
}
END_TEST

START_TEST(the_end_takes_all_with_it)
{
	for (uint64_t i = 0; i < 100; i++) {
		begin(&task_time_sleep, i, "[3600]");
		begin(&task_noop_io, 1000 + i, "[]");
		begin_fetch(2000 + i, "/never");
	}
	PUMP(loop, http_server_open(server) == 100);
	begin(&task_noop_io, 5000, "[]");
	waits_free(waits); /* with an outcome on its way */
	waits = NULL;
	PUMP(loop, http_server_open(server) == 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("waits");
	TCase *tcase = tcase_create("waits");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120.0 * (double)pump_scale());
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_sleep_gives_what_it_was_given);
	tcase_add_test(tcase, a_sleep_wants_a_number_that_is_not_negative);
	tcase_add_test(tcase, a_noop_gives_its_arguments);
	tcase_add_bulk_test(tcase, ten_thousand_sleeps_end_together);
	tcase_add_bulk_test(tcase, twenty_thousand_waits_cost_nothing);
	tcase_add_test(tcase, a_cancel_is_the_last_of_it);
	tcase_add_test(tcase, a_cancel_closes_the_connection);
	tcase_add_test(tcase, a_cancel_does_not_wait_for_a_lookup);
	tcase_add_bulk_test(tcase, a_thousand_fetches_wait_side_by_side);
	tcase_add_test(tcase, connections_are_used_again);
	tcase_add_test(tcase, the_end_takes_all_with_it);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
