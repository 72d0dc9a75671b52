/*
 * test_proto_words: the words of the contract, written out once more: a change of one breaks clients.
 */
#include <check.h>
#include <stdlib.h>

#include "proto/errors.h"
#include "proto/holder.h"
#include "proto/role.h"
#include "proto/state.h"

START_TEST(errors_have_their_numbers_and_words)
{
	static const struct {
		int code;
		const char *word;
	} cases[] = {
	    {-32700, "parse_error"},
	    {-32600, "invalid_request"},
	    {-32601, "method_not_found"},
	    {-32602, "bad_params"},
	    {-32603, "internal"},
	    {-32001, "not_found"},
	    {-32002, "unauthenticated"},
	    {-32003, "forbidden"},
	    {-32004, "busy"},
	    {-32005, "too_large"},
	    {-32006, "no_such_task"},
	    {-32007, "key_conflict"},
	    {-32008, "storage_full"},
	    {-32009, "outcome_unknown"},
	    {-32010, "shutting_down"},
	    {0, "internal"},
	    {-32011, "internal"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_str_eq(rpc_error_word(cases[i].code), cases[i].word);
		ck_assert_int_gt(rpc_error_message(cases[i].code)[0], 0);
	}
}
END_TEST

START_TEST(job_errors_have_names)
{
	static const char *const names[] = {"TaskError", "BadArguments", "ExitStatus", "Signal", "TimedOut",
	    "OutOfMemory", "ResultTooLarge", "WorkerDied", "Lost", "Expired", "DependencyFailed", "Cancelled"};

	ck_assert_uint_eq(sizeof(names) / sizeof(names[0]), JOB_ERROR_COUNT - 1);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_str_eq(job_error_name((enum job_error)(i + 1)), names[i]);
		ck_assert_int_eq(job_error_parse(names[i]), (enum job_error)(i + 1));
	}
	ck_assert_str_eq(job_error_name(JOB_ERROR_NONE), "");
	ck_assert_int_eq(job_error_parse(""), JOB_ERROR_NONE);
	ck_assert_int_eq(job_error_parse("taskerror"), JOB_ERROR_NONE);
}
END_TEST

START_TEST(states_have_names)
{
	static const char *const names[] = {"pending", "running", "succeeded", "failed", "cancelled"};
	enum job_state state = JOB_FAILED;

	ck_assert_uint_eq(sizeof(names) / sizeof(names[0]), JOB_STATE_COUNT);
	for (unsigned i = 0; i < JOB_STATE_COUNT; i++) {
		ck_assert_str_eq(job_state_name((enum job_state)i), names[i]);
		ck_assert_int_eq(job_state_parse(names[i], &state), 0);
		ck_assert_int_eq(state, (enum job_state)i);
	}
	ck_assert_int_eq(job_state_parse("Pending", &state), -1);
	ck_assert_int_eq(job_state_parse("", &state), -1);
	ck_assert_int_eq(state, JOB_CANCELLED);
}
END_TEST

START_TEST(lanes_and_reasons_have_names)
{
	static const char *const reasons[] = {
	    "after", "delayed", "retrying", "paused", "queue_limit", "capacity", "ready"};
	enum lane lane = LANE_IO;

	ck_assert_str_eq(lane_name(LANE_CPU), "cpu");
	ck_assert_str_eq(lane_name(LANE_IO), "io");
	ck_assert_int_eq(lane_parse("cpu", &lane), 0);
	ck_assert_int_eq(lane, LANE_CPU);
	ck_assert_int_eq(lane_parse("io", &lane), 0);
	ck_assert_int_eq(lane, LANE_IO);
	ck_assert_int_eq(lane_parse("gpu", &lane), -1);
	ck_assert_ptr_null(job_reason_name(REASON_NONE));
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		ck_assert_str_eq(job_reason_name((enum job_reason)(REASON_AFTER + i)), reasons[i]);
}
END_TEST

START_TEST(roles_and_holders_have_names)
{
	char longest[HOLDER_MAX + 2] = {0};
	enum role role;

	ck_assert_int_eq(role_parse("operator", &role), 0);
	ck_assert_int_eq(role, ROLE_OPERATOR);
	ck_assert_str_eq(role_name(ROLE_READER), "reader");
	ck_assert_int_eq(role_parse("none", &role), -1);
	ck_assert(holder_is_name("ci.Build_7-x@host"));
	ck_assert(!holder_is_name(""));
	ck_assert(!holder_is_name("two words"));
	ck_assert(!holder_is_name("a#b"));
	ck_assert(!holder_is_name("m\xc3\xa4x"));
	for (int i = 0; i < HOLDER_MAX; i++)
		longest[i] = 'a';
	ck_assert(holder_is_name(longest));
	longest[HOLDER_MAX] = 'a';
	ck_assert(!holder_is_name(longest));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("words");
	TCase *tcase = tcase_create("words");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, errors_have_their_numbers_and_words);
	tcase_add_test(tcase, job_errors_have_names);
	tcase_add_test(tcase, states_have_names);
	tcase_add_test(tcase, lanes_and_reasons_have_names);
	tcase_add_test(tcase, roles_and_holders_have_names);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
