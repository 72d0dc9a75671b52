/*
 * test_store_expire: jobs that may not begin after a time: from where they end so, what saves them from it, and that many go in steps.
 */
#include "tests/unit/store_rig.h"

static struct spec
brief(int64_t id, int64_t expires_ms)
{
	struct spec spec = template(id);

	spec.expires_ms = expires_ms;
	return spec;
}

/* What a commit that looks for what is due at that time ends. */
static void
promote_at(int64_t at_ms)
{
	batch.promote = (struct store_promote){.wanted = true, .now_ms = at_ms, .n = 1000};
	commit();
	free_rows(&batch.promote.rows, &batch.promote.n_rows);
}

static void
check_expired(int64_t id)
{
	const struct store_row *row = read_job(id);

	ck_assert_ptr_nonnull(row);
	ck_assert_int_eq(row->place, STORE_DONE);
	ck_assert_int_eq(row->state, JOB_FAILED);
	ck_assert_int_eq(row->attempt, 0);
	ck_assert_int_eq(row->started_ms, SPEC_NONE);
	ck_assert(span_is(row->json, EXPIRED));
	store_read_done(&answer);
}

START_TEST(from_ready_and_from_delayed)
{
	struct spec ready = brief(1, now_ms + 10), delayed = brief(2, now_ms + 20), later = brief(3, now_ms + 30), never = template(4);

	delayed.not_before_ms = now_ms + 5000;
	delayed.retain_ms = 77;
	put(&ready, STORE_READY);
	put(&delayed, STORE_DELAYED);
	put(&later, STORE_READY);
	put(&never, STORE_READY);
	commit();
	ck_assert_int_eq(batch.next_due_ms, now_ms + 10);
	ck_assert_uint_eq(batch.n_gone, 0);
	store_batch_clear(&batch);

	promote_at(now_ms + 20);
	ck_assert_uint_eq(batch.n_gone, 2);
	ck_assert_int_eq(batch.gone[0].id, 1);
	ck_assert_str_eq(batch.gone[0].queue, "default");
	ck_assert_str_eq(batch.gone[0].owner, "uid:1");
	ck_assert_int_eq(batch.gone[0].retain_ms, SPEC_NONE);
	ck_assert_int_eq(batch.gone[0].finished_ms, now_ms + 20);
	ck_assert_int_eq(batch.gone[1].id, 2);
	ck_assert_int_eq(batch.gone[1].retain_ms, 77);
	ck_assert_int_lt(batch.gone[0].seq, batch.gone[1].seq);
	ck_assert_int_eq(batch.next_due_ms, now_ms + 30);
	store_batch_clear(&batch);
	check_expired(1);
	check_expired(2);
	check_place(3, STORE_READY, JOB_PENDING);
	check_place(4, STORE_READY, JOB_PENDING);
}
END_TEST

/* What has begun cannot expire any more, wherever it waits for another attempt; one that was taken back before it began can. */
START_TEST(once_begun_never)
{
	struct spec specs[5];

	for (int i = 0; i < 5; i++) {
		specs[i] = brief(i + 1, now_ms + HOUR_MS);
		put(&specs[i], i == 0 ? STORE_RUNNING : STORE_READY)->end.attempt = 1;
	}
	commit();
	store_batch_clear(&batch);
	for (int i = 1; i < 4; i++)
		start(&specs[i], 7, 1);
	commit();
	store_batch_clear(&batch);
	release(&specs[1], 7, SPEC_NONE, 1);
	release(&specs[2], 7, now_ms + 2 * HOUR_MS, 1);
	release(&specs[3], 7, SPEC_NONE, 0);
	commit();
	store_batch_clear(&batch);
	promote_at(now_ms + HOUR_MS);
	ck_assert_uint_eq(batch.n_gone, 2);
	ck_assert_int_eq(batch.gone[0].id, 4);
	ck_assert_int_eq(batch.gone[1].id, 5);
	ck_assert_int_eq(batch.next_due_ms, now_ms + 2 * HOUR_MS);
	store_batch_clear(&batch);
	check_place(1, STORE_RUNNING, JOB_RUNNING);
	check_place(2, STORE_READY, JOB_PENDING);
	check_place(3, STORE_DELAYED, JOB_PENDING);
	check_expired(4);
}
END_TEST

