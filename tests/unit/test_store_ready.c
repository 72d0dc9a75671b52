/*
 * test_store_ready: the runs of ready jobs in the SQLite store. Whatever is put as one row, taken out of its front, its midst or its
 * end, and put back, a plain list of ids says what must be there; counted and read in order, before and after the store is opened again.
 */
#include "tests/unit/store_rig.h"

#define JOBS 400

static struct spec specs[JOBS + 1];
static int attempts[JOBS + 1]; /* of each job that is ready; -1: it is not */

static void
populate(void)
{
	memset(attempts, 0, sizeof(attempts));
	for (int i = 1; i <= JOBS; i++) {
		specs[i] = template(i);
		specs[i].priority = i > JOBS - 50 ? 1 : 0; /* a second run in front */
	}
}

/* Maps of so many, from id on. */
static void
put_map(int id, int n)
{
	static char items[JOBS * 4 + 2];
	size_t len = 0;

	items[len++] = '[';
	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(items + len, sizeof(items) - len, "%s[1]", i > 0 ? "," : "");
	items[len++] = ']';
	put(&specs[id], STORE_READY)->items = (struct span){items, len};
	batch.put[batch.n_put - 1].count = n;
	if (batch.high_water < id + n - 1)
		batch.high_water = id + n - 1;
}

/* Reads the line by windows of n, and compares it with what must be there. */
static void
check_line(size_t n)
{
	static int64_t want[JOBS + 1];
	size_t n_want = 0, at = 0;
	struct store_mark mark = {0};
	bool end = false;

	for (int priority = 1; priority >= 0; priority--) {
		for (int i = 1; i <= JOBS; i++) {
			if (attempts[i] >= 0 && specs[i].priority == priority)
				want[n_want++] = i;
		}
	}
	for (bool first = true; !end; first = false) {
		struct store_fill *member = fill("default", "uid:1", n);

		member->from_start = first;
		member->mark = mark;
		commit();
		for (size_t i = 0; i < batch.fill[0].n_rows; i++, at++) {
			const struct store_ready *row = &batch.fill[0].rows[i];

			ck_assert_uint_lt(at, n_want);
			ck_assert_int_eq(row->spec->id, want[at]);
			ck_assert_int_eq(row->attempts, attempts[want[at]]);
			mark = (struct store_mark){row->spec->priority, row->spec->id};
		}
		end = batch.fill[0].end;
		free_rows(&batch.fill[0].rows, &batch.fill[0].n_rows);
		store_batch_clear(&batch);
	}
	ck_assert_uint_eq(at, n_want);
}

static void
check_places(void)
{
	int i = 1;

	answer = (struct store_read){.ranges = &everything, .n_ranges = 1, .max_rows = JOBS, .max_bytes = 1 << 20};
	do {
		answer.cursor = answer.next;
		read_more();
		for (size_t at = 0; at < answer.n_rows; at++, i++) {
			ck_assert_int_eq(answer.rows[at].id, i);
			ck_assert_int_eq(answer.rows[at].place == STORE_READY, attempts[i] >= 0);
			if (attempts[i] >= 0)
				ck_assert_int_eq(answer.rows[at].attempt, attempts[i]);
		}
		store_read_done(&answer);
	} while (answer.more);
	ck_assert_int_eq(i, JOBS + 1);
}

static int64_t
file_rows(void)
{
	sqlite3_stmt *statement;
	sqlite3 *file;
	int64_t rows;

	close_store();
	ck_assert_int_eq(sqlite3_open(path, &file), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(file, "SELECT count(*) FROM ready", -1, &statement, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	rows = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(file);
	open_store();
	return rows;
}

START_TEST(neighbours_are_one_row)
{
	populate();
	put_map(1, JOBS - 100);
	for (int i = JOBS - 99; i <= JOBS; i++) /* 50 that follow the map, and 50 of another priority */
		put(&specs[i], STORE_READY);
	commit();
	store_batch_clear(&batch);
	check_line(JOBS);
	check_line(7);
	check_places();
	ck_assert_int_eq(file_rows(), 2);
	ck_assert_uint_eq(opened.n_lines, 1);
	ck_assert_int_eq(opened.lines[0].ready, JOBS);
	check_line(9);
}
END_TEST

/* Some are started, from first on; what of it is not there is refused alone. */
static void
start_some(int first, int n)
{
	for (int i = first; i < first + n && i <= JOBS; i++)
		start(&specs[i], (uint64_t)i, 1);
	commit();
	for (size_t i = 0; i < batch.n_start; i++) {
		int id = (int)batch.start[i].spec->id;

		ck_assert_int_eq(batch.start[i].answer, attempts[id] >= 0 ? STORE_OK : STORE_ENDED);
		attempts[id] = -1;
	}
	store_batch_clear(&batch);
}

/* One that runs goes back, after so many attempts. */
static void
give_back(int id, int n)
{
	*MEMBER(release) = (struct store_release){.spec = &specs[id], .token = (uint64_t)id, .run_at_ms = SPEC_NONE, .attempt = n};
	commit();
	ck_assert_int_eq(batch.release[0].answer, STORE_OK);
	attempts[id] = n;
	store_batch_clear(&batch);
}

START_TEST(a_list_says_the_same)
{
	unsigned seed = (unsigned)_i + 1;

	populate();
	put_map(1, 150);
	commit();
	store_batch_clear(&batch);
	put_map(151, 100);
	put_map(251, JOBS - 300);
	put_map(JOBS - 49, 50);
	commit();
	store_batch_clear(&batch);
	for (int step = 0; step < 60; step++) {
		int id = 1 + rand_r(&seed) % JOBS, n = 1 + rand_r(&seed) % 40;

		if (rand_r(&seed) % 3 != 0)
			start_some(id, n);
		for (; attempts[id] >= 0 && id < JOBS; id++)
			;
		if (attempts[id] < 0 && rand_r(&seed) % 2 == 0)
			give_back(id, rand_r(&seed) % 3);
		if (step % 20 == 19)
			check_line(1 + (size_t)rand_r(&seed) % 50);
	}
	check_places();
	reopen_store();
	check_line(JOBS);
	check_places();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_ready");
	TCase *tests = tcase_create("store_ready");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_test(tests, neighbours_are_one_row);
	tcase_add_loop_test(tests, a_list_says_the_same, 0, 8);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
