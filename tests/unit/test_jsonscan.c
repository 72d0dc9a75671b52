/*
 * test_jsonspan: what is JSON and what is not, and that the readers give back what was written. Every text stands in a
 * block of just its size, so that a sanitizer sees a single byte read too far.
 */
#include "proto/jsonspan.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct span
tight(const char *bytes, size_t len)
{
	char *block = malloc(len > 0 ? len : 1);

	ck_assert_ptr_nonnull(block);
	memcpy(block, bytes, len);
	return (struct span){block, len};
}

static void
release(struct span text)
{
	free((char *)(uintptr_t)text.at);
}

/* Goes through all of a validated value with every reader that fits; returns how many values there are. */
static size_t
visit(struct span value)
{
	struct jsonspan_iter iter;
	struct span key, inner;
	size_t n = 1, length = 0;
	char *text;
	double number;

	switch (jsonspan_type(value)) {
	case JSONSPAN_NULL:
	case JSONSPAN_FALSE:
	case JSONSPAN_TRUE: break;
	case JSONSPAN_INTEGER:
	case JSONSPAN_REAL:
		ck_assert_int_eq(jsonspan_number(value, &number), 0);
		ck_assert(isfinite(number));
		break;
	case JSONSPAN_STRING:
		ck_assert_int_eq(jsonspan_string(value, &text, NULL), 0);
		ck_assert(jsonspan_is(value, text));
		free(text);
		break;
	case JSONSPAN_ARRAY:
		for (jsonspan_iter_init(&iter, value); jsonspan_next(&iter, &inner); length++)
			n += visit(inner);
		ck_assert_uint_eq(jsonspan_length(value), length);
		break;
	case JSONSPAN_OBJECT:
		for (jsonspan_iter_init(&iter, value); jsonspan_next_member(&iter, &key, &inner); length++) {
			visit(key);
			n += visit(inner);
		}
		ck_assert_uint_eq(jsonspan_length(value), length);
		break;
	}
	ck_assert_uint_eq(jsonspan_count(value), n);
	ck_assert_uint_le(n, value.len / 2 + 1);
	return n;
}

static bool
accepts(const char *bytes, size_t len)
{
	struct span text = tight(bytes, len), value;
	struct jsonspan_error error = {NULL, 0};
	bool accepted = jsonspan_validate(text, &value, &error) == 0;

	if (accepted) {
		visit(value);
	} else {
		ck_assert_ptr_nonnull(error.what);
		ck_assert_uint_le(error.offset, len);
	}
	release(text);
	return accepted;
}

static void
assert_accepted(const char *text)
{
	ck_assert_msg(accepts(text, strlen(text)), "refused: %s", text);
}

static void
assert_refused(const char *text, size_t offset, const char *what)
{
	struct jsonspan_error error = {"accepted", 0};
	struct span block = tight(text, strlen(text));

	ck_assert_msg(jsonspan_validate(block, NULL, &error) < 0, "accepted: %s", text);
	ck_assert_msg(strcmp(error.what, what) == 0 && error.offset == offset, "%s: %s at %zu, not %s at %zu", text,
	    error.what, error.offset, what, offset);
	release(block);
}

