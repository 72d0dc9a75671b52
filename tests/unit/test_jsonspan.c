/*
 * test_jsonspan: the readers give back what was written. (What is accepted at all: test_jsonscan.)
 */
#include "proto/jsonspan.h"

#include <check.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double
number_of(const char *text)
{
	struct span value;
	double number = NAN;

	ck_assert_int_eq(jsonspan_validate((struct span){text, strlen(text)}, &value, NULL), 0);
	ck_assert_int_eq(jsonspan_number(value, &number), 0);
	return number;
}

static bool
same(double a, double b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

START_TEST(numbers_are_read_exactly)
{
	char text[1200];
	int64_t integer = 7;

	ck_assert(same(number_of("0.1"), 0.1));
	ck_assert(same(number_of("-0"), -0.0));
	ck_assert(same(number_of("-0.0e5"), -0.0));
	ck_assert(same(number_of("12"), 12.0));
	ck_assert(same(number_of("1.7976931348623157e308"), DBL_MAX));
	ck_assert(same(number_of("4.9406564584124654e-324"), 0x1p-1074));
	ck_assert(same(number_of("9007199254740993"), 9007199254740992.0));
	/* A tie to the last of 800 digits goes to the even, one unit more does not. */
	memset(text, '0', sizeof(text));
	memcpy(text, "9007199254740993.", 17);
	text[900] = '\0';
	ck_assert(same(number_of(text), 9007199254740992.0));
	text[899] = '1';
	ck_assert(same(number_of(text), 9007199254740994.0));

	ck_assert_int_eq(jsonspan_integer(SPAN_LIT("-9223372036854775808"), &integer), 0);
	ck_assert_int_eq(integer, INT64_MIN);
	ck_assert_int_eq(jsonspan_integer(SPAN_LIT("9223372036854775807"), &integer), 0);
	ck_assert_int_eq(integer, INT64_MAX);
	ck_assert_int_eq(jsonspan_integer(SPAN_LIT("-0"), &integer), 0);
	ck_assert_int_eq(integer, 0);
	ck_assert_int_eq(jsonspan_integer(SPAN_LIT("1.0"), &integer), -1);
	ck_assert_int_eq(jsonspan_integer(SPAN_LIT("1e3"), &integer), -1);
	ck_assert_int_eq(jsonspan_integer(SPAN_LIT("\"1\""), &integer), -1);
	ck_assert_int_eq(jsonspan_integer(SPAN_LIT("null"), &integer), -1);
	ck_assert_int_eq(integer, 0);
}
END_TEST

START_TEST(numbers_do_not_know_the_locale)
{
	/* Where no such locale is installed there is nothing to show. */
	if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL && setlocale(LC_ALL, "fr_FR.UTF-8") == NULL)
		return;
	ck_assert(same(number_of("1.5"), 1.5));
	setlocale(LC_ALL, "C");
}
END_TEST

static void
assert_span(struct span value, const char *text)
{
	ck_assert_msg(value.len == strlen(text) && memcmp(value.at, text, value.len) == 0, "%.*s, not %s",
	    (int)value.len, value.at, text);
}

START_TEST(containers_are_cut)
{
	struct jsonspan_iter iter;
	struct span array = SPAN_LIT("[ 1 ,\"],[\\\"\" , [[ ],{\"x\":\"}\"}],{} ,null]"), key, value;
	struct span object = SPAN_LIT("{ \"a\" : 1 ,\"b:{\":{\"a\":2},\"\\u0063\":[3,\"}\"] , \"d\":-1.5e3 }");
	static const char *const elements[] = {"1", "\"],[\\\"\"", "[[ ],{\"x\":\"}\"}]", "{}", "null"};
	static const char *const keys[] = {"\"a\"", "\"b:{\"", "\"\\u0063\"", "\"d\""};
	static const char *const values[] = {"1", "{\"a\":2}", "[3,\"}\"]", "-1.5e3"};

	jsonspan_iter_init(&iter, array);
	for (size_t i = 0; i < 5; i++) {
		ck_assert(jsonspan_next(&iter, &value));
		assert_span(value, elements[i]);
	}
	ck_assert(!jsonspan_next(&iter, &value));
	ck_assert(!jsonspan_next(&iter, &value));
	jsonspan_iter_init(&iter, object);
	for (size_t i = 0; i < 4; i++) {
		ck_assert(jsonspan_next_member(&iter, &key, &value));
		assert_span(key, keys[i]);
		assert_span(value, values[i]);
	}
	ck_assert(!jsonspan_next_member(&iter, &key, &value));
	ck_assert_uint_eq(jsonspan_length(object), 4);
	ck_assert_uint_eq(jsonspan_length(SPAN_LIT("[ ]")), 0);
	ck_assert_uint_eq(jsonspan_length(SPAN_LIT("{ }")), 0);
	ck_assert_uint_eq(jsonspan_count(SPAN_LIT("[ ]")), 1);
	ck_assert_uint_eq(jsonspan_count(array), 9);

	ck_assert(jsonspan_get(object, "c", &value));
	assert_span(value, "[3,\"}\"]");
	ck_assert(!jsonspan_get(object, "x", &value));
	ck_assert(!jsonspan_get(object, "", &value));
	ck_assert(!jsonspan_get(array, "a", &value));
	ck_assert(!jsonspan_get(SPAN_NONE, "a", &value));
	jsonspan_iter_init(&iter, SPAN_LIT("12"));
	ck_assert(!jsonspan_next(&iter, &value));
}
END_TEST

