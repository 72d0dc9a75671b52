/*
 * test_client_value: durations, numbers, times, JSON texts and base64 as the client reads and writes them.
 */
#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "client/text.h"
#include "client/value.h"

START_TEST(durations)
{
	static const struct {
		const char *text;
		double seconds;
	} good[] = {
	    {"0", 0},
	    {"90", 90},
	    {"1.5", 1.5},
	    {".5", 0.5},
	    {"250ms", 0.25},
	    {"10s", 10},
	    {"1h30m", 5400},
	    {"2d", 172800},
	    {"1w", 604800},
	    {"1.5h", 5400},
	    {"1m0.5s", 60.5},
	};
	static const char *const bad[] = {"", "-1", "+1", "1h30", "h", "1x", "1 h", "1.2.3", ".", "1e3", "0x10", "nan",
	    "inf", "1hh", "99999999999w", " 1", "1 "};
	double seconds;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(value_read_duration(good[i].text, &seconds) == 0, "%s", good[i].text);
		ck_assert_double_eq_tol(seconds, good[i].seconds, 1e-9);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		seconds = -7;
		ck_assert_msg(value_read_duration(bad[i], &seconds) == -1, "'%s'", bad[i]);
		ck_assert_double_eq(seconds, -7);
	}
}
END_TEST

START_TEST(integers)
{
	int64_t value;

	ck_assert_int_eq(value_read_integer("-1000", &value), 0);
	ck_assert_int_eq(value, -1000);
	ck_assert_int_eq(value_read_integer("9223372036854775807", &value), 0);
	ck_assert(value == INT64_MAX);
	ck_assert_int_eq(value_read_integer("9223372036854775808", &value), -1);
	ck_assert_int_eq(value_read_integer("", &value), -1);
	ck_assert_int_eq(value_read_integer("1x", &value), -1);
	ck_assert_int_eq(value_read_integer(" 1", &value), -1);
	ck_assert_int_eq(value_read_integer("--1", &value), -1);
}
END_TEST

START_TEST(times)
{
	double seconds;

	ck_assert_int_eq(value_read_time("1970-01-02T00:00:01.250Z", &seconds), 0);
	ck_assert_double_eq_tol(seconds, 86401.25, 1e-6);
	ck_assert_int_eq(value_read_time("1970-01-02T00:00:01Z", &seconds), 0);
	ck_assert_int_eq(value_read_time("1970-01-02T00:00:01", &seconds), -1);
	ck_assert_int_eq(value_read_time("yesterday", &seconds), -1);
}
END_TEST

START_TEST(what_is_json)
{
	ck_assert(value_is_json("1"));
	ck_assert(value_is_json("-0.5e3"));
	ck_assert(value_is_json("\"x\""));
	ck_assert(value_is_json("[1,{\"a\":null}]"));
	ck_assert(!value_is_json(""));
	ck_assert(!value_is_json("x"));
	ck_assert(!value_is_json("007"));
	ck_assert(!value_is_json("1e"));
	ck_assert(!value_is_json("99999999999999999999"));
	ck_assert(!value_is_json("{\"a\":1,\"a\":2}"));
}
END_TEST

