/*
 * test_store: the SQLite store through its table alone: each member of a batch with each of its answers.
 */
#include "tests/unit/store_rig.h"

/* ---- put
 * -------------------------------------------------------------------------------------------------------------------
 */

START_TEST(put_keeps_every_field)
{
	struct spec spec = template(7);
	const struct store_row *row;

	spec.pool = POOL_PROCESSES;
	spec.idempotent = spec.attempts_given = spec.restricted = true;
	spec.priority = -1000;
	spec.max_attempts = 5;
	spec.not_before_ms = now_ms + 1;
	spec.timeout_ms = 0;
	spec.backoff_ms = 2500;
	spec.retain_ms = 99;
	spec.expires_ms = now_ms + 77;
	spec.retry_of = 3;
	spec.limits = (struct spec_limits){.memory_mib = 64, .cpu_s = 10, .files = 32};
	spec.after_policy = AFTER_FAILED;
	spec.after = SPAN_LIT("[2,3]");
	spec.webhook = "http://127.0.0.1/done";
	spec.label = "läbel";
	spec.key = "key";
	put_now(&spec, STORE_READY, 0);
	reopen_store();

	row = read_job(7);
	ck_assert_ptr_nonnull(row);
	ck_assert_int_eq(row->id, 7);
	ck_assert_int_eq(row->place, STORE_READY);
	ck_assert_int_eq(row->state, JOB_PENDING);
	ck_assert_int_eq(row->attempt, 0);
	ck_assert_int_eq(row->started_ms, SPEC_NONE);
	ck_assert_int_eq(row->spec.id, 7);
	ck_assert_uint_eq(row->spec.pool, POOL_PROCESSES);
	ck_assert(row->spec.idempotent && row->spec.attempts_given && row->spec.restricted && !row->spec.pure);
	ck_assert_int_eq(row->spec.priority, -1000);
	ck_assert_int_eq(row->spec.max_attempts, 5);
	ck_assert_int_eq(row->spec.submitted_ms, now_ms);
	ck_assert_int_eq(row->spec.not_before_ms, now_ms + 1);
	ck_assert_int_eq(row->spec.timeout_ms, 0);
	ck_assert_int_eq(row->spec.backoff_ms, 2500);
	ck_assert_int_eq(row->spec.retain_ms, 99);
	ck_assert_int_eq(row->spec.expires_ms, now_ms + 77);
	ck_assert_int_eq(row->spec.retry_of, 3);
	ck_assert_int_eq(row->spec.limits.memory_mib, 64);
	ck_assert_int_eq(row->spec.limits.cpu_s, 10);
	ck_assert_int_eq(row->spec.limits.files, 32);
	ck_assert_uint_eq(row->spec.after_policy, AFTER_FAILED);
	ck_assert(span_is(row->spec.after, "[2,3]"));
	ck_assert_str_eq(row->spec.webhook, "http://127.0.0.1/done");
	ck_assert_str_eq(row->spec.task, "noop");
	ck_assert_str_eq(row->spec.queue, "default");
	ck_assert_str_eq(row->spec.owner, "uid:1");
	ck_assert_str_eq(row->spec.label, "läbel");
	ck_assert_str_eq(row->spec.key, "key");
	ck_assert(span_is(row->spec.args, "[1]"));
	ck_assert_ptr_null(row->json.at);
	store_read_done(&answer);
}
END_TEST

