/*
 * test_envelope: what is a request, and which id its refusal is answered with.
 */
#include "proto/envelope.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

static struct span
valid(const char *text)
{
	struct span value;

	ck_assert_msg(jsonspan_validate((struct span){text, strlen(text)}, &value, NULL) == 0, "not JSON: %s", text);
	return value;
}

/* text NULL: the span must be absent. */
static void
assert_span(struct span span, const char *text)
{
	if (text == NULL) {
		ck_assert_ptr_null(span.at);
		return;
	}
	ck_assert_ptr_nonnull(span.at);
	ck_assert_msg(span.len == strlen(text) && memcmp(span.at, text, span.len) == 0, "%.*s, not %s", (int)span.len,
	    span.at, text);
}

START_TEST(requests_are_read)
{
	static const struct {
		const char *text, *id, *method, *params;
	} cases[] = {
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", "1", "\"ping\"", NULL},
	    {"{\"params\":{\"a\":[1]},\"method\":\"m\",\"id\":\"x\",\"jsonrpc\":\"2.0\"}", "\"x\"", "\"m\"",
		"{\"a\":[1]}"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{}}", NULL, "\"m\"", "{}"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":null}", "null", "\"m\"", NULL},
	    {" { \"jsonrpc\" : \"\\u0032.0\" , \"m\\u0065thod\" : \"m\" , \"id\" : -5 } ", "-5", "\"m\"", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope envelope;
		const char *what = NULL;

		ck_assert_int_eq(envelope_read(valid(cases[i].text), &envelope, &what), 0);
		assert_span(envelope.id, cases[i].id);
		assert_span(envelope.method, cases[i].method);
		assert_span(envelope.params, cases[i].params);
	}
}
END_TEST

START_TEST(refusals_have_the_id_that_was_found)
{
	static const struct {
		const char *text;
		int code;
		const char *id;
	} cases[] = {
	    {"1", RPC_INVALID_REQUEST, "null"},
	    {"\"ping\"", RPC_INVALID_REQUEST, "null"},
	    {"[]", RPC_INVALID_REQUEST, "null"},
	    {"{}", RPC_INVALID_REQUEST, "null"},
	    {"{\"id\":7}", RPC_INVALID_REQUEST, "7"},
	    {"{\"id\":7,\"method\":\"m\"}", RPC_INVALID_REQUEST, "7"},
	    {"{\"jsonrpc\":2.0,\"method\":\"m\",\"id\":7}", RPC_INVALID_REQUEST, "7"},
	    {"{\"jsonrpc\":\"1.0\",\"method\":\"m\",\"id\":7}", RPC_INVALID_REQUEST, "7"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":1,\"id\":\"x\"}", RPC_INVALID_REQUEST, "\"x\""},
	    {"{\"jsonrpc\":\"2.0\",\"id\":7}", RPC_INVALID_REQUEST, "7"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":1.5}", RPC_INVALID_REQUEST, "null"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":[1]}", RPC_INVALID_REQUEST, "null"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":{}}", RPC_INVALID_REQUEST, "null"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":true}", RPC_INVALID_REQUEST, "null"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"extra\":1,\"id\":8}", RPC_INVALID_REQUEST, "8"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"extra\":1}", RPC_INVALID_REQUEST, "null"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":[1],\"id\":9}", RPC_BAD_PARAMS, "9"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":null,\"id\":9}", RPC_BAD_PARAMS, "9"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":\"x\"}", RPC_BAD_PARAMS, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope envelope;
		const char *what = NULL;

		ck_assert_msg(
		    envelope_read(valid(cases[i].text), &envelope, &what) == cases[i].code, "%s", cases[i].text);
		ck_assert_ptr_nonnull(what);
		assert_span(envelope.id, cases[i].id);
	}
}
END_TEST

START_TEST(args_and_items_are_one_value_each)
{
	ck_assert_uint_eq(envelope_count_values(valid("1")), 1);
	ck_assert_uint_eq(envelope_count_values(valid("[]")), 1);
	ck_assert_uint_eq(envelope_count_values(valid("[1,[2,3],{}]")), 6);
	ck_assert_uint_eq(envelope_count_values(valid("{\"method\":\"m\",\"id\":1,\"params\":{\"ids\":[1,2]}}")), 7);
	ck_assert_uint_eq(
	    envelope_count_values(valid("{\"params\":{\"args\":[1,2,[3]],\"items\":[1,[2]],\"task\":\"t\"}}")), 5);
	ck_assert_uint_eq(envelope_count_values(valid("{\"args\":[1,2],\"params\":[1,{\"args\":[1]}]}")), 9);
	ck_assert_uint_eq(
	    envelope_count_values(valid("[{\"params\":{\"\\u0061rgs\":[1,2,[3]]}},{\"params\":{\"items\":[1]}}]")), 7);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("envelope");
	TCase *tcase = tcase_create("envelope");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, requests_are_read);
	tcase_add_test(tcase, refusals_have_the_id_that_was_found);
	tcase_add_test(tcase, args_and_items_are_one_value_each);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