/* The start decides: it ends what is late, also when nobody has looked. */
START_TEST(a_start_that_is_late)
{
	struct spec specs[30];

	for (int i = 0; i < 30; i++) {
		specs[i] = brief(i + 1, i == 15 ? now_ms - 1 : i % 2 == 0 ? SPEC_NONE : now_ms + HOUR_MS);
		put(&specs[i], STORE_READY);
	}
	commit();
	store_batch_clear(&batch);
	for (int i = 0; i < 30; i++)
		start(&specs[i], 7, 1);
	commit();
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(batch.start[i].answer, i == 15 ? STORE_ENDED : STORE_OK);
	ck_assert_uint_eq(batch.n_gone, 1);
	ck_assert_int_eq(batch.gone[0].id, 16);
	ck_assert_int_eq(batch.next_due_ms, SPEC_NONE);
	store_batch_clear(&batch);
	check_expired(16);
	check_place(15, STORE_RUNNING, JOB_RUNNING);
	check_place(17, STORE_RUNNING, JOB_RUNNING);
	/* A second attempt is not late. */
	release(&specs[1], 7, SPEC_NONE, 1);
	commit();
	store_batch_clear(&batch);
	specs[1].expires_ms = now_ms - 1;
	start(&specs[1], 8, 2);
	commit();
	ck_assert_int_eq(batch.start[0].answer, STORE_OK);
}
END_TEST

START_TEST(what_ends_otherwise_leaves_nothing)
{
	struct spec specs[4];

	for (int i = 0; i < 4; i++) {
		specs[i] = brief(i + 1, now_ms + 10);
		put(&specs[i], i == 3 ? STORE_DONE : STORE_READY)->end.state = JOB_SUCCEEDED;
	}
	commit();
	store_batch_clear(&batch);
	finish(&specs[0], 0)->from_ready = true;
	cancel(2, NULL);
	start(&specs[2], 7, 1);
	commit();
	ck_assert_int_eq(batch.next_due_ms, SPEC_NONE);
	store_batch_clear(&batch);
	promote_at(now_ms + 10);
	ck_assert_uint_eq(batch.n_gone, 0);
	close_store();
	ck_assert_int_eq(ask_file("SELECT count(*) FROM expiring"), 0);
	open_store();
}
END_TEST

/* Thousands that expire at once go in steps, over a restart too. */
START_TEST(many_go_in_steps)
{
	struct spec map = brief(1, now_ms + 10);
	struct store_put *member = put(&map, STORE_READY);
	size_t len = 2500 * 4, n = 0;
	char *items = mem_new(len + 1);

	for (size_t i = 0; i < len; i += 4)
		memcpy(items + i, ",[0]", 4);
	items[0] = '[';
	items[len] = ']';
	member->items = (struct span){items, len + 1};
	member->count = 2500;
	commit();
	free(items);
	store_batch_clear(&batch);
	for (int step = 0; step < 3; step++) {
		promote_at(now_ms + 10);
		ck_assert_uint_eq(batch.n_gone, step < 2 ? 1000 : 500);
		n += batch.n_gone;
		ck_assert_int_eq(batch.next_due_ms, step < 2 ? now_ms + 10 : SPEC_NONE);
		store_batch_clear(&batch);
		reopen_store();
		ck_assert_int_eq(opened.next_due_ms, step < 2 ? now_ms + 10 : SPEC_NONE);
		ck_assert_uint_eq(opened.n_lines, step < 2 ? 1 : 0);
	}
	ck_assert_uint_eq(n, 2500);
	check_expired(2500);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_expire");
	TCase *tcase = tcase_create("expire");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, from_ready_and_from_delayed);
	tcase_add_test(tcase, once_begun_never);
	tcase_add_test(tcase, a_start_that_is_late);
	tcase_add_test(tcase, what_ends_otherwise_leaves_nothing);
	tcase_add_test(tcase, many_go_in_steps);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