START_TEST(put_into_each_place)
{
	struct spec specs[4] = {template(1), template(2), template(3), template(4)};
	const struct store_row *row;
	struct store_put *member;

	specs[1].not_before_ms = now_ms + 5000;
	put(&specs[0], STORE_READY);
	put(&specs[1], STORE_DELAYED);
	member = put(&specs[2], STORE_RUNNING);
	member->token = 9;
	member->end = (struct store_end){.attempt = 1, .worker = 55, .started_ms = now_ms + 1};
	member = put(&specs[3], STORE_DONE);
	member->end = (struct store_end){.state = JOB_FAILED,
	    .attempt = 1,
	    .started_ms = now_ms,
	    .finished_ms = now_ms + 2,
	    .until_ms = now_ms + 3,
	    .json = SPAN_LIT("{\"type\":\"TaskError\"}")};
	commit();
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(batch.put[i].answer, STORE_OK);
	ck_assert_int_gt(batch.put[3].seq, 0);
	ck_assert_int_eq(batch.next_due_ms, now_ms + 5000);
	store_batch_clear(&batch);

	check_place(1, STORE_READY, JOB_PENDING);
	row = read_job(2);
	ck_assert_int_eq(row->place, STORE_DELAYED);
	ck_assert_int_eq(row->run_at_ms, now_ms + 5000);
	store_read_done(&answer);
	row = read_job(3);
	ck_assert_int_eq(row->place, STORE_RUNNING);
	ck_assert_int_eq(row->attempt, 1);
	ck_assert_int_eq(row->worker, 55);
	ck_assert_int_eq(row->started_ms, now_ms + 1);
	ck_assert(!row->cancel_requested);
	store_read_done(&answer);
	row = read_job(4);
	ck_assert_int_eq(row->place, STORE_DONE);
	ck_assert_int_eq(row->state, JOB_FAILED);
	ck_assert_int_eq(row->finished_ms, now_ms + 2);
	ck_assert(!row->usage.known && !row->output);
	ck_assert(span_is(row->json, "{\"type\":\"TaskError\"}"));
	store_read_done(&answer);
	ck_assert_ptr_null(read_job(5));
	store_read_done(&answer);
}
END_TEST

START_TEST(put_map)
{
	struct spec ready = template(10), later = template(14);
	struct store_put *member;

	ready.args = later.args = SPAN_NONE;
	ready.label = "m";
	later.not_before_ms = now_ms + 1;
	member = put(&ready, STORE_READY);
	member->items = SPAN_LIT("[ [1,2] , {\"a\":[3]},\"x\",[]]");
	member->count = 4;
	member = put(&later, STORE_DELAYED);
	member->items = SPAN_LIT("[[5],[6]]");
	member->count = 2;
	batch.high_water = 15;
	commit();
	store_batch_clear(&batch);

	read_jobs(&everything, 1, STORE_FIELD_SPEC | STORE_FIELD_ARGS);
	ck_assert_uint_eq(answer.n_rows, 6);
	ck_assert(span_is(answer.rows[0].spec.args, "[1,2]"));
	ck_assert(span_is(answer.rows[1].spec.args, "{\"a\":[3]}"));
	ck_assert(span_is(answer.rows[2].spec.args, "\"x\""));
	ck_assert(span_is(answer.rows[3].spec.args, "[]"));
	ck_assert_str_eq(answer.rows[3].spec.label, "m");
	ck_assert_int_eq(answer.rows[4].id, 14);
	ck_assert_int_eq(answer.rows[4].place, STORE_DELAYED);
	ck_assert(span_is(answer.rows[5].spec.args, "[6]"));
	store_read_done(&answer);
	reopen_store();
	ck_assert_int_eq(opened.next_id, 16);
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------------------- */

static struct spec
keyed(int64_t id, const char *owner, unsigned char digest)
{
	struct spec spec = template(id);

	spec.owner = owner;
	spec.key = "k";
	memset(spec.digest, digest, sizeof(spec.digest));
	return spec;
}

START_TEST(keys_within_a_batch_and_behind_it)
{
	struct spec first = keyed(1, "uid:1", 1), again = keyed(2, "uid:1", 1), other = keyed(3, "uid:1", 2),
		    foreign = keyed(4, "uid:2", 2);

	put(&first, STORE_READY)->count = 3;
	batch.put[0].items = SPAN_LIT("[1,2,3]");
	again.id = 4;
	other.id = 5;
	foreign.id = 6;
	put(&again, STORE_READY);
	put(&other, STORE_DONE);
	put(&foreign, STORE_READY);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_OK);
	ck_assert_int_eq(batch.put[1].answer, STORE_DUPLICATE);
	ck_assert_int_eq(batch.put[1].existing_id, 1);
	ck_assert_int_eq(batch.put[1].existing_count, 3);
	ck_assert_int_eq(batch.put[2].answer, STORE_KEY_CONFLICT);
	ck_assert_int_eq(batch.put[3].answer, STORE_OK);
	store_batch_clear(&batch);

	read_jobs(&everything, 1, 0);
	ck_assert_uint_eq(answer.n_rows, 4);
	store_read_done(&answer);

	reopen_store();
	again.id = 7;
	put(&again, STORE_RUNNING);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_DUPLICATE);
	ck_assert_int_eq(batch.put[0].existing_id, 1);
	ck_assert_ptr_null(read_job(7));
	store_read_done(&answer);
}
END_TEST

