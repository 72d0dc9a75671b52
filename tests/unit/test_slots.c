/*
 * test_slots: a job is begun by the worker or taken back by the daemon, never both, also when they race.
 */
#include "daemon/slots.h"

#include <check.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_begin_counts)
{
	struct slots *slots = slots_new(3);

	ck_assert_uint_eq(slots_begun(slots, 1), 0);
	ck_assert(slots_begin(slots, 1, 0));
	ck_assert(slots_begin(slots, 1, 1));
	ck_assert_uint_eq(slots_begun(slots, 1), 2);
	ck_assert_uint_eq(slots_begun(slots, 0), 0);
	slots_reset(slots, 1);
	ck_assert_uint_eq(slots_begun(slots, 1), 0);
	ck_assert(slots_begin(slots, 1, 0));
	slots_free(slots);
}
END_TEST

START_TEST(test_withdrawn_never_begin)
{
	struct slots *slots = slots_new(1);

	ck_assert(slots_begin(slots, 0, 0));
	ck_assert_uint_eq(slots_withdraw(slots, 0, 4), 1);
	for (uint32_t i = 1; i < 4; i++)
		ck_assert(!slots_begin(slots, 0, i));
	ck_assert_uint_eq(slots_begun(slots, 0), 1);
	ck_assert(slots_begin(slots, 0, 4));
	ck_assert_uint_eq(slots_begun(slots, 0), 5);
	slots_free(slots);
}
END_TEST

START_TEST(test_numbers_wrap)
{
	struct slots *slots = slots_new(1);
	const uint32_t steps[] = {0, 0x7fffffff, 0xfffffffe, 0xffffffff, 0, 1};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		ck_assert(slots_begin(slots, 0, steps[i]));
	ck_assert_uint_eq(slots_withdraw(slots, 0, 5), 2);
	ck_assert(!slots_begin(slots, 0, 4));
	slots_free(slots);
}
END_TEST

#define RACE_JOBS   200000
#define RACE_STRIDE 64

/* The child begins what it may and counts; the parent takes back now and then: the sum must be what was sent. */
START_TEST(test_race_splits_exactly)
{
	struct slots *slots = slots_new(1);
	uint32_t sent = 0, withdrawn = 0, begun = 0;
	int pipe_fds[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0) {
		for (uint32_t i = 0; i < RACE_JOBS; i++)
			begun += slots_begin(slots, 0, i);
		_exit(write(pipe_fds[1], &begun, sizeof(begun)) == sizeof(begun) ? 0 : 1);
	}
	while (sent < RACE_JOBS) {
		uint32_t from = slots_begun(slots, 0), behind;

		from = from > sent ? from : sent;
		sent = from + RACE_STRIDE < RACE_JOBS ? from + RACE_STRIDE : RACE_JOBS;
		behind = slots_withdraw(slots, 0, sent);
		behind = behind > from ? behind : from;
		if (behind < sent)
			withdrawn += sent - behind;
	}
	ck_assert_int_eq(read(pipe_fds[0], &begun, sizeof(begun)), sizeof(begun));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(begun + withdrawn, RACE_JOBS);
	slots_free(slots);
}
END_TEST

static Suite *
slots_suite(void)
{
	Suite *suite = suite_create("slots");
	TCase *tcase = tcase_create("all");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_begin_counts);
	tcase_add_test(tcase, test_withdrawn_never_begin);
	tcase_add_test(tcase, test_numbers_wrap);
	tcase_add_test(tcase, test_race_splits_exactly);
	suite_add_tcase(suite, tcase);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(slots_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