START_TEST(strings_are_unescaped)
{
	struct span escaped = SPAN_LIT("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u4E2D\\ud83d\\ude00z\"");
	const char *meant = "a\"\\/\b\f\n\r\tA\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80z";
	char *text = NULL, buf[32];
	size_t len = 0;

	ck_assert_int_eq(jsonspan_string(escaped, &text, &len), 0);
	ck_assert_str_eq(text, meant);
	ck_assert_uint_eq(len, strlen(meant));
	free(text);
	ck_assert(jsonspan_is(escaped, meant));
	ck_assert(!jsonspan_is(escaped, "a\"\\/\b\f\n\r\tA"));
	ck_assert(!jsonspan_is(escaped, ""));
	ck_assert_int_eq(jsonspan_string_copy(escaped, buf, len + 1), 0);
	ck_assert_str_eq(buf, meant);
	strcpy(buf, "as it was");
	ck_assert_int_eq(jsonspan_string_copy(escaped, buf, len), -2);
	ck_assert_int_eq(jsonspan_string_copy(SPAN_LIT("12"), buf, sizeof(buf)), -1);
	ck_assert_str_eq(buf, "as it was");
	ck_assert_int_eq(jsonspan_string_copy(SPAN_LIT("\"\""), buf, 0), -2);
	ck_assert_int_eq(jsonspan_string_copy(SPAN_LIT("\"\""), buf, 1), 0);
	ck_assert_str_eq(buf, "");
	text = buf;
	ck_assert_int_eq(jsonspan_string(SPAN_LIT("[]"), &text, NULL), -1);
	ck_assert_ptr_eq(text, buf);

	ck_assert(jsonspan_is(SPAN_LIT("\"abc\""), "abc"));
	ck_assert(!jsonspan_is(SPAN_LIT("\"abc\""), "abcd"));
	ck_assert(!jsonspan_is(SPAN_LIT("\"abc\""), "ab"));
	ck_assert(!jsonspan_is(SPAN_LIT("\"a\\u0062c\""), "a\\u0062c"));
	ck_assert(jsonspan_is(SPAN_LIT("\"\""), ""));
	ck_assert(!jsonspan_is(SPAN_LIT("123"), "2"));
	ck_assert(!jsonspan_is(SPAN_NONE, ""));
}
END_TEST

START_TEST(words_are_read)
{
	bool word = false;

	ck_assert_int_eq(jsonspan_bool(SPAN_LIT("true"), &word), 0);
	ck_assert(word);
	ck_assert_int_eq(jsonspan_bool(SPAN_LIT("false"), &word), 0);
	ck_assert(!word);
	ck_assert_int_eq(jsonspan_bool(SPAN_LIT("null"), &word), -1);
	ck_assert_int_eq(jsonspan_bool(SPAN_LIT("\"true\""), &word), -1);
	ck_assert_int_eq(jsonspan_type(SPAN_LIT("null")), JSONSPAN_NULL);
	ck_assert_int_eq(jsonspan_type(SPAN_LIT("-12")), JSONSPAN_INTEGER);
	ck_assert_int_eq(jsonspan_type(SPAN_LIT("1E2")), JSONSPAN_REAL);
	ck_assert_int_eq(jsonspan_type(SPAN_LIT("0.5")), JSONSPAN_REAL);
}
END_TEST

START_TEST(quoting_escapes_what_it_must)
{
	char out[JSONSPAN_QUOTED_MAX(40)], all[256], *back;
	size_t len;
	struct span value;

	len = jsonspan_quote("a\"b\\c/\x7f\n\x01\x1f\xc3\xa9", 12, out);
	assert_span((struct span){out, len}, "\"a\\\"b\\\\c/\x7f\\n\\u0001\\u001f\xc3\xa9\"");
	len = jsonspan_quote("", 0, out);
	assert_span((struct span){out, len}, "\"\"");
	/* The worst case is just the room that is asked for. */
	memset(all, '\x01', 40);
	ck_assert_uint_eq(jsonspan_quote(all, 40, out), sizeof(out));
	/* All of ASCII comes back. */
	for (int i = 1; i < 128; i++)
		all[i - 1] = (char)i;
	char *quoted = malloc(JSONSPAN_QUOTED_MAX(127));

	len = jsonspan_quote(all, 127, quoted);
	ck_assert_int_eq(jsonspan_validate((struct span){quoted, len}, &value, NULL), 0);
	ck_assert_int_eq(jsonspan_string(value, &back, &len), 0);
	ck_assert_uint_eq(len, 127);
	ck_assert_mem_eq(back, all, 127);
	free(back);
	free(quoted);
}
END_TEST

START_TEST(text_is_utf8_without_nul)
{
	static const char *const bad[] = {
	    "\x80", "0123456\xff", "01234567\xc0\x80", "\xed\xa0\x80", "\xe4\xb8", "\xf4\x90\x80\x80"};

	ck_assert(jsonspan_is_text("", 0));
	ck_assert(jsonspan_is_text("plain text \x01\x1f\x7f\n", 15));
	ck_assert(jsonspan_is_text("0123456\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", 16));
	ck_assert(!jsonspan_is_text("0123456\0", 8));
	ck_assert(!jsonspan_is_text("0123456789\0", 11));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert(!jsonspan_is_text(bad[i], strlen(bad[i])));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("jsonspan");
	TCase *tcase = tcase_create("jsonspan");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, numbers_are_read_exactly);
	tcase_add_test(tcase, numbers_do_not_know_the_locale);
	tcase_add_test(tcase, containers_are_cut);
	tcase_add_test(tcase, strings_are_unescaped);
	tcase_add_test(tcase, words_are_read);
	tcase_add_test(tcase, quoting_escapes_what_it_must);
	tcase_add_test(tcase, text_is_utf8_without_nul);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