START_TEST(keys_hold_for_their_time_and_their_job)
{
	struct spec first = keyed(1, "uid:1", 1), again = keyed(2, "uid:1", 1), third = keyed(3, "uid:1", 9);

	put_now(&first, STORE_DONE, 0);
	/* The job is gone, the time is not over. */
	forget_now(1);
	put(&again, STORE_READY);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_DUPLICATE);
	ck_assert_int_eq(batch.put[0].existing_id, 1);
	store_batch_clear(&batch);
	/* Both are over: another payload is a new one. */
	again.submitted_ms = third.submitted_ms = now_ms + HOUR_MS;
	put(&third, STORE_DONE)->key_until_ms = now_ms + HOUR_MS + 1;
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_OK);
	store_batch_clear(&batch);
	/* The time is over, the job is known. */
	again.submitted_ms = now_ms + 9 * (int64_t)HOUR_MS;
	again.id = 4;
	put(&again, STORE_READY);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_KEY_CONFLICT);
	ck_assert_int_eq(batch.put[0].existing_id, 3);
}
END_TEST

START_TEST(keys_that_are_over_go)
{
	char keys[100][16];
	struct spec specs[100];

	/* Those of the first half are over and their jobs forgotten; the second half sweeps. */
	for (int i = 0; i < 100; i++) {
		specs[i] = keyed(i + 1, "uid:1", 1);
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		specs[i].key = keys[i];
		put(&specs[i], STORE_DONE)->key_until_ms = i < 50 ? 1 : now_ms + HOUR_MS;
		if (i == 49) {
			commit();
			store_batch_clear(&batch);
			for (int64_t id = 1; id <= 50; id++)
				*MEMBER(forget) = id;
			commit();
			store_batch_clear(&batch);
		}
	}
	commit();
	close_store();
	ck_assert_int_eq(ask_file("SELECT count(*) FROM key"), 50);
}
END_TEST

/* ---- start, finish, release ------------------------------------------------------------------------------- */

START_TEST(start_and_finish)
{
	struct spec one = template(1), two = template(2);
	const struct store_row *row;
	int64_t seq;

	put(&one, STORE_READY);
	put(&two, STORE_READY);
	commit();
	store_batch_clear(&batch);
	start(&one, 100, 1);
	start(&one, 101, 1);
	start(&two, 102, 1);
	commit();
	ck_assert_int_eq(batch.start[0].answer, STORE_OK);
	ck_assert_int_eq(batch.start[1].answer, STORE_ENDED);
	ck_assert_int_eq(batch.start[2].answer, STORE_OK);
	store_batch_clear(&batch);
	row = read_job(1);
	ck_assert_int_eq(row->state, JOB_RUNNING);
	ck_assert_int_eq(row->attempt, 1);
	ck_assert_int_eq(row->started_ms, now_ms);
	store_read_done(&answer);

	finish(&one, 101);
	finish(&two, 102);
	finish(&one, 100);
	finish(&one, 100);
	commit();
	ck_assert_int_eq(batch.finish[0].answer, STORE_FENCED);
	ck_assert_int_eq(batch.finish[1].answer, STORE_OK);
	ck_assert_int_eq(batch.finish[2].answer, STORE_OK);
	ck_assert_int_eq(batch.finish[3].answer, STORE_FENCED);
	ck_assert_int_gt(batch.finish[2].seq, batch.finish[1].seq);
	seq = batch.finish[2].seq;
	store_batch_clear(&batch);
	row = read_job(1);
	ck_assert_int_eq(row->state, JOB_SUCCEEDED);
	ck_assert_int_eq(row->seq, seq);
	ck_assert_int_eq(row->worker, 4321);
	ck_assert(row->output && row->usage.known);
	ck_assert_int_eq(row->usage.max_rss_kib, 3000);
	ck_assert(span_is(row->json, "[2]"));
	store_read_done(&answer);

	start(&one, 103, 2);
	commit();
	ck_assert_int_eq(batch.start[0].answer, STORE_ENDED);
}
END_TEST