START_TEST(accepts_what_is_json)
{
	static const char *const texts[] = {
	    "null",
	    "true",
	    "false",
	    "0",
	    "-0",
	    "1",
	    "-1",
	    "10",
	    "1.5",
	    "0.0",
	    "1e5",
	    "1E+5",
	    "1e-5",
	    "-0.1e0",
	    "\"\"",
	    "\"a\"",
	    "\" \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u00e9 \\uD83D\\uDE00 \"",
	    "\"\x7f\"",
	    "[]",
	    "{}",
	    "[[]]",
	    "[{}]",
	    "[1]",
	    "[1,2,3]",
	    "{\"a\":1}",
	    "{\"a\":{\"a\":{\"a\":[]}}}",
	    " [ 1 , 2 ] ",
	    "\t{ \"a\" : 1 ,\r\n \"b\" : 2 }\n",
	    "{\"\":1}",
	    "[\"12345678\",\"1234567\",\"123456789\"]",
	    "[0,1,12,123,1234567,12345678,123456789]",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_accepted(texts[i]);
}
END_TEST

START_TEST(refuses_what_is_not_json)
{
	static const struct {
		const char *text;
		size_t offset;
		const char *what;
	} cases[] = {
	    {"", 0, "the text ends too early"},
	    {" \n", 2, "the text ends too early"},
	    {"[1,", 3, "the text ends too early"},
	    {"[", 1, "the text ends too early"},
	    {"{\"a\"", 4, "the text ends too early"},
	    {"\"abc", 4, "the text ends too early"},
	    {"\"abc\\", 5, "the text ends too early"},
	    {"tru", 3, "the text ends too early"},
	    {"-", 1, "the text ends too early"},
	    {"1.", 2, "the text ends too early"},
	    {"1e", 2, "the text ends too early"},
	    {"1e+", 3, "the text ends too early"},
	    {"1 2", 2, "something follows the value"},
	    {"[]]", 2, "something follows the value"},
	    {"{}x", 2, "something follows the value"},
	    {"[1,]", 3, "a value is missing"},
	    {"[,1]", 1, "a value is missing"},
	    {"[1 2]", 3, "a comma or ] is missing"},
	    {"[1}", 2, "a comma or ] is missing"},
	    {"{\"a\":1]", 6, "a comma or } is missing"},
	    {"{\"a\":1,}", 7, "a key is missing"},
	    {"{a:1}", 1, "a key is missing"},
	    {"{1:1}", 1, "a key is missing"},
	    {"{\"a\" 1}", 5, "a colon must follow the key"},
	    {"{\"a\":}", 5, "a value is missing"},
	    {"nul]", 0, "no such word in JSON"},
	    {"nan", 0, "no such word in JSON"},
	    {"NaN", 0, "a value is missing"},
	    {"Infinity", 0, "a value is missing"},
	    {"-Infinity", 1, "a digit must follow the minus"},
	    {"+1", 0, "a value is missing"},
	    {".5", 0, "a value is missing"},
	    {"01", 0, "a number may not begin with 0"},
	    {"-01", 1, "a number may not begin with 0"},
	    {"[1.]", 3, "a digit must follow the point"},
	    {"[1e]", 3, "a digit is missing in the exponent"},
	    {"1x", 1, "something follows the value"},
	    {"'a'", 0, "a value is missing"},
	    {"\"\t\"", 1, "a control character must be escaped"},
	    {"\"\\x\"", 2, "no such escape"},
	    {"\"\\u12g4\"", 5, "four hexadecimal digits must follow \\u"},
	    {"\"\\u0000\"", 1, "NUL may not stand in a string"},
	    {"\"\\ud800\"", 1, "half of a surrogate pair"},
	    {"\"\\ud800x\"", 1, "half of a surrogate pair"},
	    {"\"\\ud800\\u0041\"", 1, "half of a surrogate pair"},
	    {"\"\\udc00\\ud800\"", 1, "half of a surrogate pair"},
	    {"\"\\udc00\\udc00\"", 1, "half of a surrogate pair"},
	    {"\xef\xbb\xbf[]", 0, "a value is missing"},
	    {"// \n1", 0, "a value is missing"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i].text, cases[i].offset, cases[i].what);
	ck_assert(!accepts("\"a\0b\"", 5));
	ck_assert(!accepts("[1\0]", 4));
	ck_assert(!accepts("1\0", 2));
	ck_assert_int_lt(jsonspan_validate(SPAN_NONE, NULL, NULL), 0);
}
END_TEST

START_TEST(strings_are_utf8)
{
	static const char *const good[] = {"\"\xc2\x80\"", "\"\xdf\xbf\"", "\"\xe0\xa0\x80\"", "\"\xed\x9f\xbf\"",
	    "\"\xee\x80\x80\"", "\"\xef\xbf\xbf\"", "\"\xf0\x90\x80\x80\"", "\"\xf4\x8f\xbf\xbf\""};
	static const char *const bad[] = {"\"\x80\"", "\"\xbf\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xc2\"",
	    "\"\xc2\x41\"", "\"\xe0\x9f\xbf\"", "\"\xe1\x80\"", "\"\xe1\x80\x41\"", "\"\xed\xa0\x80\"",
	    "\"\xed\xbf\xbf\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xf1\x80\x80\"", "\"\xf4\x90\x80\x80\"",
	    "\"\xf5\x80\x80\x80\"", "\"\xff\"", "\"\xfe\""};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_accepted(good[i]);
		ck_assert(jsonspan_is_text(good[i], strlen(good[i])));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_refused(bad[i], 1, "invalid UTF-8");
		ck_assert(!jsonspan_is_text(bad[i], strlen(bad[i])));
	}
}
END_TEST

