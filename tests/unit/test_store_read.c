/*
 * test_store_read: reads of the SQLite store: fields, filters, directions, ranges with gaps, cursors and pages, and
 * that a long one lets go.
 */
#include "tests/unit/bulk.h"
#include "tests/unit/store_rig.h"

/* ---- twelve jobs in all places ---------------------------------------------------------------------------- */

/*
 * id      1..3 ready    4 delayed    5, 6 running    7..9 succeeded, failed, cancelled    10..12 ready again
 * queue   odd: "odd", even: "even"; owner uid:1 up to 6, then uid:2; task of 12: other; label of 2 and 8: L
 */
static struct spec specs[13];

static void
populate(void)
{
	for (int i = 1; i <= 12; i++) {
		enum store_place place = i == 4 ? STORE_DELAYED
		    : i == 5 || i == 6		? STORE_RUNNING
		    : i >= 7 && i <= 9		? STORE_DONE
						: STORE_READY;
		struct store_put *member;

		specs[i] = template(i);
		specs[i].queue = i % 2 != 0 ? "odd" : "even";
		specs[i].owner = i <= 6 ? "uid:1" : "uid:2";
		specs[i].task = i == 12 ? "other" : "noop";
		specs[i].label = i == 2 || i == 8 ? "L" : NULL;
		specs[i].not_before_ms = i == 4 ? now_ms + HOUR_MS : SPEC_NONE;
		member = put(&specs[i], place);
		member->token = (uint64_t)i;
		member->end = (struct store_end){.attempt = 1,
		    .started_ms = now_ms,
		    .finished_ms = now_ms + i,
		    .until_ms = now_ms + HOUR_MS,
		    .state = i == 7 ? JOB_SUCCEEDED
			: i == 8    ? JOB_FAILED
				    : JOB_CANCELLED,
		    .json = i == 7 ? SPAN_LIT("\"result\"") : SPAN_LIT("\"error\"")};
	}
	commit();
	store_batch_clear(&batch);
}

static void
check_ids(const char *want)
{
	char got[512] = "";

	for (size_t i = 0; i < answer.n_rows; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%lld", i > 0 ? " " : "",
		    (long long)answer.rows[i].id);
	ck_assert_str_eq(got, want);
	store_read_done(&answer);
}

static void
read_filtered(const struct selection_filter *filter, const char *owner, bool desc)
{
	answer = (struct store_read){.ranges = &everything,
	    .n_ranges = 1,
	    .filter = filter,
	    .owner = owner,
	    .desc = desc,
	    .max_rows = 100,
	    .max_bytes = 1 << 20};
	read_more();
}

START_TEST(fields_bring_what_was_asked)
{
	populate();
	read_jobs(&everything, 1, 0);
	ck_assert_uint_eq(answer.n_rows, 12);
	ck_assert_ptr_null(answer.rows[0].spec.task);
	ck_assert_ptr_null(answer.rows[0].spec.args.at);
	ck_assert_str_eq(answer.rows[0].spec.owner, "uid:1");
	ck_assert_str_eq(answer.rows[11].spec.owner, "uid:2");
	ck_assert_int_eq(answer.rows[6].finished_ms, now_ms + 7);
	ck_assert_ptr_null(answer.rows[6].json.at);
	ck_assert(!answer.more);
	store_read_done(&answer);
	read_jobs(&everything, 1, STORE_FIELD_ARGS);
	ck_assert(span_is(answer.rows[0].spec.args, "[1]"));
	ck_assert_ptr_null(answer.rows[0].spec.task);
	store_read_done(&answer);
	read_jobs(&everything, 1, STORE_FIELD_SPEC);
	ck_assert_str_eq(answer.rows[11].spec.task, "other");
	ck_assert_str_eq(answer.rows[10].spec.queue, "odd");
	ck_assert_str_eq(answer.rows[1].spec.label, "L");
	ck_assert_ptr_null(answer.rows[1].spec.args.at);
	store_read_done(&answer);
	read_jobs(&everything, 1, STORE_FIELD_RESULT);
	ck_assert(span_is(answer.rows[6].json, "\"result\""));
	ck_assert_ptr_null(answer.rows[7].json.at);
	store_read_done(&answer);
	read_jobs(&everything, 1, STORE_FIELD_ERROR);
	ck_assert_ptr_null(answer.rows[6].json.at);
	ck_assert(span_is(answer.rows[7].json, "\"error\""));
	store_read_done(&answer);
}
END_TEST

