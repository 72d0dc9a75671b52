/*
 * test_store_faults: what the store does when the disk is full, and when it fails: the verdict, what is there
 * afterwards, and that nothing is committed once it is not known what was written.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/bulk.h"
#include "tests/unit/faulty_vfs.h"
#include "tests/unit/store_rig.h"

static void
setup_faulty(void)
{
	faulty_vfs_install();
	synchronous = "full";
	setup();
}

static void
teardown_faulty(void)
{
	for (int i = 0; i < FAULT_KINDS; i++)
		fault_set((enum fault_kind)i, 0, SQLITE_OK);
	teardown();
}

static size_t
count_jobs(void)
{
	size_t n;

	read_jobs(&everything, 1, 0);
	n = answer.n_rows;
	store_read_done(&answer);
	return n;
}

/* ---- no room ---------------------------------------------------------------------------------------------- */

/* A batch of every member, that needs several writes: from the first to the last of them the disk may be full. */
/* The first end after a start finds no room: the places in the order of finishing that it reserved are reserved again by the next. */
START_TEST(places_after_an_end_that_found_no_room)
{
	struct spec specs[4];
	int64_t seq;

	for (int i = 0; i < 4; i++)
		specs[i] = template(i + 1);
	put(&specs[0], STORE_DONE)->end.state = JOB_FAILED;
	fault_set(FAULT_WRITE, 1, SQLITE_FULL);
	ck_assert_int_eq(commit_any(), STORE_FULL);
	fault_set(FAULT_WRITE, 0, SQLITE_OK);
	commit();
	store_batch_clear(&batch);
	put(&specs[1], STORE_DONE)->end.state = JOB_FAILED;
	commit();
	seq = batch.put[0].seq;
	store_batch_clear(&batch);
	reopen_store();
	for (int i = 2; i < 4; i++) {
		put(&specs[i], STORE_DONE)->end.state = JOB_FAILED;
		commit();
		ck_assert_int_gt(batch.put[0].seq, seq);
		seq = batch.put[0].seq;
		store_batch_clear(&batch);
	}
	reopen_store();
	ck_assert_uint_eq(count_jobs(), 4);
}
END_TEST

START_TEST(full_at_any_write_applies_nothing)
{
	struct spec run = template(1), ready = template(2), fresh = template(3), keyed = template(4);
	int refused = 0;

	keyed.key = "k";
	keyed.queue = "a new queue";
	put_now(&run, STORE_RUNNING, 7);
	put_now(&ready, STORE_READY, 0);
	for (int in = 1;; in++) {
		enum store_verdict verdict;

		finish(&run, 7);
		put(&fresh, STORE_READY);
		put(&keyed, STORE_DONE)->end.state = JOB_FAILED;
		start(&ready, 8, 1);
		fill("default", "uid:1", 10);
		fault_set(FAULT_WRITE, in, SQLITE_FULL);
		verdict = commit_any();
		fault_set(FAULT_WRITE, 0, SQLITE_OK);
		if (verdict == STORE_COMMITTED)
			break;
		ck_assert_int_eq(verdict, STORE_FULL);
		ck_assert_str_ne(batch.reason, "");
		ck_assert_uint_eq(batch.fill[0].n_rows, 0);
		store_batch_clear(&batch);
		refused++;
		check_place(1, STORE_RUNNING, JOB_RUNNING);
		check_place(2, STORE_READY, JOB_PENDING);
		ck_assert_uint_eq(count_jobs(), 2);
	}
	ck_assert_int_gt(refused, 2);
	printf("store_faults: %d writes of a batch found no room\n", refused);
	ck_assert_int_eq(batch.put[1].answer, STORE_OK);
	ck_assert_uint_eq(batch.fill[0].n_rows, 1);
	free_rows(&batch.fill[0].rows, &batch.fill[0].n_rows);
	store_batch_clear(&batch);
	check_place(1, STORE_DONE, JOB_SUCCEEDED);
	check_place(2, STORE_RUNNING, JOB_RUNNING);
	ck_assert_uint_eq(count_jobs(), 4);
}
END_TEST

static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static rlim_t
size_of(const char *suffix)
{
	char name[80];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &st) == 0 ? (rlim_t)st.st_size : 0;
}