START_TEST(finish_from_ready)
{
	struct spec one = template(1), two = template(2);

	put(&one, STORE_READY);
	put(&two, STORE_READY);
	commit();
	store_batch_clear(&batch);
	finish(&one, 5)->from_ready = true;
	finish(&one, 5)->from_ready = true;
	commit();
	ck_assert_int_eq(batch.finish[0].answer, STORE_OK);
	ck_assert_int_eq(batch.finish[1].answer, STORE_FENCED);
	store_batch_clear(&batch);
	check_place(1, STORE_DONE, JOB_SUCCEEDED);
	check_place(2, STORE_READY, JOB_PENDING);
}
END_TEST

/* Long runs of neighbours are taken together: with one that is missing amid them, and another line's, each has its own
 * answer all the same. */
START_TEST(runs_of_neighbours)
{
	struct spec runs[60];
	size_t n = 0;

	for (int i = 0; i < 60; i++) {
		runs[i] = template(i + 1);
		runs[i].queue = i >= 20 && i < 25 ? "other" : "default";
		runs[i].priority = i == 50 ? 3 : 0;
		put(&runs[i], i == 40 ? STORE_DELAYED : STORE_READY);
	}
	runs[40].not_before_ms = now_ms + HOUR_MS;
	commit();
	store_batch_clear(&batch);
	for (int i = 0; i < 60; i += 2)
		start(&runs[i], (uint64_t)i, 1);
	for (int i = 1; i < 60; i++)
		start(&runs[i], (uint64_t)i, 1);
	commit();
	for (size_t i = 0; i < batch.n_start; i++) {
		bool again = i >= 30 && batch.start[i].spec->id % 2 != 0;

		ck_assert_int_eq(
		    batch.start[i].answer, again || batch.start[i].spec->id == 41 ? STORE_ENDED : STORE_OK);
		n += batch.start[i].answer == STORE_OK;
	}
	ck_assert_uint_eq(n, 59);
	store_batch_clear(&batch);
	for (int i = 0; i < 60; i++)
		release(&runs[i], (uint64_t)i, SPEC_NONE, 1);
	commit();
	store_batch_clear(&batch);
	for (int i = 0; i < 60; i++)
		finish(&runs[i], 0)->from_ready = true;
	commit();
	for (int i = 0; i < 60; i++)
		ck_assert_int_eq(batch.finish[i].answer, i == 40 ? STORE_FENCED : STORE_OK);
	store_batch_clear(&batch);
	for (int64_t id = 1; id <= 70; id++)
		*MEMBER(forget) = id;
	commit();
	store_batch_clear(&batch);
	read_jobs(&everything, 1, 0);
	ck_assert_uint_eq(answer.n_rows, 1);
	ck_assert_int_eq(answer.rows[0].id, 41);
	store_read_done(&answer);
}
END_TEST

START_TEST(seq_rises_over_a_reopen)
{
	struct spec one = template(1), two = template(2);
	int64_t seq;

	put_now(&one, STORE_DONE, 0);
	seq = read_job(1)->seq;
	store_read_done(&answer);
	reopen_store();
	put_now(&two, STORE_DONE, 0);
	ck_assert_int_gt(read_job(2)->seq, seq);
	store_read_done(&answer);
}
END_TEST