START_TEST(filters_by_state)
{
	static const struct {
		unsigned states;
		const char *ids;
	} cases[] = {
	    {1u << JOB_PENDING, "1 2 3 4 10 11 12"},
	    {1u << JOB_RUNNING, "5 6"},
	    {1u << JOB_SUCCEEDED, "7"},
	    {1u << JOB_FAILED | 1u << JOB_CANCELLED, "8 9"},
	    {1u << JOB_RUNNING | 1u << JOB_FAILED, "5 6 8"},
	    {1u << JOB_PENDING | 1u << JOB_RUNNING, "1 2 3 4 5 6 10 11 12"},
	    {0, "1 2 3 4 5 6 7 8 9 10 11 12"},
	};

	populate();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selection_filter filter = {.states = cases[i].states};

		read_filtered(&filter, NULL, false);
		check_ids(cases[i].ids);
	}
}
END_TEST

START_TEST(filters_by_names)
{
	char *odd[] = {"odd"}, *both[] = {"nobody", "odd", "even"}, *labels[] = {"x", "L"}, *other[] = {"other"},
	     *owners[] = {"uid:2"};
	struct selection_filter filter = {.queues = odd, .n_queues = 1};

	populate();
	read_filtered(&filter, NULL, false);
	check_ids("1 3 5 7 9 11");
	read_filtered(&filter, "uid:2", true);
	check_ids("11 9 7");
	filter.states = 1u << JOB_RUNNING;
	read_filtered(&filter, NULL, true);
	check_ids("5");
	filter = (struct selection_filter){.queues = both, .n_queues = 3, .labels = labels, .n_labels = 2};
	read_filtered(&filter, NULL, false);
	check_ids("2 8");
	filter.states = 1u << JOB_FAILED;
	read_filtered(&filter, NULL, true);
	check_ids("8");
	filter = (struct selection_filter){.tasks = other, .n_tasks = 1};
	read_filtered(&filter, NULL, false);
	check_ids("12");
	filter = (struct selection_filter){.owners = owners, .n_owners = 1, .states = 1u << JOB_PENDING};
	read_filtered(&filter, NULL, true);
	check_ids("12 11 10");
	read_filtered(&filter, "uid:1", false);
	check_ids("");
}
END_TEST

/* Pages of every size, both ways, with and without a filter, are the whole, each job once. */
START_TEST(pages_are_the_whole)
{
	char *odd[] = {"odd"};
	struct selection_filter filters[] = {{0}, {.queues = odd, .n_queues = 1}, {.states = 1u << JOB_PENDING},
	    {.states = 1u << JOB_FAILED | 1u << JOB_SUCCEEDED}};
	static const char *const rising[] = {"1 2 3 4 5 6 7 8 9 10 11 12", "1 3 5 7 9 11", "1 2 3 4 10 11 12", "7 8"};
	static const char *const falling[] = {"12 11 10 9 8 7 6 5 4 3 2 1", "11 9 7 5 3 1", "12 11 10 4 3 2 1", "8 7"};

	populate();
	for (int i = 0; i < 4 * 2 * 13; i++) {
		int which = i % 4, desc = i / 4 % 2;
		char got[128] = "";
		int64_t cursor = 0;

		do {
			answer = (struct store_read){.ranges = &everything,
			    .n_ranges = 1,
			    .filter = &filters[which],
			    .desc = desc,
			    .cursor = cursor,
			    .max_bytes = 1 << 20};
			answer.max_rows = (size_t)(i / 8) + 1;
			read_more();
			ck_assert_uint_le(answer.n_rows, answer.max_rows);
			for (size_t k = 0; k < answer.n_rows; k++)
				snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%lld",
				    got[0] != '\0' ? " " : "", (long long)answer.rows[k].id);
			cursor = answer.next;
			store_read_done(&answer);
		} while (answer.more);
		ck_assert_str_eq(got, desc ? falling[which] : rising[which]);
	}
}
END_TEST

START_TEST(bytes_end_a_page)
{
	populate();
	answer = (struct store_read){
	    .ranges = &everything, .n_ranges = 1, .max_rows = 100, .max_bytes = 1, .fields = STORE_FIELD_SPEC};
	read_more();
	ck_assert_uint_eq(answer.n_rows, 1);
	ck_assert(answer.more);
	ck_assert_int_eq(answer.next, 1);
	store_read_done(&answer);
}
END_TEST