/* Eight bytes are looked at in one: each special byte is found at each place of strings of each length. */
START_TEST(every_place_in_a_string_is_looked_at)
{
	static const char special[] = {'\0', '\n', '\x1f', '"', '\\', (char)0x80, (char)0xff};
	char text[48];

	for (size_t len = 1; len <= 40; len++) {
		for (size_t at = 0; at < len; at++) {
			text[0] = '"';
			memset(text + 1, 'x', len);
			text[len + 1] = '"';
			ck_assert(accepts(text, len + 2));
			for (size_t i = 0; i < sizeof(special); i++) {
				text[at + 1] = special[i];
				/* A backslash escapes the closing quote, or an x. */
				ck_assert(!accepts(text, len + 2));
				ck_assert(!jsonspan_is_text(text + 1, len) ==
					  (special[i] == '\0' || (special[i] & 0x80) != 0));
			}
		}
	}
}
END_TEST

/* No beginning of a text is the text, and none is read beyond its end. */
START_TEST(every_beginning_is_refused)
{
	static const char text[] =
	    "{\"a\":[1,-2.5e+10,true,false,null,\"\\u00e9\\ud83d\\ude00\xc3\xa9\xf0\x9f\x98\x80\"],"
	    "\"bcdefghijk\":{\"\":{}},\"c\":\"0123456789\"}";

	ck_assert(accepts(text, sizeof(text) - 1));
	for (size_t len = 0; len < sizeof(text) - 1; len++)
		ck_assert(!accepts(text, len));
}
END_TEST

/* Any byte in any place: accepted or not, nothing is read that is not there. */
START_TEST(every_change_of_a_byte_is_survived)
{
	static const char text[] = "{\"a\":[1,-2.5e9,true,null,\"\\u00e9\\ud83d\\ude00\xc3\xa9\"],\"a2\":{\"b\":{}}}";
	char changed[sizeof(text)];

	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		memcpy(changed, text, sizeof(text));
		for (int byte = 0; byte < 256; byte++) {
			changed[at] = (char)byte;
			accepts(changed, sizeof(text) - 1);
		}
	}
}
END_TEST

static bool
accepts_depth(size_t depth, const char *open, const char *close)
{
	char text[1024] = "";

	for (size_t i = 0; i < depth; i++)
		strcat(text, open);
	strcat(text, "1");
	for (size_t i = 0; i < depth; i++)
		strcat(text, close);
	return accepts(text, strlen(text));
}

