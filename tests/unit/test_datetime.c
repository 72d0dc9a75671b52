/*
 * test_datetime: times as clients write them, and what looks like one and is none.
 */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>

#include "proto/datetime.h"

START_TEST(times_are_read)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"1970-01-01T00:00:00.001Z", 1},
	    {"2026-11-21T02:30:00.123Z", INT64_C(1795228200123)},
	    {"2026-11-21t02:30:00z", INT64_C(1795228200000)},
	    {"2026-11-21T02:30:00.1Z", INT64_C(1795228200100)},
	    {"2026-11-21T02:30:00.123999999Z", INT64_C(1795228200123)},
	    {"2026-11-21T04:00:00.5+01:30", INT64_C(1795228200500)},
	    {"2026-11-20T21:30:00-05:00", INT64_C(1795228200000)},
	    {"2026-11-21T02:30:00-00:00", INT64_C(1795228200000)},
	    {"1970-01-01T00:30:00+00:30", 0},
	    {"2000-02-29T00:00:00Z", INT64_C(951782400000)},
	    {"2000-03-01T00:00:00Z", INT64_C(951868800000)},
	    {"2024-12-31T23:59:59.999Z", INT64_C(1735689599999)},
	    {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
	    {"9999-12-31T23:59:59Z", INT64_C(253402300799000)},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = -7;

		ck_assert_msg(datetime_read(cases[i].text, &ms) == 0, "%s", cases[i].text);
		ck_assert_msg(ms == cases[i].ms, "%s is %" PRId64 ", not %" PRId64, cases[i].text, cases[i].ms, ms);
	}
}
END_TEST

START_TEST(what_is_none_is_refused)
{
	static const char *const cases[] = {"", "now", "2026", "2026-11-21", "2026-11-21T02:30:00", "2026-11-21T02:30Z",
	    "2026-11-21 02:30:00Z", "2026-11-21T02:30:00.Z", "2026-11-21T02:30:00,5Z", "2026-11-21T02:30:00Z ",
	    " 2026-11-21T02:30:00Z", "2026-11-21T02:30:00ZZ", "2026-11-21T02:30:00+0100", "2026-11-21T02:30:00+1:00",
	    "2026-11-21T02:30:00+24:00", "2026-11-21T02:30:00+01:60", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
	    "2026-01-00T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
	    "2026-11-21T24:00:00Z", "2026-11-21T02:60:00Z", "2026-11-21T02:30:61Z", "26-11-21T02:30:00Z",
	    "+2026-11-21T02:30:00Z", "0000-01-01T00:00:00Z", "12026-11-21T02:30:00Z", "1969-12-31T23:59:59.999Z",
	    "1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:60Z", "2026-1-2T02:30:00Z", "2026-11-21T2:30:00Z", "1795228200"};
	int64_t ms = -7;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(datetime_read(cases[i], &ms) < 0, "%s is no time", cases[i]);
	ck_assert_int_eq(ms, -7);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("datetime");
	TCase *tcase = tcase_create("datetime");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, times_are_read);
	tcase_add_test(tcase, what_is_none_is_refused);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