START_TEST(a_strict_read_stops_before_a_large_row)
{
	populate();
	answer = (struct store_read){.ranges = &everything,
	    .n_ranges = 1,
	    .cursor = 5,
	    .max_rows = 100,
	    .max_bytes = 12,
	    .strict = true,
	    .fields = STORE_FIELD_RESULT};
	read_more();
	ck_assert(answer.more);
	ck_assert_uint_eq(answer.large, 8);
	ck_assert_int_eq(answer.next, 6);
	check_ids("6");
	answer.cursor = answer.next;
	answer.max_bytes = 1;
	read_more();
	ck_assert(answer.more);
	ck_assert_uint_eq(answer.large, 8);
	ck_assert_int_eq(answer.next, 6);
	check_ids("");
	answer.strict = false;
	answer.max_rows = 1;
	read_more();
	ck_assert_uint_eq(answer.large, 0);
	check_ids("7");
	answer.desc = answer.strict = true;
	answer.cursor = 8;
	read_more();
	ck_assert(answer.more);
	ck_assert_int_eq(answer.next, 8);
	check_ids("");
}
END_TEST

START_TEST(ranges_with_gaps)
{
	static const struct id_range ranges[] = {
	    {2, 3}, {6, 7}, {12, 12}, {13, 500}, {INT64_C(1) << 40, INT64_C(1) << 50}};
	static const struct id_range past[] = {{100, 200}};

	populate();
	read_jobs(ranges, 5, 0);
	check_ids("2 3 6 7 12");
	read_jobs(ranges, 1, 0);
	ck_assert(!answer.more);
	check_ids("2 3");
	read_jobs(past, 1, 0);
	check_ids("");
	read_jobs(NULL, 0, 0);
	check_ids("");
	answer = (struct store_read){
	    .ranges = ranges, .n_ranges = 5, .desc = true, .cursor = 12, .max_rows = 3, .max_bytes = 1 << 20};
	read_more();
	ck_assert(answer.more);
	ck_assert_int_eq(answer.next, 3);
	check_ids("7 6 3");
	answer.cursor = answer.next;
	read_more();
	ck_assert(!answer.more);
	check_ids("2");
}
END_TEST

/* ---- many jobs -------------------------------------------------------------------------------------------- */

#define MANY 60000

/* A map of MANY; every tenth of them ended. */
static void
populate_many(void)
{
	struct spec *ended = mem_new_array(MANY / 10, sizeof(*ended)), map = template(1);
	struct store_put *member;
	char *items = mem_new(MANY * 2 + 2);

	for (int i = 0; i < MANY; i++)
		memcpy(items + 2 * i, i == 0 ? "[0" : ",0", 2);
	items[2 * MANY] = ']';
	member = put(&map, STORE_READY);
	member->items = (struct span){items, 2 * MANY + 1};
	member->count = MANY;
	batch.high_water = MANY;
	commit();
	store_batch_clear(&batch);
	free(items);
	for (int i = 0; i < MANY / 10; i++) {
		ended[i] = template(i * 10 + 10);
		finish(&ended[i], 0)->from_ready = true;
	}
	commit();
	store_batch_clear(&batch);
	free(ended);
}

/* All pages of a read, however they were cut: how many rows, and that each goes on where the last ended. */
static size_t
read_all(struct store_read read, size_t *ret_pages)
{
	int64_t last = 0;
	size_t rows = 0;

	*ret_pages = 0;
	do {
		answer = read;
		read_more();
		for (size_t i = 0; i < answer.n_rows; i++) {
			ck_assert(last == 0 || (read.desc ? answer.rows[i].id < last : answer.rows[i].id > last));
			last = answer.rows[i].id;
		}
		rows += answer.n_rows;
		read.cursor = answer.next;
		++*ret_pages;
		store_read_done(&answer);
	} while (answer.more);
	return rows;
}

static void
read_by_end(const struct id_range *ranges, size_t n, int64_t cursor, const char *owner, size_t max_rows)
{
	answer = (struct store_read){.ranges = ranges,
	    .n_ranges = n,
	    .owner = owner,
	    .by_end = true,
	    .cursor = cursor,
	    .max_rows = max_rows,
	    .max_bytes = 1 << 20,
	    .fields = STORE_FIELD_SPEC | STORE_FIELD_RESULT};
	read_more();
}