START_TEST(release_to_delayed_and_ready)
{
	struct spec one = template(1), two = template(2);
	const struct store_row *row;

	put_now(&one, STORE_RUNNING, 11);
	put_now(&two, STORE_RUNNING, 12);
	release(&one, 99, SPEC_NONE, 0);
	release(&one, 11, now_ms + 500, 1);
	release(&two, 12, SPEC_NONE, 0);
	commit();
	ck_assert_int_eq(batch.release[0].answer, STORE_FENCED);
	ck_assert_int_eq(batch.release[1].answer, STORE_OK);
	ck_assert_int_eq(batch.release[2].answer, STORE_OK);
	ck_assert_int_eq(batch.next_due_ms, now_ms + 500);
	store_batch_clear(&batch);
	row = read_job(1);
	ck_assert_int_eq(row->place, STORE_DELAYED);
	ck_assert_int_eq(row->attempt, 1);
	ck_assert_int_eq(row->run_at_ms, now_ms + 500);
	store_read_done(&answer);
	row = read_job(2);
	ck_assert_int_eq(row->place, STORE_READY);
	ck_assert_int_eq(row->attempt, 0);
	store_read_done(&answer);
}
END_TEST

/* ---- cancel ----------------------------------------------------------------------------------------------- */

START_TEST(cancel_in_each_place)
{
	struct spec specs[5] = {template(1), template(2), template(3), template(4), template(5)};
	const struct store_row *row;

	specs[0].queue = "q";
	specs[0].pool = POOL_WAITS;
	specs[1].not_before_ms = now_ms + 50000;
	put(&specs[0], STORE_READY);
	put(&specs[1], STORE_DELAYED);
	put(&specs[2], STORE_RUNNING)->token = 3;
	put(&specs[3], STORE_DONE)->end.state = JOB_SUCCEEDED;
	put(&specs[4], STORE_READY);
	commit();
	store_batch_clear(&batch);
	cancel(1, "uid:1");
	cancel(2, NULL);
	cancel(3, NULL);
	cancel(4, NULL);
	cancel(5, "uid:2");
	cancel(6, NULL);
	cancel(1, NULL);
	commit();
	ck_assert_int_eq(batch.cancel[0].answer, STORE_CANCELLED);
	ck_assert_int_eq(batch.cancel[0].was, STORE_READY);
	ck_assert_uint_eq(batch.cancel[0].pool, POOL_WAITS);
	ck_assert_str_eq(batch.cancel[0].queue, "q");
	ck_assert_str_eq(batch.cancel[0].job_owner, "uid:1");
	ck_assert_int_eq(batch.cancel[1].answer, STORE_CANCELLED);
	ck_assert_int_eq(batch.cancel[1].was, STORE_DELAYED);
	ck_assert_int_gt(batch.cancel[1].seq, batch.cancel[0].seq);
	ck_assert_int_eq(batch.cancel[2].answer, STORE_REQUESTED);
	ck_assert_int_eq(batch.cancel[3].answer, STORE_ENDED);
	ck_assert_int_eq(batch.cancel[4].answer, STORE_NOT_FOUND);
	ck_assert_int_eq(batch.cancel[5].answer, STORE_NOT_FOUND);
	ck_assert_int_eq(batch.cancel[6].answer, STORE_ENDED);
	ck_assert_int_eq(batch.next_due_ms, SPEC_NONE);
	store_batch_clear(&batch);

	row = read_job(1);
	ck_assert_int_eq(row->state, JOB_CANCELLED);
	ck_assert_int_eq(row->started_ms, SPEC_NONE);
	ck_assert_int_eq(row->finished_ms, now_ms);
	ck_assert(span_is(row->json, "{\"by\":\"me\"}"));
	store_read_done(&answer);
	check_place(2, STORE_DONE, JOB_CANCELLED);
	row = read_job(3);
	ck_assert_int_eq(row->state, JOB_RUNNING);
	ck_assert(row->cancel_requested);
	store_read_done(&answer);
	check_place(5, STORE_READY, JOB_PENDING);
	start(&specs[0], 50, 1);
	commit();
	ck_assert_int_eq(batch.start[0].answer, STORE_ENDED);
}
END_TEST

