/*
 * test_selection: ids, ranges and filters, what is malformed, and the limit on what is named.
 */
#include "proto/selection.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

#define MAX UINT64_C(10000000)

static struct selection selection;
static const char *param, *what;

static struct span
valid(const char *text)
{
	struct span value;

	if (text == NULL)
		return SPAN_NONE;
	ck_assert_msg(jsonspan_validate((struct span){text, strlen(text)}, &value, NULL) == 0, "not JSON: %s", text);
	return value;
}

/* Any of the three may be NULL: not there. */
static int
read_selection(const char *id, const char *ids, const char *filter)
{
	int result;

	param = what = NULL;
	result = selection_read(valid(id), valid(ids), valid(filter), MAX, &selection, &param, &what);
	ck_assert((result != 0) == (what != NULL));
	ck_assert((result != 0) == (param != NULL));
	return result;
}

/* ids as "1-3,7" */
static void
assert_ranges(const struct id_range *ranges, size_t n, const char *expected)
{
	char text[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    ranges[i].first == ranges[i].last ? "%s%" PRId64 : "%s%" PRId64 "-%" PRId64, i > 0 ? "," : "",
		    ranges[i].first, ranges[i].last);
	ck_assert_str_eq(text, expected);
}

START_TEST(an_id_is_single)
{
	ck_assert_int_eq(read_selection("42", NULL, NULL), 0);
	ck_assert(selection.single && !selection.filtered);
	ck_assert_uint_eq(selection.count, 1);
	assert_ranges(selection.asked, selection.n_asked, "42");
	assert_ranges(selection.ranges, selection.n_ranges, "42");
	ck_assert(!selection.is_range[0]);
	ck_assert(selection_has(&selection, 42));
	ck_assert(!selection_has(&selection, 41));
	selection_done(&selection);
	ck_assert_int_eq(read_selection("9007199254740991", NULL, NULL), 0);
	selection_done(&selection);
}
END_TEST

START_TEST(ids_are_sorted_and_merged_beside_the_order_asked)
{
	ck_assert_int_eq(read_selection(NULL, "[30,\"5-9\",7,\"8-12\",13,1,\"20-20\",\"1-2\",30]", NULL), 0);
	ck_assert(!selection.single && !selection.filtered);
	assert_ranges(selection.asked, selection.n_asked, "30,5-9,7,8-12,13,1,20,1-2,30");
	assert_ranges(selection.ranges, selection.n_ranges, "1-2,5-13,20,30");
	ck_assert_uint_eq(selection.count, 13);
	ck_assert(!selection.is_range[0] && selection.is_range[1] && selection.is_range[6] && !selection.is_range[8]);
	for (int64_t id = 0; id < 40; id++)
		ck_assert_int_eq(selection_has(&selection, id),
		    (id >= 1 && id <= 2) || (id >= 5 && id <= 13) || id == 20 || id == 30);
	selection_done(&selection);
	selection_done(&selection);
}
END_TEST

START_TEST(malformed_ids_are_refused)
{
	static const char *const ids[] = {"[]", "1", "\"1-2\"", "{}", "null", "[0]", "[-1]", "[1.0]",
	    "[9007199254740992]", "[null]", "[[1]]", "[true]", "[\"\"]", "[\"5\"]", "[\"9-5\"]", "[\"0-5\"]",
	    "[\"-5\"]", "[\"5-\"]", "[\"5--6\"]", "[\"5-6-7\"]", "[\"5 -6\"]", "[\" 5-6\"]", "[\"5-6 \"]", "[\"05-6\"]",
	    "[\"5-06\"]", "[\"+5-6\"]", "[\"a-b\"]", "[\"1-9007199254740992\"]",
	    "[\"1-99999999999999999999999999999999999999999999999\"]", "[1,2,\"3-1\"]"};
	static const char *const id[] = {
	    "0", "-1", "1.0", "\"1\"", "[1]", "null", "true", "{}", "9007199254740992", "1e3"};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		ck_assert_msg(read_selection(NULL, ids[i], NULL) == RPC_BAD_PARAMS, "accepted: %s", ids[i]);
		ck_assert_str_eq(param, "ids");
	}
	for (size_t i = 0; i < sizeof(id) / sizeof(id[0]); i++) {
		ck_assert_msg(read_selection(id[i], NULL, NULL) == RPC_BAD_PARAMS, "accepted: %s", id[i]);
		ck_assert_str_eq(param, "id");
	}
}
END_TEST

START_TEST(just_one_of_the_three_is_there)
{
	ck_assert_int_eq(read_selection(NULL, NULL, NULL), RPC_BAD_PARAMS);
	ck_assert_str_eq(param, "id");
	ck_assert_int_eq(read_selection("1", "[1]", NULL), RPC_BAD_PARAMS);
	ck_assert_str_eq(param, "ids");
	ck_assert_int_eq(read_selection("1", NULL, "{}"), RPC_BAD_PARAMS);
	ck_assert_str_eq(param, "filter");
	ck_assert_int_eq(read_selection("1", "[1]", "{}"), RPC_BAD_PARAMS);
}
END_TEST