START_TEST(in_the_order_of_finishing)
{
	static const struct id_range some[] = {{1, 5}, {8, 8}, {900, 1000}};
	int64_t cursor;

	populate();
	finish(&specs[6], 6);
	finish(&specs[5], 5);
	commit();
	store_batch_clear(&batch);
	read_by_end(&everything, 1, 0, NULL, 100);
	ck_assert(!answer.more);
	ck_assert(answer.rows[0].seq < answer.rows[1].seq && answer.rows[3].seq < answer.rows[4].seq);
	ck_assert_str_eq(answer.rows[0].spec.task, "noop");
	ck_assert(span_is(answer.rows[0].json, "\"result\""));
	check_ids("7 8 9 6 5");
	read_by_end(&everything, 1, 0, NULL, 2);
	ck_assert(answer.more);
	ck_assert_int_eq(answer.next, answer.rows[1].seq);
	cursor = answer.next;
	check_ids("7 8");
	read_by_end(&everything, 1, cursor, NULL, 100);
	check_ids("9 6 5");
	read_by_end(some, 3, 0, NULL, 100);
	check_ids("8 5");
	read_by_end(&everything, 1, 0, "uid:1", 100);
	check_ids("6 5");
	read_by_end(NULL, 0, 0, NULL, 100);
	check_ids("");
}
END_TEST

/* It lets go also where nothing fits, and comes to the end. */
START_TEST(a_long_read_in_the_order_of_finishing)
{
	static const struct id_range none[] = {{MANY + 1, MANY + 2}};
	size_t pages = 0, rows = 0;
	int64_t cursor = 0, last = 0;

	populate_many();
	do {
		read_by_end(&everything, 1, cursor, NULL, 300);
		for (size_t i = 0; i < answer.n_rows; i++) {
			ck_assert_int_gt(answer.rows[i].seq, last);
			last = answer.rows[i].seq;
		}
		rows += answer.n_rows;
		cursor = answer.next;
		store_read_done(&answer);
	} while (answer.more);
	ck_assert_uint_eq(rows, MANY / 10);
	for (cursor = 0, rows = 0; pages == 0 || answer.more; pages++) {
		read_by_end(none, 1, cursor, NULL, 300);
		rows += answer.n_rows;
		cursor = answer.next;
		store_read_done(&answer);
	}
	ck_assert_uint_eq(rows, 0);
}
END_TEST

START_TEST(a_long_read_lets_go)
{
	char *none[] = {"none"};
	struct selection_filter nothing = {.labels = none, .n_labels = 1}, ended = {.states = 1u << JOB_SUCCEEDED},
				pending = {.states = 1u << JOB_PENDING};
	struct store_read read = {.ranges = &everything, .n_ranges = 1, .max_rows = SIZE_MAX, .max_bytes = SIZE_MAX};
	size_t pages;

	populate_many();
	for (int desc = 0; desc < 2; desc++) {
		read.desc = desc;
		read.filter = NULL;
		ck_assert_uint_eq(read_all(read, &pages), MANY);
		ck_assert_uint_gt(pages, 1);
		read.filter = &nothing;
		ck_assert_uint_eq(read_all(read, &pages), 0);
		ck_assert_uint_gt(pages, 1);
		read.filter = &ended;
		ck_assert_uint_eq(read_all(read, &pages), MANY / 10);
		read.filter = &pending;
		ck_assert_uint_eq(read_all(read, &pages), MANY - MANY / 10);
	}
}
END_TEST

/* Counts through all parts of it. */
static struct store_tally
tally_all(const struct id_range *ranges, size_t n, size_t *ret_parts)
{
	struct store_tally all = {.first_seq = INT64_MAX};

	*ret_parts = 0;
	answer = (struct store_read){.ranges = ranges, .n_ranges = n, .tallies = true};
	do {
		answer.cursor = answer.next;
		read_more();
		ck_assert_uint_eq(answer.n_rows, 0);
		all.n += answer.tally.n;
		for (int state = 0; state < JOB_STATE_COUNT; state++)
			all.ended[state] += answer.tally.ended[state];
		if (answer.tally.n > 0)
			all.last = answer.tally.last;
		if (answer.tally.first_seq < all.first_seq)
			all.first_seq = answer.tally.first_seq;
		++*ret_parts;
	} while (answer.more);
	return all;
}

