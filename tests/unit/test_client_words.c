/*
 * test_client_words: the words of a command line: selections, options and operands.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/options.h"
#include "client/select.h"

static struct select chosen;
static struct text wrong;

static void teardown(void)
{
	select_done(&chosen);
	text_done(&wrong);
}

static int read_select(const char *first, const char *second)
{
	char words[2][128];
	char *list[2] = {words[0], words[1]};

	teardown();
	strcpy(words[0], first);
	strcpy(words[1], second != NULL ? second : "");
	return select_read(list, second != NULL ? 2 : 1, &chosen, &wrong);
}

static void check_range(size_t index, int64_t first, int64_t last)
{
	ck_assert_uint_gt(chosen.n_ranges, index);
	ck_assert(chosen.ranges[index].first == first);
	ck_assert(chosen.ranges[index].last == last);
}

START_TEST(ids)
{
	ck_assert_int_eq(read_select("3,5-9", NULL), 0);
	ck_assert_uint_eq(chosen.n_ranges, 2);
	check_range(0, 3, 3);
	check_range(1, 5, 9);
	ck_assert(!chosen.single && !select_is_filter(&chosen));

	ck_assert_int_eq(read_select("7", NULL), 0);
	ck_assert(chosen.single);
	check_range(0, 7, 7);

	ck_assert_int_eq(read_select("7-7", NULL), 0);
	ck_assert_msg(!chosen.single, "a range is no single id");

	ck_assert_int_eq(read_select("last", NULL), 0);
	ck_assert(chosen.single);
	check_range(0, SELECT_LAST, SELECT_LAST);

	ck_assert_int_eq(read_select("9", "last,2"), 0);
	ck_assert_uint_eq(chosen.n_ranges, 3);
	ck_assert(!chosen.single);

	ck_assert_int_eq(read_select("9007199254740991", NULL), 0);
}
END_TEST

START_TEST(bad_ids)
{
	static const char *const bad[] = {"", "0", "x", "x-y", "5-", "-5", "9-5", "1,,2", "1,", ",1", "1-2-3", "lastly",
	    "9007199254740992", "99999999999999999999", "1 2", "+1", "1.5"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(read_select(bad[i], NULL) == -1, "'%s'", bad[i]);
		ck_assert_msg(wrong.len > 0, "'%s' is refused with a reason", bad[i]);
	}
	ck_assert_int_eq(select_read(NULL, 0, &chosen, &wrong), -1);
}
END_TEST

START_TEST(filters)
{
	struct text filter = {0};

	ck_assert_int_eq(read_select("state=failed,cancelled", "label=a,\"b\""), 0);
	ck_assert(select_is_filter(&chosen) && select_has_states(&chosen) && !chosen.single);
	select_write_filter(&chosen, &filter);
	ck_assert_str_eq(text_string(&filter), "{\"state\":[\"failed\",\"cancelled\"],\"label\":[\"a,\\\"b\\\"\"]}");
	text_clear(&filter);

	ck_assert_int_eq(read_select("label=a", "label=b=c"), 0);
	ck_assert(!select_has_states(&chosen));
	select_write_filter(&chosen, &filter);
	ck_assert_str_eq(text_string(&filter), "{\"label\":[\"a\",\"b=c\"]}");
	text_done(&filter);

	ck_assert_int_eq(read_select("state=done", NULL), -1);
	ck_assert_int_eq(read_select("state=", NULL), -1);
	ck_assert_int_eq(read_select("colour=red", NULL), -1);
	ck_assert_int_eq(read_select("label=\xff", NULL), -1);
	ck_assert_int_eq(read_select("label=a", "3"), -1);
}
END_TEST

static struct {
	bool flag;
	const char *text;
	struct option_integer integer;
	struct option_duration duration;
} given;

static const struct option_spec table[] = {
    {"flag", 'f', OPTION_FLAG, &given.flag, NULL, ""},
    {"text", 't', OPTION_TEXT, &given.text, "TEXT", ""},
    {0},
};
static const struct option_spec more[] = {
    {"integer", 'i', OPTION_INTEGER, &given.integer, "N", ""},
    {"duration", 0, OPTION_DURATION, &given.duration, "TIME", ""},
    {0},
};
static const struct option_spec *const tables[] = {table, more, NULL};

static char *argv[16];
static struct operands operands;

/* Reads words with blanks between; "~" stands for an empty word. The operands are checked by joining them likewise. */
static int read_options(const char *line, bool stop_at_operand, bool takes_command)
{
	static char words[256];
	int argc = 1;

	memset(&given, 0, sizeof(given));
	free(operands.at);
	operands = (struct operands){0};
	text_clear(&wrong);
	strcpy(words, line);
	argv[0] = words + 200;
	for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = strcmp(word, "~") == 0 ? argv[0] : word;
	argv[argc] = NULL;
	return options_read(tables, stop_at_operand, takes_command, argc, argv, &operands, &wrong);
}

static const char *joined(char *const *words)
{
	static char line[256];

	line[0] = '\0';
	for (; words != NULL && *words != NULL; words++) {
		strcat(line, line[0] != '\0' ? " " : "");
		strcat(line, **words != '\0' ? *words : "~");
	}
	return line;
}

START_TEST(options_anywhere)
{
	ck_assert_int_eq(read_options("-f noop -5 --text=x 1 -i -7 ~ - -.5 --duration 1h", false, true), 0);
	ck_assert(given.flag);
	ck_assert_str_eq(given.text, "x");
	ck_assert(given.integer.given && given.integer.value == -7);
	ck_assert(given.duration.given);
	ck_assert_double_eq(given.duration.seconds, 3600);
	ck_assert_str_eq(joined(operands.at), "noop -5 1 ~ - -.5");
	ck_assert_uint_eq(operands.count, 6);
	ck_assert_ptr_null(operands.command);
}
END_TEST

START_TEST(dashes)
{
	ck_assert_int_eq(read_options("-f -- sh -c x", false, true), 0);
	ck_assert_uint_eq(operands.count, 0);
	ck_assert_str_eq(joined(operands.command), "sh -c x");

	ck_assert_int_eq(read_options("noop -- -f --", false, true), 0);
	ck_assert_ptr_null(operands.command);
	ck_assert_str_eq(joined(operands.at), "noop -f --");
	ck_assert(!given.flag);

	ck_assert_int_eq(read_options("-- -f", false, false), 0);
	ck_assert_ptr_null(operands.command);
	ck_assert_str_eq(joined(operands.at), "-f");

	ck_assert_int_eq(read_options("--", false, true), 0);
	ck_assert_ptr_nonnull(operands.command);
	ck_assert_str_eq(joined(operands.command), "");

	ck_assert_int_eq(read_options("-f list -f --nothing", true, false), 0);
	ck_assert_str_eq(joined(operands.at), "list -f --nothing");
}
END_TEST

START_TEST(bad_options)
{
	static const char *const bad[] = {"--nothing", "-x", "-fx", "--text", "-t", "--flag=1", "--integer 1.5",
	    "--integer", "-i x", "--duration -1", "--duration soon", "noop --nothing"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(read_options(bad[i], false, true) == -1, "'%s'", bad[i]);
		ck_assert_msg(wrong.len > 0, "'%s' is refused with a reason", bad[i]);
	}
	ck_assert_msg(read_options("-f", false, true) == 0 && given.flag, "what was half read is forgotten");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_words");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, ids);
	tcase_add_test(tcase, bad_ids);
	tcase_add_test(tcase, filters);
	tcase_add_test(tcase, options_anywhere);
	tcase_add_test(tcase, dashes);
	tcase_add_test(tcase, bad_options);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
