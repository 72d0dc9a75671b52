/*
 * test_receivers: which receivers of webhooks are left alone, and for how long.
 */
#include <check.h>
#include <stdlib.h>

#include "daemon/receivers.h"

static struct receivers receivers;

START_TEST(origins)
{
	uint64_t origin = receivers_origin("http://a.example:80/x");

	ck_assert_uint_eq(origin, receivers_origin("http://a.example:80/y/z?q#f"));
	ck_assert_uint_eq(origin, receivers_origin("http://a.example:80"));
	ck_assert_uint_eq(origin, receivers_origin("http://a.example:80?q=http://b/"));
	ck_assert_uint_ne(origin, receivers_origin("https://a.example:80/x"));
	ck_assert_uint_ne(origin, receivers_origin("http://a.example:81/x"));
	ck_assert_uint_ne(origin, receivers_origin("http://b.example:80/x"));
}
END_TEST

START_TEST(one_try_at_a_time)
{
	receivers = (struct receivers){0};
	ck_assert(receivers_may(&receivers, 1, 1000));
	ck_assert(receivers_may(&receivers, 1, 1000));
	receivers_note(&receivers, 1, false, 1000);
	receivers_note(&receivers, 1, false, 1000); /* the other one of the two: it is no second failure */
	ck_assert(!receivers_may(&receivers, 1, 1399));
	ck_assert(receivers_may(&receivers, 2, 1399));
	ck_assert(receivers_may(&receivers, 1, 1400));
	ck_assert(!receivers_may(&receivers, 1, 100000)); /* a try is on its way */
	receivers_note(&receivers, 1, false, 2000);
	ck_assert(!receivers_may(&receivers, 1, 2799));
	ck_assert(receivers_may(&receivers, 1, 2800));
	receivers_note(&receivers, 1, true, 2800);
	ck_assert(receivers_may(&receivers, 1, 2800));
	ck_assert(receivers_may(&receivers, 1, 2800));
}
END_TEST

START_TEST(when_to_come_again)
{
	receivers = (struct receivers){0};
	ck_assert_int_eq(receivers_rest_ms(&receivers, 1, 1000), 0);
	receivers_note(&receivers, 1, false, 1000);
	ck_assert_int_eq(receivers_rest_ms(&receivers, 1, 1000), 400);
	ck_assert_int_eq(receivers_rest_ms(&receivers, 1, 1399), 1);
	ck_assert_int_eq(receivers_rest_ms(&receivers, 1, 1400), 0);
	ck_assert(receivers_may(&receivers, 1, 1400));
	ck_assert_int_eq(receivers_rest_ms(&receivers, 1, 9999), 400); /* what comes of the try is not known yet */
}
END_TEST

START_TEST(no_longer_than_a_minute)
{
	int64_t now_ms = 0;

	receivers = (struct receivers){0};
	for (int i = 0; i < 200; i++) {
		ck_assert(receivers_may(&receivers, 1, now_ms));
		receivers_note(&receivers, 1, false, now_ms);
		now_ms += 60000;
	}
	ck_assert(receivers_may(&receivers, 1, now_ms));
}
END_TEST

START_TEST(of_bounded_size)
{
	receivers = (struct receivers){0};
	for (uint64_t i = 1; i <= RECEIVERS_MAX + 1; i++)
		receivers_note(&receivers, i, false, (int64_t)i);
	ck_assert(receivers_may(&receivers, 1, 100)); /* the oldest is forgotten */
	for (uint64_t i = 2; i <= RECEIVERS_MAX + 1; i++)
		ck_assert(!receivers_may(&receivers, i, 100));
	receivers_note(&receivers, 1, true, 100); /* no harm */
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("receivers");
	TCase *tests = tcase_create("receivers");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, origins);
	tcase_add_test(tests, one_try_at_a_time);
	tcase_add_test(tests, when_to_come_again);
	tcase_add_test(tests, no_longer_than_a_minute);
	tcase_add_test(tests, of_bounded_size);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