START_TEST(a_tally)
{
	static const struct id_range some[] = {{2, 3}, {5, 5}, {8, 20}}, none[] = {{13, 13}, {100, SELECTION_ID_MAX}};
	struct store_tally tally;
	size_t parts;

	populate();
	tally = tally_all(&everything, 1, &parts);
	ck_assert_int_eq(tally.n, 12);
	ck_assert_int_eq(tally.ended[JOB_SUCCEEDED], 1);
	ck_assert_int_eq(tally.ended[JOB_FAILED], 1);
	ck_assert_int_eq(tally.ended[JOB_CANCELLED], 1);
	ck_assert_int_eq(tally.ended[JOB_PENDING] + tally.ended[JOB_RUNNING], 0);
	ck_assert_int_eq(tally.last, 12);
	tally = tally_all(some, 3, &parts);
	ck_assert_int_eq(tally.n, 8);
	ck_assert_int_eq(tally.ended[JOB_SUCCEEDED], 0);
	ck_assert_int_eq(tally.ended[JOB_FAILED], 1);
	read_jobs(&(struct id_range){8, 8}, 1, 0);
	ck_assert_int_eq(tally.first_seq, answer.rows[0].seq);
	store_read_done(&answer);
	tally = tally_all(none, 2, &parts);
	ck_assert_int_eq(tally.n, 0);
	ck_assert_int_eq(tally.last, 0);
	ck_assert_int_eq(tally.first_seq, INT64_MAX);
}
END_TEST

/* The time it may take is over before a range of so many is: each job is counted once all the same. */
START_TEST(a_tally_of_many)
{
	struct id_range *ranges = mem_new_array(MANY, sizeof(*ranges));
	struct store_tally tally;
	size_t parts, n = 0;

	populate_many();
	tally = tally_all(&everything, 1, &parts);
	ck_assert_int_eq(tally.n, MANY);
	ck_assert_int_eq(tally.ended[JOB_SUCCEEDED], MANY / 10);
	for (int64_t first = 1; first < 2 * MANY; first += 3)
		ranges[n++] = (struct id_range){first, first + 1};
	tally = tally_all(ranges, n, &parts);
	ck_assert_int_eq(tally.n, MANY - MANY / 3);
	ck_assert_uint_gt(parts, 1);
	free(ranges);
}
END_TEST

START_TEST(many_ranges)
{
	struct id_range *ranges = mem_new_array(MANY, sizeof(*ranges));
	struct store_read read = {.ranges = ranges, .max_rows = 1000, .max_bytes = SIZE_MAX};
	static const int64_t strides[] = {2, 3, 7, 100};
	size_t pages;

	populate_many();
	for (int i = 0; i < 8; i++) {
		int64_t stride = strides[i / 2];

		/* Half of them are behind all jobs. */
		read.n_ranges = (size_t)(2 * MANY / stride);
		for (size_t k = 0; k < read.n_ranges; k++)
			ranges[k] = (struct id_range){(int64_t)k * stride + 1, (int64_t)k * stride + 1};
		read.desc = i % 2 != 0;
		ck_assert_int_eq((int64_t)read_all(read, &pages), (MANY + stride - 1) / stride);
	}
	free(ranges);
}
END_TEST

/* Until a batch has been seen to go between two of many reads: where batches wait for all of them, none ever is. */
START_TEST(reads_and_batches_side_by_side)
{
	struct selection_filter filter = {.labels = (char *[]){"none"}, .n_labels = 1};
	struct store_read reads[20];
	bool read_done[20];
	int64_t id = MANY;

	populate_many();
	for (int n = 0; n <= 1;) {
		for (int i = 0; i < 20; i++) {
			read_done[i] = false;
			reads[i] = (struct store_read){.ranges = &everything,
			    .n_ranges = 1,
			    .filter = &filter,
			    .max_rows = 1,
			    .max_bytes = 1,
			    .done = read_set_true,
			    .arg = &read_done[i]};
			store_sqlite.read(store, &reads[i]);
		}
		for (n = 0; !read_done[19]; n++) {
			struct spec spec = template(++id);

			put(&spec, STORE_READY);
			commit();
			store_batch_clear(&batch);
		}
		for (int i = 0; i < 20; i++)
			store_read_done(&reads[i]);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_read");
	TCase *tests = tcase_create("store_read");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, fields_bring_what_was_asked);
	tcase_add_test(tests, filters_by_state);
	tcase_add_test(tests, filters_by_names);
	tcase_add_test(tests, pages_are_the_whole);
	tcase_add_test(tests, bytes_end_a_page);
	tcase_add_test(tests, a_strict_read_stops_before_a_large_row);
	tcase_add_test(tests, ranges_with_gaps);
	tcase_add_test(tests, in_the_order_of_finishing);
	tcase_add_bulk_test(tests, a_long_read_in_the_order_of_finishing);
	tcase_add_bulk_test(tests, a_long_read_lets_go);
	tcase_add_test(tests, a_tally);
	tcase_add_bulk_test(tests, a_tally_of_many);
	tcase_add_bulk_test(tests, many_ranges);
	tcase_add_test(tests, reads_and_batches_side_by_side);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