/* The kernel's own refusal, to SQLite's own files. */
START_TEST(a_limit_of_the_kernel_is_no_room)
{
	char *big = mem_new(1 << 20);
	struct spec small = template(1), large = template(2), next = template(3);

	put_now(&small, STORE_READY, 0);
	memset(big, 'x', 1 << 20);
	big[0] = big[(1 << 20) - 1] = '"';
	large.args = (struct span){big, 1 << 20};
	put(&large, STORE_READY);
	limit_files(size_of("-wal") + (100 << 10));
	ck_assert_msg(commit_any() == STORE_FULL, "%s", batch.reason);
	store_batch_clear(&batch);
	put_now(&next, STORE_READY, 0);
	ck_assert_uint_eq(count_jobs(), 2);
	limit_files(RLIM_INFINITY);
	put_now(&large, STORE_READY, 0);
	reopen_store();
	ck_assert_uint_eq(count_jobs(), 3);
	free(big);
}
END_TEST

START_TEST(opens_without_room)
{
	struct spec spec = template(1), next = template(2);
	uint64_t incarnation = opened.incarnation;

	put_now(&spec, STORE_READY, 0);
	close_store();
	fault_set(FAULT_WRITE, 1, SQLITE_FULL);
	open_store();
	ck_assert_uint_eq(opened.incarnation, incarnation + 1);
	ck_assert_uint_eq(opened.n_lines, 1);
	ck_assert_int_eq(opened.next_id, 2);
	ck_assert_uint_eq(count_jobs(), 1);
	put(&next, STORE_READY);
	ck_assert_int_eq(commit_any(), STORE_FULL);
	fault_set(FAULT_WRITE, 0, SQLITE_OK);
	commit();
	store_batch_clear(&batch);
	reopen_store();
	ck_assert_uint_eq(opened.incarnation, incarnation + 2);
	ck_assert_uint_eq(count_jobs(), 2);
}
END_TEST

/* A share of the children that cannot be written is done again, each child once, from whatever write on there was no room. */
START_TEST(full_amid_the_fan_out)
{
	static bool seen[2600];
	struct spec parent = template(1), map = template(2);
	char items[2 * 2500 + 2];
	size_t freed = 0;
	int refused = 0;

	for (size_t i = 0; i < 2500; i++)
		memcpy(items + 1 + 2 * i, "1,", 2);
	items[0] = '[';
	items[sizeof(items) - 2] = ']';
	map.after = SPAN_LIT("[1]");
	map.args = SPAN_NONE;
	put_now(&parent, STORE_RUNNING, 7);
	put(&map, STORE_WAITING)->items = (struct span){items, sizeof(items) - 1};
	batch.put[0].count = 2500;
	commit();
	store_batch_clear(&batch);
	finish(&parent, 7);
	for (int in = 1; freed < 2500; in += 5) {
		fault_set(FAULT_WRITE, in, SQLITE_FULL);
		if (commit_any() == STORE_COMMITTED) {
			in = 1;
		} else {
			ck_assert_int_eq(batch.verdict, STORE_FULL);
			ck_assert_uint_eq(batch.promote.n_rows, 0);
			refused++;
		}
		fault_set(FAULT_WRITE, 0, SQLITE_OK);
		for (size_t i = 0; i < batch.promote.n_rows; i++, freed++) {
			int64_t id = batch.promote.rows[i].spec->id;

			ck_assert_msg(!seen[id], "%d is free twice", (int)id);
			seen[id] = true;
		}
		free_rows(&batch.promote.rows, &batch.promote.n_rows);
		if (batch.verdict == STORE_COMMITTED)
			store_batch_clear(&batch);
		if (batch.n_finish == 0)
			batch.promote = (struct store_promote){.wanted = true, .now_ms = now_ms, .n = 1000};
	}
	ck_assert_int_gt(refused, 5);
	printf("store_faults: %d commits found no room amid the fan-out\n", refused);
	store_batch_clear(&batch);
	check_place(2, STORE_READY, JOB_PENDING);
	check_place(2501, STORE_READY, JOB_PENDING);
	reopen_store();
	ck_assert_uint_eq(opened.n_lines, 1);
	ck_assert_int_eq(opened.lines[0].ready, 2500);
	ck_assert_uint_eq(opened.n_delayed, 0);
	ck_assert_int_eq(opened.next_due_ms, SPEC_NONE);
}
END_TEST

/* ---- faults ----------------------------------------------------------------------------------------------- */