START_TEST(what_is_named_is_limited)
{
	ck_assert_int_eq(read_selection(NULL, "[\"1-10000000\"]", NULL), 0);
	ck_assert_uint_eq(selection.count, MAX);
	selection_done(&selection);
	ck_assert_int_eq(read_selection(NULL, "[\"1-10000001\"]", NULL), RPC_TOO_LARGE);
	ck_assert_str_eq(param, "ids");
	ck_assert_int_eq(read_selection(NULL, "[\"1-5000000\",\"5000001-10000000\",3]", NULL), RPC_TOO_LARGE);
	ck_assert_int_eq(read_selection(NULL, "[\"1-9007199254740991\",\"1-9007199254740991\"]", NULL), RPC_TOO_LARGE);
}
END_TEST

/* More than fit into 64 bits are still too many. */
START_TEST(the_count_does_not_overflow)
{
	const char *range = "\"1-9007199254740991\",";
	size_t n = 2100, len = 1;
	char *text = malloc(n * strlen(range) + 2);

	text[0] = '[';
	for (size_t i = 0; i < n; i++) {
		memcpy(text + len, range, strlen(range));
		len += strlen(range);
	}
	text[len - 1] = ']';
	ck_assert_int_eq(
	    selection_read(SPAN_NONE, (struct span){text, len}, SPAN_NONE, UINT64_MAX, &selection, &param, &what),
	    RPC_TOO_LARGE);
	free(text);
}
END_TEST

START_TEST(filters_are_read)
{
	const struct selection_filter *filter = &selection.filter;

	ck_assert_int_eq(read_selection(NULL, NULL,
			     "{\"state\":[\"failed\",\"cancelled\"],\"task\":\"exec\",\"queue\":[\"a\",\"\"],"
			     "\"label\":\"\\u00e9\",\"owner\":[\"uid:1\"]}"),
	    0);
	ck_assert(selection.filtered && !selection.single);
	ck_assert_uint_eq(selection.count, 0);
	ck_assert_uint_eq(filter->states, 1U << JOB_FAILED | 1U << JOB_CANCELLED);
	ck_assert_uint_eq(filter->n_tasks, 1);
	ck_assert_str_eq(filter->tasks[0], "exec");
	ck_assert_uint_eq(filter->n_queues, 2);
	ck_assert_str_eq(filter->queues[0], "a");
	ck_assert_str_eq(filter->queues[1], "");
	ck_assert_uint_eq(filter->n_labels, 1);
	ck_assert_str_eq(filter->labels[0], "\xc3\xa9");
	ck_assert_uint_eq(filter->n_owners, 1);
	ck_assert_str_eq(filter->owners[0], "uid:1");
	selection_done(&selection);
	ck_assert_ptr_null(filter->tasks);

	ck_assert_int_eq(read_selection(NULL, NULL, "{\"state\":\"pending\"}"), 0);
	ck_assert_uint_eq(filter->states, 1U << JOB_PENDING);
	ck_assert_ptr_null(filter->tasks);
	selection_done(&selection);
	ck_assert_int_eq(read_selection(NULL, NULL, "{}"), 0);
	ck_assert_uint_eq(filter->states, 0);
	selection_done(&selection);
}
END_TEST

START_TEST(malformed_filters_are_refused)
{
	static const char *const filters[] = {"[]", "1", "null", "\"x\"", "{\"id\":1}", "{\"state\":\"done\"}",
	    "{\"state\":[]}", "{\"state\":null}", "{\"state\":[\"failed\",\"\"]}", "{\"state\":1}", "{\"task\":[]}",
	    "{\"task\":[1]}", "{\"task\":[\"a\",null]}", "{\"task\":{}}", "{\"queue\":1}", "{\"label\":null}",
	    "{\"owner\":[[\"a\"]]}", "{\"task\":\"a\",\"queue\":\"b\",\"label\":\"c\",\"owner\":\"d\",\"other\":\"e\"}",
	    "{\"State\":\"failed\"}"};
	struct selection_filter filter;

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		ck_assert_msg(read_selection(NULL, NULL, filters[i]) == RPC_BAD_PARAMS, "accepted: %s", filters[i]);
		ck_assert_str_eq(param, "filter");
		ck_assert_int_eq(selection_filter_read(valid(filters[i]), &filter, &what), RPC_BAD_PARAMS);
	}
	ck_assert_int_eq(selection_filter_read(valid("{\"queue\":\"q\"}"), &filter, &what), 0);
	ck_assert_uint_eq(filter.n_queues, 1);
	selection_filter_done(&filter);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("selection");
	TCase *tcase = tcase_create("selection");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, an_id_is_single);
	tcase_add_test(tcase, ids_are_sorted_and_merged_beside_the_order_asked);
	tcase_add_test(tcase, malformed_ids_are_refused);
	tcase_add_test(tcase, just_one_of_the_three_is_there);
	tcase_add_test(tcase, what_is_named_is_limited);
	tcase_add_test(tcase, the_count_does_not_overflow);
	tcase_add_test(tcase, filters_are_read);
	tcase_add_test(tcase, malformed_filters_are_refused);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