START_TEST(nesting_has_a_limit)
{
	char text[1024];
	struct span value;

	ck_assert(accepts_depth(JSONSPAN_DEPTH, "[", "]"));
	ck_assert(!accepts_depth(JSONSPAN_DEPTH + 1, "[", "]"));
	ck_assert(accepts_depth(JSONSPAN_DEPTH, "{\"a\":", "}"));
	ck_assert(!accepts_depth(JSONSPAN_DEPTH + 1, "{\"a\":", "}"));
	for (size_t depth = JSONSPAN_DEPTH + 1; depth <= JSONSPAN_REPLY_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		ck_assert_int_eq(jsonspan_validate_reply((struct span){text, 2 * depth}, &value, NULL) == 0,
		    depth <= JSONSPAN_REPLY_DEPTH);
	}
	/* A million brackets are refused as quickly as 65, and without a stack of their own. */
	char *many = malloc(1000000);
	struct jsonspan_error error;

	memset(many, '[', 1000000);
	ck_assert_int_lt(jsonspan_validate((struct span){many, 1000000}, NULL, &error), 0);
	ck_assert_str_eq(error.what, "nested too deep");
	ck_assert_uint_eq(error.offset, JSONSPAN_DEPTH);
	free(many);
}
END_TEST

START_TEST(numbers_have_a_range)
{
	static const char *const good[] = {"9223372036854775807", "-9223372036854775808", "1e308",
	    "1.7976931348623157e308", "-1.7976931348623157E+308", "17976931348623157e292", "1e-400",
	    "0e999999999999999999999", "0.0e400", "1.797693134862315807e308", "17976931348623158e292",
	    "0.00000000001e315", "1e-99999999999999999999", "1.5e99", "999e305"};
	static const char *const bad[] = {"9223372036854775808", "-9223372036854775809", "10000000000000000000",
	    "99999999999999999999999", "1e309", "-1e309", "1.8e308", "1.797693134862315808e308",
	    "1e99999999999999999999", "0.00000000001e320", "2e308", "1000e306", "1.7976931348623159e308"};
	char text[700];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_accepted(good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!accepts(bad[i], strlen(bad[i])), "accepted: %s", bad[i]);
	/* 400 digits before the point are too many, unless the exponent takes them back. */
	memset(text, '9', 400);
	strcpy(text + 400, ".0");
	ck_assert(!accepts(text, strlen(text)));
	strcpy(text + 400, "e-100");
	ck_assert(accepts(text, strlen(text)));
}
END_TEST

/* An object of n members "k0".."kN" whose member `at` is spelt as key. */
static bool
accepts_members(size_t n, size_t at, const char *key)
{
	char *text = malloc(n * 24 + 64);
	size_t len = 0;
	bool accepted;

	text[len++] = '{';
	for (size_t i = 0; i < n; i++) {
		if (i == at)
			len += (size_t)sprintf(text + len, "\"%s\":[{\"k1\":1,\"k2\":2}],", key);
		else
			len += (size_t)sprintf(text + len, "\"k%zu\":1,", i);
	}
	text[len - 1] = '}';
	accepted = accepts(text, len);
	free(text);
	return accepted;
}

START_TEST(keys_stand_once_in_an_object)
{
	static const size_t sizes[] = {2, 15, 16, 17, 18, 47, 48, 49, 100, 512, 513, 5000};
	char key[16];

	assert_refused("{\"a\":1,\"a\":2}", 8, "a key stands twice in one object");
	assert_refused("{\"a\":1,\"\\u0061\":2}", 8, "a key stands twice in one object");
	assert_refused("[{\"b\":{\"a\":1},\"a\":{},\"b\":2}]", 22, "a key stands twice in one object");
	assert_refused("{\"\":1,\"\":2}", 7, "a key stands twice in one object");
	assert_refused(
	    "{\"\xc3\xa9 and more\":1,\"\\u00E9 and\\u0020more\":2}", 18, "a key stands twice in one object");
	assert_refused("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", 19, "a key stands twice in one object");
	assert_refused("{\"1234567\xe4\xb8\xad\":1,\"1234567\\u4e2d\":2}", 17, "a key stands twice in one object");
	assert_refused("{\"12345678\":1,\"1234567\\u0038\":2}", 15, "a key stands twice in one object");
	assert_accepted("{\"a\":{\"a\":1},\"b\":{\"a\":1}}");
	assert_accepted("{\"a\":1,\"A\":2,\"a \":3,\"\":4,\"aa\":5,\"\\\\u0061\":6}");
	assert_accepted("[{\"a\":1},{\"a\":1}]");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];

		ck_assert(accepts_members(n, n - 1, "other"));
		ck_assert(!accepts_members(n, n - 1, "k0"));
		ck_assert(!accepts_members(n, n - 1, "\\u006b0"));
		ck_assert(!accepts_members(n, 0, n > 2 ? "k2" : "k1"));
		snprintf(key, sizeof(key), "\\u006b%zu", n - 1);
		ck_assert(!accepts_members(n, n / 2 - (n == 2), key));
	}
}
END_TEST