/* Nobody knows what a failed write or sync has left: nothing is tried again on that connection. */
static void
check_unknown(enum fault_kind kind, int code)
{
	struct spec one = template(1), two = template(2), three = template(3);

	put_now(&one, STORE_READY, 0);
	put(&two, STORE_READY);
	fault_set(kind, 1, code);
	ck_assert_int_eq(commit_any(), STORE_UNKNOWN);
	ck_assert_str_ne(batch.reason, "");
	fault_set(kind, 0, SQLITE_OK);
	store_batch_clear(&batch);
	put(&three, STORE_READY);
	ck_assert_int_eq(commit_any(), STORE_UNKNOWN);
	ck_assert_str_ne(batch.reason, "");
	store_batch_clear(&batch);
	check_place(1, STORE_READY, JOB_PENDING);

	reopen_store();
	check_place(1, STORE_READY, JOB_PENDING);
	ck_assert_ptr_null(read_job(3));
	store_read_done(&answer);
	ck_assert_int_gt(opened.next_id, 1);
	put_now(&three, STORE_READY, 0);
}

START_TEST(a_failed_sync_is_unknown)
{
	check_unknown(FAULT_SYNC, SQLITE_IOERR_FSYNC);
}
END_TEST

START_TEST(a_failed_write_is_unknown)
{
	check_unknown(FAULT_WRITE, SQLITE_IOERR_WRITE);
}
END_TEST

/* Neither by a later commit nor by the end: a second one might succeed without having written what the first has lost. */
START_TEST(a_failed_sync_is_not_tried_again)
{
	struct spec one = template(1), two = template(2);

	put_now(&one, STORE_READY, 0);
	put(&two, STORE_READY);
	fault_set(FAULT_SYNC, 1, SQLITE_IOERR_FSYNC);
	ck_assert_int_eq(commit_any(), STORE_UNKNOWN);
	ck_assert_int_eq(commit_any(), STORE_UNKNOWN);
	store_batch_clear(&batch);
	close_store();
	ck_assert_int_eq(atomic_load(&faults[FAULT_SYNC].struck), 1);
	fault_set(FAULT_SYNC, 0, SQLITE_OK);
	open_store();
	check_place(1, STORE_READY, JOB_PENDING);
}
END_TEST

/* The checkpoint's sync is as good as a commit's. */
START_TEST(a_failed_checkpoint_is_unknown)
{
	struct spec spec = template(1);
	int64_t id = 1;

	put_now(&spec, STORE_READY, 0);
	for (; id < 5000; id++) {
		spec.id = id + 1;
		put(&spec, STORE_READY);
		/* The first sync is the commit's. */
		fault_set(FAULT_SYNC, 2, SQLITE_IOERR_FSYNC);
		if (commit_any() != STORE_COMMITTED)
			break;
		fault_set(FAULT_SYNC, 0, SQLITE_OK);
		store_batch_clear(&batch);
	}
	ck_assert_int_lt(id, 5000);
	ck_assert_int_eq(batch.verdict, STORE_UNKNOWN);
}
END_TEST

START_TEST(a_failed_read_is_told)
{
	struct spec spec = template(1);
	bool done = false;

	put_now(&spec, STORE_READY, 0);
	close_store();
	open_store();
	fault_set(FAULT_READ, 1, SQLITE_IOERR_READ);
	answer = (struct store_read){
	    .ranges = &everything, .n_ranges = 1, .max_rows = 1, .max_bytes = 1, .done = read_set_true, .arg = &done};
	store_sqlite.read(store, &answer);
	PUMP(loop, done);
	fault_set(FAULT_READ, 0, SQLITE_OK);
	if (answer.error == 0) /* all of it was in memory */
		store_read_done(&answer);
	else
		ck_assert_str_ne(answer.reason, "");
	check_place(1, STORE_READY, JOB_PENDING);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_faults");
	TCase *tests = tcase_create("store_faults");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup_faulty, teardown_faulty);
	tcase_add_test(tests, places_after_an_end_that_found_no_room);
	tcase_add_test(tests, full_at_any_write_applies_nothing);
	tcase_add_test(tests, a_limit_of_the_kernel_is_no_room);
	tcase_add_test(tests, opens_without_room);
	tcase_add_bulk_test(tests, full_amid_the_fan_out);
	tcase_add_test(tests, a_failed_sync_is_unknown);
	tcase_add_test(tests, a_failed_write_is_unknown);
	tcase_add_test(tests, a_failed_sync_is_not_tried_again);
	tcase_add_test(tests, a_failed_checkpoint_is_unknown);
	tcase_add_test(tests, a_failed_read_is_told);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