START_TEST(cancel_request_ends_a_release)
{
	struct spec spec = template(1), fresh = template(2);
	const struct store_row *row;
	int64_t seq;

	put_now(&spec, STORE_RUNNING, 4);
	cancel(1, NULL);
	cancel(1, NULL)->error = SPAN_LIT("{\"by\":\"another\"}");
	commit();
	ck_assert_int_eq(batch.cancel[1].answer, STORE_REQUESTED);
	store_batch_clear(&batch);
	release(&spec, 4, now_ms, 1);
	release(&spec, 4, now_ms, 1);
	commit();
	ck_assert_int_eq(batch.release[0].answer, STORE_CANCELLED);
	ck_assert_int_eq(batch.release[1].answer, STORE_FENCED);
	seq = batch.release[0].seq;
	store_batch_clear(&batch);
	row = read_job(1);
	ck_assert_int_gt(seq, 0);
	ck_assert_int_eq(row->seq, seq);
	ck_assert_int_eq(row->state, JOB_CANCELLED);
	ck_assert_int_eq(row->attempt, 1);
	ck_assert_int_ne(row->started_ms, SPEC_NONE);
	ck_assert_int_eq(row->seq, seq);
	ck_assert(span_is(row->json, "{\"by\":\"me\"}"));
	store_read_done(&answer);

	/* One that was sent and has not begun was never started. */
	put_now(&fresh, STORE_RUNNING, 5);
	cancel(2, NULL);
	commit();
	store_batch_clear(&batch);
	release(&fresh, 5, SPEC_NONE, 0);
	commit();
	ck_assert_int_eq(batch.release[0].answer, STORE_CANCELLED);
	store_batch_clear(&batch);
	row = read_job(2);
	ck_assert_int_eq(row->state, JOB_CANCELLED);
	ck_assert_int_eq(row->attempt, 0);
	ck_assert_int_eq(row->started_ms, SPEC_NONE);
	store_read_done(&answer);
}
END_TEST

/* What one batch holds is carried out in its order: a job is put, cancelled before it starts, and not started. */
START_TEST(members_take_effect_in_order)
{
	struct spec one = template(1), two = template(2), three = template(3);

	put_now(&three, STORE_RUNNING, 8);
	finish(&three, 8);
	put(&one, STORE_READY);
	put(&two, STORE_READY);
	cancel(1, NULL);
	cancel(3, NULL);
	start(&one, 1, 1);
	start(&two, 2, 1);
	*MEMBER(forget) = 1;
	*MEMBER(forget) = 2;
	fill("default", "uid:1", 10);
	commit();
	ck_assert_int_eq(batch.cancel[0].answer, STORE_CANCELLED);
	ck_assert_int_eq(batch.cancel[1].answer, STORE_ENDED);
	ck_assert_int_eq(batch.start[0].answer, STORE_ENDED);
	ck_assert_int_eq(batch.start[1].answer, STORE_OK);
	ck_assert_uint_eq(batch.fill[0].n_rows, 0);
	store_batch_clear(&batch);
	ck_assert_ptr_null(read_job(1));
	store_read_done(&answer);
	check_place(2, STORE_RUNNING, JOB_RUNNING);
	check_place(3, STORE_DONE, JOB_SUCCEEDED);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store");
	TCase *tests = tcase_create("store");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, put_keeps_every_field);
	tcase_add_test(tests, put_into_each_place);
	tcase_add_test(tests, put_map);
	tcase_add_test(tests, keys_within_a_batch_and_behind_it);
	tcase_add_test(tests, keys_hold_for_their_time_and_their_job);
	tcase_add_test(tests, keys_that_are_over_go);
	tcase_add_test(tests, start_and_finish);
	tcase_add_test(tests, finish_from_ready);
	tcase_add_test(tests, runs_of_neighbours);
	tcase_add_test(tests, seq_rises_over_a_reopen);
	tcase_add_test(tests, release_to_delayed_and_ready);
	tcase_add_test(tests, cancel_in_each_place);
	tcase_add_test(tests, cancel_request_ends_a_release);
	tcase_add_test(tests, members_take_effect_in_order);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
