/*
 * test_capture: what is kept of a stream: the file, the head for the result, the tail for the error.
 */
#include "daemon/capture.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "tests/unit/tree.h"

static char folder[TREE_FOLDER];
static int dir;
static struct capture capture;

static void
setup(void)
{
	tree_make_folder(folder);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	capture_init(&capture, dir, 42, STREAM_STDERR, 1 << 20);
}

static void
teardown(void)
{
	capture_done(&capture);
	capture_delete(dir, 42);
	capture_delete(dir, 42); /* that there is none is no error */
	close(dir);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void
add(const char *text)
{
	capture_add(&capture, text, strlen(text));
}

static void
check_tail(const char *wanted)
{
	size_t len;
	char *tail = capture_tail(&capture, &len);

	ck_assert_str_eq(tail, wanted);
	ck_assert_uint_eq(len, strlen(wanted));
	free(tail);
}

START_TEST(test_file_comes_with_the_first_byte)
{
	char buf[16];

	ck_assert_int_eq(faccessat(dir, "42.err", F_OK, 0), -1);
	ck_assert_int_eq(capture_read(dir, 42, STREAM_STDERR, 0, buf, sizeof(buf)), 0);
	capture_add(&capture, "", 0);
	ck_assert_int_eq(faccessat(dir, "42.err", F_OK, 0), -1);
	add("hello");
	ck_assert_int_eq(capture.kept, 5);
	ck_assert_int_eq(capture_read(dir, 42, STREAM_STDERR, 1, buf, sizeof(buf)), 4);
	ck_assert_int_eq(memcmp(buf, "ello", 4), 0);
	ck_assert_int_eq(capture_read(dir, 42, STREAM_STDERR, 5, buf, sizeof(buf)), 0);
	ck_assert_int_eq(capture_read(dir, 42, STREAM_STDOUT, 0, buf, sizeof(buf)), 0);
}
END_TEST

START_TEST(test_next_attempt_begins_anew)
{
	char buf[16];

	add("first");
	capture_done(&capture);
	capture_init(&capture, dir, 42, STREAM_STDERR, 1 << 20);
	ck_assert_int_eq(capture_read(dir, 42, STREAM_STDERR, 0, buf, sizeof(buf)), 0);
	add("2");
	ck_assert_int_eq(capture_read(dir, 42, STREAM_STDERR, 0, buf, sizeof(buf)), 1);
}
END_TEST

START_TEST(test_file_ends_at_the_limit)
{
	char buf[16];

	capture.max = 5;
	add("abc");
	add("defg");
	add("hij");
	ck_assert_int_eq(capture.total, 10);
	ck_assert_int_eq(capture.kept, 5);
	ck_assert_int_eq(capture_read(dir, 42, STREAM_STDERR, 0, buf, sizeof(buf)), 5);
	ck_assert_uint_eq(capture.head_len, 10);
	check_tail("abcdefghij");
}
END_TEST

START_TEST(test_no_file_costs_output_alone)
{
	capture_done(&capture);
	capture_init(&capture, -1, 42, STREAM_STDERR, 1 << 20);
	add("lost");
	ck_assert_int_ne(capture.error, 0);
	ck_assert_int_eq(capture.kept, 0);
	ck_assert_int_eq(capture.total, 4);
	check_tail("lost");
}
END_TEST

/* The tail is right wherever the ring was cut, and begins with a whole character. */
START_TEST(test_tail)
{
	char *text = mem_new(3 * CAPTURE_TAIL + 1), *wanted;

	check_tail("");
	for (size_t i = 0; i < 3 * CAPTURE_TAIL; i++)
		text[i] = (char)('a' + i % 23);
	for (size_t at = 0; at < 3 * CAPTURE_TAIL;) {
		size_t len = 1 + at % 1000;

		if (len > 3 * CAPTURE_TAIL - at)
			len = 3 * CAPTURE_TAIL - at;
		capture_add(&capture, text + at, len);
		at += len;
	}
	check_tail(text + 2 * CAPTURE_TAIL);
	capture_add(&capture, text, 2 * CAPTURE_TAIL);
	wanted = mem_copy(text + CAPTURE_TAIL, CAPTURE_TAIL);
	check_tail(wanted);
	free(wanted);
	/* the tail would begin with the last two bytes of a euro sign */
	capture_add(&capture, "\xe2\x82\xac", 3);
	memset(text, 'z', CAPTURE_TAIL - 2);
	text[CAPTURE_TAIL - 2] = '\0';
	add(text);
	check_tail(text);
	free(text);
}
END_TEST

START_TEST(test_head_ends_with_a_whole_character)
{
	static const struct {
		const char *end; /* what stands at the head's very end */
		size_t cut;
	} cases[] = {{"a", 0}, {"\xc3\xa9", 0}, {"\xc3", 1}, {"\xe2\x82", 2}, {"\xe2", 1}, {"\xe2\x82\xac", 0},
	    {"\xf0\x9f\x98", 3}, {"\xf0\x9f\x98\x80", 0}};
	char *text = mem_new(CAPTURE_HEAD + 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].end);

		memset(text, 'a', CAPTURE_HEAD);
		memcpy(text + CAPTURE_HEAD - len, cases[i].end, len);
		capture_done(&capture);
		capture_init(&capture, dir, 42, STREAM_STDERR, 1 << 20);
		capture_add(&capture, text, CAPTURE_HEAD);
		ck_assert_uint_eq(capture_head(&capture), CAPTURE_HEAD); /* nothing was cut off */
		add("more");
		ck_assert_uint_eq(capture.head_len, CAPTURE_HEAD);
		ck_assert_uint_eq(capture_head(&capture), CAPTURE_HEAD - cases[i].cut);
	}
	free(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("capture");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_file_comes_with_the_first_byte);
	tcase_add_test(tcase, test_next_attempt_begins_anew);
	tcase_add_test(tcase, test_file_ends_at_the_limit);
	tcase_add_test(tcase, test_no_file_costs_output_alone);
	tcase_add_test(tcase, test_tail);
	tcase_add_test(tcase, test_head_ends_with_a_whole_character);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