/* As proto/jsonkeys.c mixes; should it mix otherwise one day, this test only proves less. */
static uint64_t
mix(uint64_t hash)
{
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ (hash >> 32);
}

/* Writes the next 16-byte key whose hash is that of all others it writes. */
static void
write_collision(uint64_t *seed, char out[16])
{
	uint64_t halves[2];
	bool fits = false;

	while (!fits) {
		(*seed)++;
		fits = true;
		for (unsigned i = 0; i < 8; i++)
			out[i] = (char)('A' + ((*seed >> (4 * i)) & 15));
		memcpy(&halves[0], out, 8);
		halves[1] = mix(halves[0]) ^ UINT64_C(0x5050505050505050);
		memcpy(out + 8, &halves[1], 8);
		for (unsigned i = 8; i < 16; i++)
			fits = fits && out[i] >= ' ' && out[i] != '"' && out[i] != '\\' && out[i] != 0x7f;
	}
}

START_TEST(equal_hashes_are_not_equal_keys)
{
	enum { KEYS = 2000 };
	char *text = malloc(KEYS * 21 + 32);
	size_t len = 0;
	uint64_t seed = 0;

	text[len++] = '{';
	for (size_t i = 0; i < KEYS; i++) {
		text[len++] = '"';
		write_collision(&seed, text + len);
		len += 16;
		len += (size_t)sprintf(text + len, "\":%d,", 1);
	}
	text[len - 1] = '}';
	ck_assert(accepts(text, len));
	/* A few of them are compared at once. */
	text[21 * 10] = '}';
	ck_assert(accepts(text, 21 * 10 + 1));
	text[21 * 10] = ',';
	memcpy(text + 2 + 21 * (KEYS - 1), text + 2 + 21, 16);
	ck_assert(!accepts(text, len));
	free(text);
}
END_TEST

START_TEST(white_space_is_cut_off)
{
	struct span value;
	static const char text[] = " \t\r\n {\"a\": [ 1 ] } \n";

	ck_assert_int_eq(jsonspan_validate((struct span){text, sizeof(text) - 1}, &value, NULL), 0);
	ck_assert_ptr_eq(value.at, text + 5);
	ck_assert_uint_eq(value.len, 13);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("jsonscan");
	TCase *tcase = tcase_create("jsonscan");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, accepts_what_is_json);
	tcase_add_test(tcase, refuses_what_is_not_json);
	tcase_add_test(tcase, strings_are_utf8);
	tcase_add_test(tcase, every_place_in_a_string_is_looked_at);
	tcase_add_test(tcase, every_beginning_is_refused);
	tcase_add_test(tcase, every_change_of_a_byte_is_survived);
	tcase_add_test(tcase, nesting_has_a_limit);
	tcase_add_test(tcase, numbers_have_a_range);
	tcase_add_test(tcase, keys_stand_once_in_an_object);
	tcase_add_test(tcase, equal_hashes_are_not_equal_keys);
	tcase_add_test(tcase, white_space_is_cut_off);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
