/*
 * test_progress: what a command may write of how far it is, and what is ignored.
 */
#include "daemon/progress.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct progress_reader reader;

static void
setup(void)
{
	reader = (struct progress_reader){.last = {.millionths = 7, .text = "before"}};
}

static bool
give(const char *bytes)
{
	return progress_read(&reader, bytes, strlen(bytes));
}

static void
check_json(const struct progress *progress, const char *wanted)
{
	struct text text = {0};

	progress_add_json(progress, &text);
	ck_assert_uint_eq(text.len, strlen(wanted));
	ck_assert_int_eq(memcmp(text.at, wanted, text.len), 0);
	text_done(&text);
}

START_TEST(test_lines_that_fit)
{
	static const struct {
		const char *line, *json;
	} cases[] = {
	    {"0.5 half way\n", "{\"fraction\":0.5,\"text\":\"half way\"}"},
	    {"50% half way\n", "{\"fraction\":0.5,\"text\":\"half way\"}"},
	    {"33.3%\n", "{\"fraction\":0.333,\"text\":\"\"}"},
	    {"0\n", "{\"fraction\":0,\"text\":\"\"}"},
	    {"1 done\r\n", "{\"fraction\":1,\"text\":\"done\"}"},
	    {"100%\n", "{\"fraction\":1,\"text\":\"\"}"},
	    {"1.\n", "{\"fraction\":1,\"text\":\"\"}"},
	    {".25\t a\"b\n", "{\"fraction\":0.25,\"text\":\"a\\\"b\"}"},
	    {"0.123456789 caf\xc3\xa9\n", "{\"fraction\":0.123456,\"text\":\"caf\xc3\xa9\"}"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(give(cases[i].line), "%s", cases[i].line);
		check_json(&reader.last, cases[i].json);
	}
}
END_TEST

START_TEST(test_garbage_is_ignored)
{
	static const char *const lines[] = {"\n", "half\n", "-0.5\n", "+1\n", "1.5\n", "101%\n", "0.5x\n", "0.5.5\n",
	    "nan\n", "inf\n", "1e-1\n", "0x1\n", ".\n", "%\n", " 0.5\n", "0,5\n", "{\"fraction\":0.5}\n", "0.5 \xff\n",
	    "99999999999999999999999999999999999999999\n", "50 %\n"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(!give(lines[i]), "%s", lines[i]);
	ck_assert(!progress_read(&reader, "0.5 a\0b\n", 8));
	check_json(&reader.last, "{\"fraction\":0.000007,\"text\":\"before\"}");
}
END_TEST

START_TEST(test_lines_in_pieces)
{
	ck_assert(!give("0."));
	ck_assert(!give("25 a qua"));
	ck_assert(give("rter\n0.3\nnothing\n0.4 last\n0.9"));
	check_json(&reader.last, "{\"fraction\":0.4,\"text\":\"last\"}");
	ck_assert(give("\n"));
	check_json(&reader.last, "{\"fraction\":0.9,\"text\":\"\"}");
}
END_TEST

START_TEST(test_long_lines)
{
	char line[2 * PROGRESS_LINE];

	memset(line, 'x', sizeof(line));
	memcpy(line, "0.5 ", 4);
	ck_assert(!progress_read(&reader, line, sizeof(line)));
	ck_assert(!progress_read(&reader, line, sizeof(line)));
	ck_assert(give("\n0.6 next\n"));
	check_json(&reader.last, "{\"fraction\":0.6,\"text\":\"next\"}");
	ck_assert(!progress_read(&reader, line, PROGRESS_LINE));
	ck_assert(give("\n"));
	ck_assert_uint_eq(strlen(reader.last.text), PROGRESS_TEXT);
}
END_TEST

START_TEST(test_text_is_cut_between_characters)
{
	struct progress progress;
	char text[PROGRESS_TEXT + 2];

	memset(text, 'x', sizeof(text));
	memcpy(text + PROGRESS_TEXT - 1, "\xc3\xa9", 2);
	progress_set(&progress, 0.5, text, PROGRESS_TEXT + 1);
	ck_assert_uint_eq(strlen(progress.text), PROGRESS_TEXT - 1);
	progress_set(&progress, 0.5, text, PROGRESS_TEXT);
	ck_assert_str_eq(progress.text, ""); /* half a character is no text */
}
END_TEST

START_TEST(test_fractions_are_kept_in_their_bounds)
{
	struct progress progress;

	progress_set(&progress, 2, NULL, 0);
	ck_assert_int_eq(progress.millionths, PROGRESS_MILLION);
	progress_set(&progress, -1, NULL, 0);
	ck_assert_int_eq(progress.millionths, 0);
	progress_set(&progress, __builtin_nan(""), NULL, 0);
	ck_assert_int_eq(progress.millionths, 0);
	progress_set(&progress, 1.0 / 3, "a", 1);
	check_json(&progress, "{\"fraction\":0.333333,\"text\":\"a\"}");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("progress");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, test_lines_that_fit);
	tcase_add_test(tcase, test_garbage_is_ignored);
	tcase_add_test(tcase, test_lines_in_pieces);
	tcase_add_test(tcase, test_long_lines);
	tcase_add_test(tcase, test_text_is_cut_between_characters);
	tcase_add_test(tcase, test_fractions_are_kept_in_their_bounds);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
