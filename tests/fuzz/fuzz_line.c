/*
 * fuzz_line: what comes by a connection, from bytes to JSON: proto's lines cut the stream, jsonscan and jsonspan judge
 * and read each line.
 *
 * The first byte says how long a line may be, the second how many bytes come at once; the rest is the stream. What is
 * asserted: lines are cut as memchr would cut them, whatever the pieces; jsonspan and jansson accept the same texts (but
 * for what is nested deeper than jsonspan wants) and find the same values in them; the readers of one value agree with
 * each other; what is quoted is read as what it was. Each line stands in a block of just its size.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/lines.h"
#include "tests/fuzz/fuzz.h"

static void compare(const json_t *tree, struct span value);

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* The next line of the whole stream, looked for without any piece: false when there is none. */
static bool
naive_line(struct span stream, size_t start, size_t *ret_len)
{
	const char *end = start < stream.len ? memchr(stream.at + start, '\n', stream.len - start) : NULL;

	if (end != NULL)
		*ret_len = (size_t)(end - stream.at) - start;
	return end != NULL;
}

/* Cuts by pieces; the line that ends at each '\n' goes to judge(). */
static void
cut(struct span stream, size_t max, size_t piece, void (*judge)(struct span line))
{
	size_t start = 0, here = 0, len, expected;
	enum lines_verdict verdict;
	struct lines lines;

	lines_init(&lines, max);
	for (;;) {
		struct span chunk = fuzz_tight((struct span){stream.at + start + lines.scanned, here - start - lines.scanned});

		verdict = lines_scan(&lines, chunk.at, chunk.len, &len);
		fuzz_release(chunk);
		if (verdict == LINES_TOO_LONG) {
			FUZZ_CHECK(!naive_line(stream, start, &expected) || expected > max, "a line of %zu bytes is too long", expected);
			FUZZ_CHECK(here - start > max, "%zu bytes are too long already", here - start);
			return;
		}
		if (verdict == LINES_LINE) {
			FUZZ_CHECK(naive_line(stream, start, &expected) && expected == len && len <= max, "a line of %zu bytes", len);
			judge((struct span){stream.at + start, len});
			start += len + 1;
			continue;
		}
		FUZZ_CHECK(lines.scanned == here - start && lines.scanned <= max, "%zu bytes were not looked at", here - start);
		if (here == stream.len)
			return;
		here = stream.len - here > piece ? here + piece : stream.len;
	}
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static size_t
depth_of(const json_t *tree)
{
	size_t deepest = 0, at, depth;
	const char *key;
	json_t *member;

	json_array_foreach(tree, at, member)
	{
		depth = depth_of(member);
		deepest = depth > deepest ? depth : deepest;
	}
	json_object_foreach((json_t *)(uintptr_t)tree, key, member)
	{
		depth = depth_of(member);
		deepest = depth > deepest ? depth : deepest;
	}
	return deepest + (json_is_array(tree) || json_is_object(tree) ? 1 : 0);
}

static size_t
count_of(const json_t *tree)
{
	const char *key;
	json_t *member;
	size_t at, n = 1;

	json_array_foreach(tree, at, member) n += count_of(member);
	json_object_foreach((json_t *)(uintptr_t)tree, key, member) n += count_of(member);
	return n;
}

/* Writing it and reading it again changes nothing. */
static void
check_quote(const char *text, size_t len)
{
	char *out = malloc(JSONSPAN_QUOTED_MAX(len)), *again;
	size_t n = jsonspan_quote(text, len, out), again_len;
	struct span value;

	FUZZ_CHECK(n <= JSONSPAN_QUOTED_MAX(len), "%zu bytes were written for %zu", n, len);
	FUZZ_CHECK(jsonspan_validate((struct span){out, n}, &value, NULL) == 0 && value.len == n, "no JSON: %.*s", (int)n, out);
	FUZZ_CHECK(jsonspan_string(value, &again, &again_len) == 0, "no string: %.*s", (int)n, out);
	FUZZ_CHECK(again_len == len && memcmp(again, text, len) == 0, "it is read as %s", again);
	free(again);
	free(out);
}

static void
compare_string(const char *text, size_t len, struct span value)
{
	char *read, *copy = malloc(len + 1);
	size_t read_len;

	FUZZ_CHECK(copy != NULL && jsonspan_string(value, &read, &read_len) == 0, "no string: %.*s", (int)value.len, value.at);
	FUZZ_CHECK(read_len == len && memcmp(read, text, len) == 0, "jansson reads \"%s\", we \"%s\"", text, read);
	FUZZ_CHECK(read[len] == '\0', "no end");
	FUZZ_CHECK(jsonspan_is(value, text), "it is not what it says: %s", text);
	FUZZ_CHECK(jsonspan_string_copy(value, copy, len + 1) == 0 && strcmp(copy, text) == 0, "its copy is %s", copy);
	FUZZ_CHECK(jsonspan_string_copy(value, copy, len) == -2, "it fits where it has no room");
	FUZZ_CHECK(jsonspan_is_text(read, len), "a string that is no text");
	check_quote(read, len);
	free(read);
	free(copy);
}

static void
compare_number(const json_t *tree, struct span value)
{
	double number = NAN;
	int64_t integer = 0;

	FUZZ_CHECK(jsonspan_number(value, &number) == 0 && isfinite(number), "no number: %.*s", (int)value.len, value.at);
	FUZZ_CHECK(number == json_number_value(tree), "jansson reads %.*s as %.17g, we as %.17g", (int)value.len, value.at,
	    json_number_value(tree), number);
	if (json_is_real(tree)) {
		FUZZ_CHECK(jsonspan_integer(value, &integer) < 0, "%.*s is no integer", (int)value.len, value.at);
		return;
	}
	FUZZ_CHECK(jsonspan_integer(value, &integer) == 0 && integer == json_integer_value(tree), "jansson reads %lld, we %lld",
	    (long long)json_integer_value(tree), (long long)integer);
}

static void
compare_array(const json_t *tree, struct span value)
{
	struct jsonspan_iter iter;
	struct span element;
	size_t n = 0;

	for (jsonspan_iter_init(&iter, value); jsonspan_next(&iter, &element); n++) {
		FUZZ_CHECK(n < json_array_size(tree), "an element too many");
		compare(json_array_get(tree, n), element);
	}
	FUZZ_CHECK(n == json_array_size(tree) && n == jsonspan_length(value), "%zu elements", n);
}

static void
compare_object(const json_t *tree, struct span value)
{
	struct jsonspan_iter iter;
	struct span key, member, found;
	size_t n = 0;
	char *name;

	for (jsonspan_iter_init(&iter, value); jsonspan_next_member(&iter, &key, &member); n++) {
		FUZZ_CHECK(jsonspan_string(key, &name, NULL) == 0, "a key that is no string");
		compare_string(name, strlen(name), key);
		FUZZ_CHECK(json_object_get(tree, name) != NULL, "jansson knows no member %s", name);
		FUZZ_CHECK(jsonspan_get(value, name, &found) && found.at == member.at && found.len == member.len,
		    "the member %s is not found", name);
		compare(json_object_get(tree, name), member);
		free(name);
	}
	FUZZ_CHECK(n == json_object_size(tree) && n == jsonspan_length(value), "%zu members", n);
}

static enum jsonspan_type
type_of(const json_t *tree)
{
	switch (json_typeof(tree)) {
	case JSON_NULL: return JSONSPAN_NULL;
	case JSON_TRUE: return JSONSPAN_TRUE;
	case JSON_FALSE: return JSONSPAN_FALSE;
	case JSON_INTEGER: return JSONSPAN_INTEGER;
	case JSON_REAL: return JSONSPAN_REAL;
	case JSON_STRING: return JSONSPAN_STRING;
	case JSON_ARRAY: return JSONSPAN_ARRAY;
	case JSON_OBJECT: return JSONSPAN_OBJECT;
	}
	return JSONSPAN_NULL;
}

static void
compare(const json_t *tree, struct span value)
{
	enum jsonspan_type type = jsonspan_type(value);
	bool truth = false;
	double number;
	char *text;

	FUZZ_CHECK(type == type_of(tree), "%.*s is of another type", (int)value.len, value.at);
	FUZZ_CHECK((jsonspan_bool(value, &truth) == 0) == (type == JSONSPAN_TRUE || type == JSONSPAN_FALSE) &&
		truth == (type == JSONSPAN_TRUE), "no truth in %.*s", (int)value.len, value.at);
	switch (type) {
	case JSONSPAN_NULL:
	case JSONSPAN_TRUE:
	case JSONSPAN_FALSE:
		FUZZ_CHECK(jsonspan_number(value, &number) < 0 && jsonspan_string(value, &text, NULL) == -1, "a word is more");
		return;
	case JSONSPAN_INTEGER:
	case JSONSPAN_REAL: compare_number(tree, value); return;
	case JSONSPAN_STRING: compare_string(json_string_value(tree), json_string_length(tree), value); return;
	case JSONSPAN_ARRAY: compare_array(tree, value); return;
	case JSONSPAN_OBJECT: compare_object(tree, value); return;
	}
}

/* ---- a line ----------------------------------------------------------------------------------------------------- */

static void
check_text(struct span bytes)
{
	json_t *text = json_stringn(bytes.at, bytes.len);
	bool has_nul = memchr(bytes.at, '\0', bytes.len) != NULL;

	FUZZ_CHECK(jsonspan_is_text(bytes.at, bytes.len) == (text != NULL && !has_nul), "jansson thinks otherwise of UTF-8");
	if (text != NULL && !has_nul)
		check_quote(bytes.at, bytes.len);
	json_decref(text);
}

/* Whether it is accepted, with *ret_value. */
static bool
judge_by(int (*validate)(struct span, struct span *, struct jsonspan_error *), struct span line, struct span *ret_value)
{
	struct jsonspan_error error = {NULL, SIZE_MAX};

	if (validate(line, ret_value, &error) == 0) {
		FUZZ_CHECK(ret_value->at >= line.at && ret_value->at + ret_value->len <= line.at + line.len, "a value beyond its line");
		return true;
	}
	FUZZ_CHECK(error.what != NULL && error.what[0] != '\0' && error.offset <= line.len, "refused without a place or a reason");
	return false;
}

static void
judge(struct span bytes)
{
	struct span line = fuzz_tight(bytes), value, reply;
	json_t *tree = json_loadb(line.at, line.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	bool accepted = judge_by(jsonspan_validate, line, &value);
	size_t depth = tree != NULL ? depth_of(tree) : 0;

	check_text(line);
	if (memchr(line.at, '\0', line.len) != NULL) { /* jansson skips one behind a number */
		FUZZ_CHECK(!accepted, "a NUL was accepted");
		json_decref(tree);
		fuzz_release(line);
		return;
	}
	FUZZ_CHECK(accepted == (tree != NULL && depth <= JSONSPAN_DEPTH), "%s by us alone", accepted ? "accepted" : "refused");
	FUZZ_CHECK(judge_by(jsonspan_validate_reply, line, &reply) == (tree != NULL && depth <= JSONSPAN_REPLY_DEPTH),
	    "a reply is judged by another measure");
	if (accepted) {
		FUZZ_CHECK(lines_may_begin((unsigned char)line.at[0]), "a line may not begin as it does");
		compare(tree, value);
		FUZZ_CHECK(jsonspan_count(value) == count_of(tree), "%zu values", jsonspan_count(value));
		FUZZ_CHECK(jsonspan_count(value) <= value.len / 2 + 1, "more values than the header says");
	}
	json_decref(tree);
	fuzz_release(line);
}

static void
ignore(struct span line)
{
	(void)line;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	size_t max = fuzz_byte(&input), piece = 1 + fuzz_byte(&input) % 32u;
	struct span stream = fuzz_take(&input, SIZE_MAX);

	cut(stream, max, piece, ignore);
	cut(stream, SIZE_MAX - 1, stream.len + 1, judge);
	return 0;
}
