/*
 * test_waiters: who waits for a job is told once when it ends, also when the telling makes others leave; changes are told to who wants them.
 */
#include <check.h>

#include "daemon/waiters.h"

struct listener {
	struct waiter waiter;
	struct id_range ranges[2];
	int told, changes;
	struct waiters *waiters;
	struct waiter *leaves; /* removed when this one is told */
};

static void
ended(struct waiter *waiter, const struct store_row *row)
{
	struct listener *listener = (struct listener *)waiter;

	(void)row;
	listener->told++;
	if (listener->leaves != NULL)
		waiters_remove(listener->waiters, listener->leaves);
}

static void
changed(struct waiter *waiter, int64_t id, enum dispatch_change what)
{
	struct listener *listener = (struct listener *)waiter;

	ck_assert_int_eq(id, 5);
	listener->changes += what == DISPATCH_PROGRESS ? 100 : 1;
	if (listener->leaves != NULL)
		waiters_remove(listener->waiters, listener->leaves);
}

static void
listen_for(struct waiters *waiters, struct listener *listener, int64_t first, int64_t last)
{
	*listener = (struct listener){.waiters = waiters, .ranges = {{first, last}}};
	listener->waiter.ranges = listener->ranges;
	listener->waiter.n_ranges = 1;
	listener->waiter.ended = ended;
	waiters_add(waiters, &listener->waiter);
}

static void
tell(struct waiters *waiters, int64_t id)
{
	struct store_row row = {.id = id};

	waiters_tell(waiters, &row);
}

START_TEST(one_and_many_are_told)
{
	struct waiters *waiters = waiters_new();
	struct listener one, range, other;

	listen_for(waiters, &one, 5, 5);
	listen_for(waiters, &range, 3, 7);
	listen_for(waiters, &other, 8, 9);
	tell(waiters, 5);
	tell(waiters, 7);
	tell(waiters, 2);
	ck_assert_int_eq(one.told, 1);
	ck_assert_int_eq(range.told, 2);
	ck_assert_int_eq(other.told, 0);
	waiters_remove(waiters, &one.waiter);
	tell(waiters, 5);
	ck_assert_int_eq(one.told, 1);
	waiters_remove(waiters, &range.waiter);
	waiters_remove(waiters, &other.waiter);
	waiters_free(waiters);
}
END_TEST

/* Each removal that may happen inside a telling: oneself, the next, the one before, the last. */
START_TEST(leaving_while_told)
{
	struct waiters *waiters = waiters_new();
	struct listener all[4];
	int leaver = _i / 4, who = _i % 4, expected = 0;

	for (int i = 0; i < 4; i++)
		listen_for(waiters, &all[i], 5, _i % 2 ? 5 : 6);
	all[leaver].leaves = &all[who].waiter;
	tell(waiters, 5);
	for (int i = 0; i < 4; i++) {
		expected = i == who && who > leaver ? 0 : 1;
		ck_assert_int_eq(all[i].told, expected);
	}
	for (int i = 0; i < 4; i++)
		waiters_remove(waiters, &all[i].waiter);
	waiters_free(waiters);
}
END_TEST

START_TEST(changes_are_told_to_who_wants_them)
{
	struct waiters *waiters = waiters_new();
	struct listener one = {.ranges = {{5, 5}}}, range = {.ranges = {{3, 7}}}, deaf, other = {.ranges = {{6, 6}}};
	struct listener *want[] = {&one, &range, &other};

	listen_for(waiters, &deaf, 5, 5);
	waiters_tell_change(waiters, 5, DISPATCH_RUNNING); /* nobody wants to know */
	for (int i = 0; i < 3; i++) {
		want[i]->waiters = waiters;
		want[i]->waiter = (struct waiter){.ranges = want[i]->ranges, .n_ranges = 1, .ended = ended, .changed = changed};
		waiters_add(waiters, &want[i]->waiter);
	}
	waiters_tell_change(waiters, 5, DISPATCH_RUNNING);
	one.leaves = &one.waiter;
	waiters_tell_change(waiters, 5, DISPATCH_PROGRESS);
	waiters_tell_change(waiters, 5, DISPATCH_PROGRESS);
	ck_assert_int_eq(one.changes, 101);
	ck_assert_int_eq(range.changes, 201);
	ck_assert_int_eq(other.changes + deaf.changes + one.told + deaf.told, 0);
	tell(waiters, 5);
	ck_assert_int_eq(deaf.told, 1);
	waiters_remove(waiters, &range.waiter);
	waiters_remove(waiters, &other.waiter);
	waiters_remove(waiters, &deaf.waiter);
	waiters_free(waiters);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("waiters");
	TCase *tcase = tcase_create("waiters");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, one_and_many_are_told);
	tcase_add_test(tcase, changes_are_told_to_who_wants_them);
	tcase_add_loop_test(tcase, leaving_while_told, 0, 16);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
