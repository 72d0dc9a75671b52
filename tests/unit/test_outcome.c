/*
 * test_outcome: results and error objects, whatever bytes they are made of.
 */
#include "daemon/outcome.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static struct outcome outcome;

static void
setup(void)
{
	outcome = (struct outcome){0};
}

static void
teardown(void)
{
	outcome_done(&outcome);
	ck_assert_ptr_null(outcome.json);
}

static void
check_json(const char *json)
{
	ck_assert_int_eq(jsonspan_validate((struct span){outcome.json, outcome.len}, NULL, NULL), 0);
	ck_assert_uint_eq(outcome.len, strlen(json));
	ck_assert_int_eq(memcmp(outcome.json, json, outcome.len), 0);
}

START_TEST(test_result_replaces)
{
	outcome_set_error(&outcome, JOB_ERROR_SIGNAL, "killed");
	outcome_set_result(&outcome, SPAN_LIT("[1]"));
	ck_assert_int_eq(outcome.error, JOB_ERROR_NONE);
	check_json("[1]");
	outcome_take_result(&outcome, strdup("null"), 4);
	check_json("null");
}
END_TEST

START_TEST(test_error_members)
{
	outcome_set_error(&outcome, JOB_ERROR_EXIT_STATUS, "exit status %d", 7);
	ck_assert_int_eq(outcome.error, JOB_ERROR_EXIT_STATUS);
	check_json("{\"type\":\"ExitStatus\",\"message\":\"exit status 7\"}");
	outcome_add_integer(&outcome, "exit_status", 7);
	outcome_add_json(&outcome, "data", SPAN_LIT("{\"a\":[]}"));
	outcome_add_text(&outcome, "stderr_tail", "a\"b\n", 4);
	check_json("{\"type\":\"ExitStatus\",\"message\":\"exit status 7\",\"exit_status\":7,\"data\":{\"a\":[]},"
		   "\"stderr_tail\":\"a\\\"b\\n\"}");
}
END_TEST

START_TEST(test_bytes_that_are_no_text)
{
	outcome_set_error(&outcome, JOB_ERROR_TASK_ERROR, "cannot open %s", "caf\xe9/\xc3\xa9");
	check_json("{\"type\":\"TaskError\",\"message\":\"cannot open caf\xef\xbf\xbd/\xc3\xa9\"}");
	outcome_set_error(&outcome, JOB_ERROR_TASK_ERROR, "x");
	outcome_add_text(&outcome, "t", "a\0\xf0\x9f\x98", 5);
	check_json(
	    "{\"type\":\"TaskError\",\"message\":\"x\",\"t\":\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}");
}
END_TEST

START_TEST(test_bytes_with_their_encoding)
{
	outcome_set_error(&outcome, JOB_ERROR_SIGNAL, "x");
	outcome_add_bytes(&outcome, "tail", "caf\xc3\xa9", 5);
	check_json("{\"type\":\"Signal\",\"message\":\"x\",\"tail\":\"caf\xc3\xa9\",\"tail_encoding\":\"utf-8\"}");
	outcome_set_error(&outcome, JOB_ERROR_SIGNAL, "x");
	outcome_add_bytes(&outcome, "tail", "\xff", 1);
	check_json("{\"type\":\"Signal\",\"message\":\"x\",\"tail\":\"/w==\",\"tail_encoding\":\"base64\"}");
}
END_TEST

START_TEST(test_names_of_signals)
{
	char name[OUTCOME_SIGNAL_SIZE];

	outcome_name_signal(SIGTERM, name);
	ck_assert_str_eq(name, "SIGTERM");
	outcome_name_signal(SIGRTMIN + 3, name);
	ck_assert_str_eq(name, "SIGRTMIN+3");
}
END_TEST

START_TEST(test_usage_adds_up)
{
	struct rusage one = {.ru_utime = {1, 500000}, .ru_stime = {0, 2}, .ru_maxrss = 300};
	struct rusage two = {.ru_utime = {2, 600000}, .ru_maxrss = 200};
	struct usage usage = {0};

	usage_add(&usage, &one);
	usage_add(&usage, &two);
	ck_assert(usage.known);
	ck_assert_int_eq(usage.user_us, 4100000);
	ck_assert_int_eq(usage.system_us, 2);
	ck_assert_int_eq(usage.max_rss_kib, 300);
}
END_TEST

static Suite *
outcome_suite(void)
{
	Suite *suite = suite_create("outcome");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_result_replaces);
	tcase_add_test(tcase, test_error_members);
	tcase_add_test(tcase, test_bytes_that_are_no_text);
	tcase_add_test(tcase, test_bytes_with_their_encoding);
	tcase_add_test(tcase, test_names_of_signals);
	tcase_add_test(tcase, test_usage_adds_up);
	suite_add_tcase(suite, tcase);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(outcome_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
