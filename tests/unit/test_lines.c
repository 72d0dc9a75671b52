/*
 * test_lines: a stream comes out as the same lines however it was cut on its way.
 */
#include "proto/lines.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Hands stream over in pieces of `piece` bytes, each in a block of its own, and asserts that it is exactly the lines.
 */
static void
assert_lines(const char *stream, size_t piece, size_t max, const char *const *expected)
{
	struct lines lines;
	size_t begin = 0, at = 0, total = strlen(stream), len;

	lines_init(&lines, max);
	while (at < total) {
		size_t n = total - at < piece ? total - at : piece;
		char *chunk = malloc(n);
		size_t used = 0;

		memcpy(chunk, stream + at, n);
		while (lines_scan(&lines, chunk + used, n - used, &len) == LINES_LINE) {
			ck_assert_ptr_nonnull(*expected);
			ck_assert_uint_eq(len, strlen(*expected));
			ck_assert_mem_eq(stream + begin, *expected++, len);
			begin += len + 1;
			used = begin - at;
		}
		ck_assert_uint_eq(lines.scanned, at + n - begin);
		free(chunk);
		at += n;
	}
	ck_assert_ptr_null(*expected);
}

START_TEST(lines_come_out_however_they_are_cut)
{
	static const char *const expected[] = {"first", "", "a second one", "x", "", NULL};

	for (size_t piece = 1; piece <= 32; piece++)
		assert_lines("first\n\na second one\nx\n\nno end", piece, 100, expected);
	for (size_t piece = 1; piece <= 32; piece++)
		assert_lines("first\n\na second one\nx\n\n", piece, 12, expected);
}
END_TEST

START_TEST(a_line_of_max_is_a_line_and_one_byte_more_is_not)
{
	struct lines lines;
	size_t len = 99;

	lines_init(&lines, 4);
	ck_assert_int_eq(lines_scan(&lines, "1234\n", 5, &len), LINES_LINE);
	ck_assert_uint_eq(len, 4);
	ck_assert_int_eq(lines_scan(&lines, "1234", 4, &len), LINES_MORE);
	ck_assert_int_eq(lines_scan(&lines, "", 0, &len), LINES_MORE);
	ck_assert_int_eq(lines_scan(&lines, "\n", 1, &len), LINES_LINE);
	ck_assert_uint_eq(len, 4);
	len = 99;
	ck_assert_int_eq(lines_scan(&lines, "12", 2, &len), LINES_MORE);
	ck_assert_int_eq(lines_scan(&lines, "345\n", 4, &len), LINES_TOO_LONG);
	ck_assert_int_eq(lines_scan(&lines, "345\n", 4, &len), LINES_TOO_LONG);
	ck_assert_uint_eq(len, 99);
	lines_init(&lines, 4);
	ck_assert_int_eq(lines_scan(&lines, "12345", 5, &len), LINES_TOO_LONG);
}
END_TEST

START_TEST(a_connection_begins_with_json)
{
	static const char good[] = " \t\r\n{[\"-0123456789tfn";

	for (int byte = 0; byte < 256; byte++)
		ck_assert_int_eq(lines_may_begin((unsigned char)byte), memchr(good, byte, sizeof(good) - 1) != NULL);
	ck_assert(!lines_may_begin('G'));
	ck_assert(!lines_may_begin(0x16));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lines");
	TCase *tcase = tcase_create("lines");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, lines_come_out_however_they_are_cut);
	tcase_add_test(tcase, a_line_of_max_is_a_line_and_one_byte_more_is_not);
	tcase_add_test(tcase, a_connection_begins_with_json);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