START_TEST(numbers_in_json)
{
	static const char *const locales[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8"};
	struct text text = {0};

	for (size_t i = 0; i < sizeof(locales) / sizeof(locales[0]); i++) {
		/* A locale that is not installed leaves the last one: no harm. */
		setlocale(LC_NUMERIC, locales[i]);
		text_clear(&text);
		text_add_number(&text, 0.1);
		text_add_string(&text, " ");
		text_add_number(&text, 5);
		text_add_string(&text, " ");
		text_add_number(&text, 1e22);
		text_add_string(&text, " ");
		text_add_number(&text, -1.0 / 3);
		ck_assert_str_eq(text_string(&text), "0.1 5 1e+22 -0.3333333333333333");
	}
	text_done(&text);
}
END_TEST

START_TEST(base64)
{
	static const char *const pairs[][2] = {
	    {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
	    {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"},
	};
	static const char *const bad[] = {"Zg=", "Zg", "Z===", "Zg==Zg==", "Z!==", "=Zg="};
	struct text text = {0};
	char buffer[64];
	long len;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		text_clear(&text);
		text_add_base64(&text, pairs[i][0], strlen(pairs[i][0]));
		ck_assert_str_eq(text_string(&text), pairs[i][1]);
		strcpy(buffer, pairs[i][1]);
		len = text_unbase64(buffer, strlen(buffer));
		ck_assert_int_eq(len, (long)strlen(pairs[i][0]));
		ck_assert_int_eq(memcmp(buffer, pairs[i][0], (size_t)len), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(buffer, bad[i]);
		ck_assert_msg(text_unbase64(buffer, strlen(buffer)) == -1, "%s", bad[i]);
	}
	text_done(&text);
}
END_TEST

START_TEST(quoting)
{
	struct text text = {0};

	ck_assert_int_eq(text_add_quoted(&text, "a\"b\n\xc3\xa4", 6), 0);
	ck_assert_str_eq(text_string(&text), "\"a\\\"b\\n\xc3\xa4\"");
	ck_assert_int_eq(text_add_quoted(&text, "\xff", 1), -1);
	ck_assert_int_eq(text_add_quoted(&text, "\0", 1), -1);
	ck_assert_uint_eq(text.len, strlen("\"a\\\"b\\n\xc3\xa4\""));
	text_done(&text);
}
END_TEST

START_TEST(moments)
{
	static const char *const bad[] = {"2026-02-30 10:00", "2026-11-31T10:00:00Z", "2025-02-29 10:00", "", "soon", "25:00", "03:60", "2026-12-24", "2026-12-24T", "2026-12-24T18:00:00+1",
	    "2026-12-24T18:00:00Zx", "2026-13-24 18:00", "2026-12-24T18:00:00+01:99", "03:00 pm"};
	const time_t now = 1795531200; /* 2026-11-24T14:40:00Z */
	struct text text = {0};
	double seconds;

	ck_assert_int_eq(setenv("TZ", "EAST-2", 1), 0);
	tzset();
	ck_assert_int_eq(value_read_moment("2026-11-24T14:40:00Z", now, &seconds), 0);
	ck_assert(seconds == (double)now);
	ck_assert_int_eq(value_read_moment("2026-11-24T14:40:00.5Z", now, &seconds), 0);
	ck_assert(seconds == (double)now + 0.5);
	ck_assert_int_eq(value_read_moment("2026-11-24T15:40:00+01:00", now, &seconds), 0);
	ck_assert(seconds == (double)now);
	ck_assert_int_eq(value_read_moment("2026-11-24T13:10:00-0130", now, &seconds), 0);
	ck_assert(seconds == (double)now);
	ck_assert_int_eq(value_read_moment("2026-11-24 16:40", now, &seconds), 0);
	ck_assert(seconds == (double)now);
	/* In local time it is 16:40: later today, and tomorrow. */
	ck_assert_int_eq(value_read_moment("16:41:30", now, &seconds), 0);
	ck_assert(seconds == (double)now + 90);
	ck_assert_int_eq(value_read_moment("16:40", now, &seconds), 0);
	ck_assert(seconds == (double)now + 86400);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(value_read_moment(bad[i], now, &seconds) == -1, "'%s'", bad[i]);
	value_write_time(&text, (double)now + 0.25);
	ck_assert_str_eq(text_string(&text), "2026-11-24T14:40:00.250Z");
	text_clear(&text);
	value_write_local_time(&text, (double)now);
	ck_assert_str_eq(text_string(&text), "2026-11-24 16:40:00");
	text_done(&text);
}
END_TEST

START_TEST(sizes)
{
	static const char *const bad[] = {"", "0", "x", "-1", "1X", "1MM", "1.2.3", "M"};
	int64_t mib;

	ck_assert(value_read_mib("512M", &mib) == 0 && mib == 512);
	ck_assert(value_read_mib("2g", &mib) == 0 && mib == 2048);
	ck_assert(value_read_mib("1.5GiB", &mib) == 0 && mib == 1536);
	ck_assert(value_read_mib("700K", &mib) == 0 && mib == 1);
	ck_assert(value_read_mib("64", &mib) == 0 && mib == 64);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(value_read_mib(bad[i], &mib) == -1, "'%s'", bad[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_value");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, durations);
	tcase_add_test(tcase, integers);
	tcase_add_test(tcase, times);
	tcase_add_test(tcase, moments);
	tcase_add_test(tcase, sizes);
	tcase_add_test(tcase, what_is_json);
	tcase_add_test(tcase, numbers_in_json);
	tcase_add_test(tcase, base64);
	tcase_add_test(tcase, quoting);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
