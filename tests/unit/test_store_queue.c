/*
 * test_store_queue: the SQLite store as a queue: what it brings into windows, what retention and the list of queues
 * ask, and the way there and back.
 */
#include "tests/unit/store_rig.h"

/* ---- fill, promote ---------------------------------------------------------------------------------------- */

START_TEST(fill_goes_by_priority_then_id)
{
	static const int priorities[] = {0, 5, 0, -5, 5, 0};
	static const int64_t order[] = {2, 5, 1, 3, 6, 4};
	struct spec specs[6], other = template(7), elsewhere = template(8);
	struct store_fill *member;

	for (int i = 0; i < 6; i++) {
		specs[i] = template(i + 1);
		specs[i].priority = (int16_t)priorities[i];
		put(&specs[i], STORE_READY);
	}
	other.owner = "uid:2";
	elsewhere.pool = POOL_WAITS;
	put(&other, STORE_READY);
	put(&elsewhere, STORE_READY);
	fill("default", "uid:1", 4);
	commit();
	ck_assert_uint_eq(batch.fill[0].n_rows, 4);
	ck_assert(!batch.fill[0].end);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(batch.fill[0].rows[i].spec->id, order[i]);
	ck_assert_int_eq(batch.fill[0].rows[0].spec->priority, 5);
	ck_assert(span_is(batch.fill[0].rows[3].spec->args, "[1]"));
	free_rows(&batch.fill[0].rows, &batch.fill[0].n_rows);
	store_batch_clear(&batch);

	member = fill("default", "uid:1", 4);
	member->from_start = false;
	member->mark = (struct store_mark){.priority = 0, .id = 3};
	fill("default", "uid:2", 1);
	fill("nowhere", "uid:2", 1);
	member = fill("default", "uid:1", 100);
	member->max_bytes = 4;
	commit();
	ck_assert_uint_eq(batch.fill[0].n_rows, 2);
	ck_assert_int_eq(batch.fill[0].rows[0].spec->id, 6);
	ck_assert_int_eq(batch.fill[0].rows[1].spec->id, 4);
	ck_assert(batch.fill[0].end);
	ck_assert_uint_eq(batch.fill[1].n_rows, 1);
	ck_assert(batch.fill[1].end);
	ck_assert_str_eq(batch.fill[1].rows[0].spec->owner, "uid:2");
	ck_assert_uint_eq(batch.fill[2].n_rows, 0);
	ck_assert(batch.fill[2].end);
	ck_assert_uint_eq(batch.fill[3].n_rows, 2);
	ck_assert(!batch.fill[3].end);
	for (int i = 0; i < 4; i++)
		free_rows(&batch.fill[i].rows, &batch.fill[i].n_rows);
}
END_TEST

START_TEST(promote_brings_what_is_due)
{
	static const int64_t order[] = {3, 1};
	struct spec specs[4];

	for (int i = 0; i < 4; i++) {
		specs[i] = template(i + 1);
		specs[i].not_before_ms = now_ms + (i == 2 ? 5 : 10 * (i + 1));
		put(&specs[i], STORE_DELAYED);
	}
	commit();
	ck_assert_int_eq(batch.next_due_ms, now_ms + 5);
	store_batch_clear(&batch);
	batch.promote = (struct store_promote){.wanted = true, .now_ms = now_ms + 20, .n = 2};
	fill("default", "uid:1", 10);
	commit();
	ck_assert_uint_eq(batch.promote.n_rows, 2);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(batch.promote.rows[i].spec->id, order[i]);
	ck_assert_int_eq(batch.next_due_ms, now_ms + 20);
	ck_assert_uint_eq(batch.fill[0].n_rows, 2);
	ck_assert_int_eq(batch.fill[0].rows[0].spec->id, 1);
	free_rows(&batch.promote.rows, &batch.promote.n_rows);
	free_rows(&batch.fill[0].rows, &batch.fill[0].n_rows);
	store_batch_clear(&batch);
	check_place(1, STORE_READY, JOB_PENDING);
	check_place(2, STORE_DELAYED, JOB_PENDING);
}
END_TEST

/* ---- forget, expired, survey ------------------------------------------------------------------------------ */

static void
expired_set_true(struct store_expired *expired, void *arg)
{
	(void)expired;
	*(bool *)arg = true;
}

static void
survey_set_true(struct store_survey *survey, void *arg)
{
	(void)survey;
	*(bool *)arg = true;
}

static struct store_expired
ask_expired(int64_t at_ms, size_t max)
{
	struct store_expired expired = {.now_ms = at_ms, .max = max, .done = expired_set_true};
	bool done = false;

	expired.arg = &done;
	store_sqlite.expired(store, &expired);
	PUMP(loop, done);
	ck_assert_int_eq(expired.error, 0);
	return expired;
}

START_TEST(forget_deletes_what_ended)
{
	struct spec done = template(1), ready = template(2);

	put_now(&done, STORE_DONE, 0);
	put_now(&ready, STORE_READY, 0);
	forget_now(1);
	forget_now(2);
	forget_now(3);
	ck_assert_ptr_null(read_job(1));
	store_read_done(&answer);
	check_place(2, STORE_READY, JOB_PENDING);
}
END_TEST

START_TEST(expired_tells_the_oldest)
{
	static const int64_t until[] = {30, 10, 20, 40};
	struct store_expired expired;
	struct spec specs[4];

	for (int i = 0; i < 4; i++) {
		specs[i] = template(i + 1);
		put(&specs[i], STORE_DONE)->end = (struct store_end){
		    .state = JOB_SUCCEEDED, .started_ms = SPEC_NONE, .until_ms = now_ms + until[i], .output = i == 1};
	}
	commit();
	store_batch_clear(&batch);
	expired = ask_expired(now_ms + 30, 2);
	ck_assert_uint_eq(expired.n, 2);
	ck_assert_int_eq(expired.ids[0], 2);
	ck_assert_int_eq(expired.ids[1], 3);
	ck_assert(expired.has_output[0] && !expired.has_output[1]);
	ck_assert_int_eq(expired.next_ms, now_ms + 30);
	*MEMBER(forget) = 2;
	*MEMBER(forget) = 3;
	commit();
	store_batch_clear(&batch);
	free(expired.ids);
	free(expired.has_output);

	expired = ask_expired(now_ms + 30, 2);
	ck_assert_uint_eq(expired.n, 1);
	ck_assert_int_eq(expired.ids[0], 1);
	ck_assert_int_eq(expired.next_ms, now_ms + 40);
	free(expired.ids);
	free(expired.has_output);
}
END_TEST

/* Those without a time of their own go in the order in which they have finished; those that have one, or are parents, hold up none. */
START_TEST(expired_tells_the_usual_ones)
{
	struct spec specs[6], running = template(7), child = template(8);
	struct store_expired expired;

	for (int i = 0; i < 6; i++) {
		specs[i] = template(i + 1);
		specs[i].webhook = i == 1 ? "http://localhost/" : NULL;
		put(&specs[i], STORE_DONE)->end = (struct store_end){.state = JOB_SUCCEEDED, .started_ms = SPEC_NONE};
		batch.put[i].end.finished_ms = now_ms + 10 * i;
		batch.put[i].end.until_ms = i == 0 ? now_ms + 3 * HOUR_MS : SPEC_NONE;
	}
	put(&running, STORE_RUNNING)->token = 7;
	commit();
	store_batch_clear(&batch);
	child.after = SPAN_LIT("[3,7]");
	put_now(&child, STORE_WAITING, 0);
	expired = ask_expired(now_ms + HOUR_MS + 19, 10);
	ck_assert_uint_eq(expired.n + expired.n_spared, 0);
	ck_assert_int_eq(expired.next_ms, now_ms + HOUR_MS + 20);
	expired = ask_expired(now_ms + HOUR_MS + 30, 10);
	ck_assert_uint_eq(expired.n, 1);
	ck_assert_int_eq(expired.ids[0], 4);
	ck_assert_uint_eq(expired.n_spared, 1);
	ck_assert_int_eq(expired.spared[0], 3);
	ck_assert_int_eq(expired.next_ms, now_ms + HOUR_MS + 40);
	free(expired.ids);
	free(expired.has_output);
	free(expired.spared);
	forget_now(3);
	forget_now(4);
	expired = ask_expired(now_ms + HOUR_MS + 50, 1);
	ck_assert_uint_eq(expired.n + expired.n_spared, 1);
	free(expired.ids);
	free(expired.has_output);
	free(expired.spared);
	forget_now(5);
	forget_now(6);
	expired = ask_expired(now_ms + HOUR_MS - 1, 10);
	ck_assert_uint_eq(expired.n + expired.n_spared, 0);
	ck_assert_int_ge(expired.next_ms, now_ms + HOUR_MS); /* the parent that was put off, by the clock on the wall */
	ck_assert_int_lt(expired.next_ms, now_ms + 3 * HOUR_MS);
}
END_TEST

/* The clock was wrong for a while: what ended in the future keeps nobody here. */
START_TEST(expired_in_spite_of_the_future)
{
	struct store_expired expired;
	struct spec specs[3];

	for (int i = 0; i < 3; i++) {
		specs[i] = template(i + 1);
		put(&specs[i], STORE_DONE)->end = (struct store_end){.state = JOB_SUCCEEDED, .started_ms = SPEC_NONE, .until_ms = SPEC_NONE};
		batch.put[i].end.finished_ms = i == 0 ? now_ms + 1000 * (int64_t)HOUR_MS : now_ms;
	}
	commit();
	store_batch_clear(&batch);
	expired = ask_expired(now_ms + HOUR_MS, 10);
	ck_assert_uint_eq(expired.n, 2);
	ck_assert_int_eq(expired.ids[0], 2);
	ck_assert_int_eq(expired.ids[1], 3);
	ck_assert_int_eq(expired.next_ms, now_ms + 1001 * (int64_t)HOUR_MS);
	free(expired.ids);
	free(expired.has_output);
	forget_now(2);
	expired = ask_expired(now_ms, 10);
	ck_assert_uint_eq(expired.n, 0);
	ck_assert_int_eq(expired.next_ms, now_ms + HOUR_MS);
}
END_TEST

/* To forget a parent in vain does not shorten its time. */
START_TEST(a_parent_that_was_to_be_forgotten)
{
	struct spec parent = template(1), running = template(2), child = template(3);
	struct store_expired expired;

	put(&parent, STORE_DONE)->end = (struct store_end){.state = JOB_SUCCEEDED, .started_ms = SPEC_NONE, .until_ms = SPEC_NONE};
	batch.put[0].end.finished_ms = now_ms + 2 * HOUR_MS;
	put(&running, STORE_RUNNING)->token = 7;
	commit();
	store_batch_clear(&batch);
	child.after = SPAN_LIT("[1,2]");
	put_now(&child, STORE_WAITING, 0);
	forget_now(1);
	expired = ask_expired(now_ms, 10);
	ck_assert_uint_eq(expired.n + expired.n_spared, 0);
	ck_assert_int_eq(expired.next_ms, now_ms + 3 * HOUR_MS);
}
END_TEST

START_TEST(survey_tells_the_oldest_of_each_queue)
{
	struct store_oldest queues[] = {{.queue = "a"}, {.queue = "default"}, {.queue = "b"}, {.queue = "none"}};
	struct store_survey survey = {.queues = queues, .n_queues = 4, .done = survey_set_true};
	struct spec specs[5];
	bool done = false;

	for (int i = 0; i < 5; i++) {
		specs[i] = template(i + 1);
		specs[i].submitted_ms = now_ms + i;
		specs[i].not_before_ms = i == 2 ? now_ms + HOUR_MS : SPEC_NONE;
		specs[i].queue = i == 0 ? "default" : i < 3 ? "a" : "b";
		specs[i].priority = i == 4 ? 10 : 0;
		put(&specs[i], i == 0 ? STORE_DONE : i == 2 ? STORE_DELAYED : STORE_READY);
	}
	commit();
	survey.arg = &done;
	store_sqlite.survey(store, &survey);
	PUMP(loop, done);
	ck_assert_int_eq(survey.error, 0);
	ck_assert_int_eq(queues[0].submitted_ms, now_ms + 1);
	ck_assert_int_eq(queues[1].submitted_ms, SPEC_NONE);
	ck_assert_int_eq(queues[2].submitted_ms, now_ms + 3);
	ck_assert_int_eq(queues[3].submitted_ms, SPEC_NONE);
	ck_assert_int_eq(survey.done_rows, 1);
	ck_assert_int_gt(survey.file_bytes, 4096);
	store_batch_clear(&batch);
	forget_now(1);
	done = false;
	store_sqlite.survey(store, &survey);
	PUMP(loop, done);
	ck_assert_int_eq(survey.done_rows, 0);
}
END_TEST

/* ---- the way there and back ------------------------------------------------------------------------------- */

START_TEST(batch_is_empty_and_cleared)
{
	struct spec spec = template(1);

	ck_assert(store_batch_empty(&batch));
	put(&spec, STORE_READY);
	ck_assert(!store_batch_empty(&batch));
	store_batch_clear(&batch);
	ck_assert(store_batch_empty(&batch));
	batch.promote.wanted = true;
	ck_assert(!store_batch_empty(&batch));
}
END_TEST

/* Reads that were asked while a batch was under way see it; one that was asked before may not. */
START_TEST(read_sees_the_batch_before_it)
{
	struct spec specs[50];
	struct store_read reads[50];
	bool read_done[50] = {false};

	for (int i = 0; i < 50; i++) {
		struct id_range range = {i + 1, i + 1};
		bool done = false;

		specs[i] = template(i + 1);
		put(&specs[i], STORE_READY);
		batch.done = set_true;
		batch.arg = &done;
		store_sqlite.commit(store, &batch);
		reads[i] = (struct store_read){.ranges = &range,
		    .n_ranges = 1,
		    .max_rows = 1,
		    .max_bytes = 1,
		    .done = read_set_true,
		    .arg = &read_done[i]};
		store_sqlite.read(store, &reads[i]);
		PUMP(loop, done && read_done[i]);
		ck_assert_uint_eq(reads[i].n_rows, 1);
		store_read_done(&reads[i]);
		store_batch_clear(&batch);
	}
}
END_TEST

static void
must_not_come(struct store_batch *done, void *arg)
{
	(void)done;
	(void)arg;
	ck_abort_msg("a callback after close");
}

static int reads_ended;

static void
read_ended(struct store_read *read, void *arg)
{
	(void)arg;
	reads_ended++;
	if (read->error == 0)
		store_read_done(read);
}

START_TEST(close_finishes_what_was_begun)
{
	struct spec spec = template(1);

	put(&spec, STORE_READY);
	fill("default", "uid:1", 5);
	batch.done = must_not_come;
	store_sqlite.commit(store, &batch);
	answer = (struct store_read){
	    .ranges = &everything, .n_ranges = 1, .max_rows = 1, .max_bytes = 1, .done = read_ended};
	store_sqlite.read(store, &answer);
	reads_ended = 0;
	close_store();
	ck_assert_int_eq(reads_ended, 1); /* who reads is told, within the call */
	ck_assert_uint_eq(batch.fill[0].n_rows, 0);
	pump_turn(loop);
	open_store();
	check_place(1, STORE_READY, JOB_PENDING);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_queue");
	TCase *tests = tcase_create("store_queue");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, fill_goes_by_priority_then_id);
	tcase_add_test(tests, promote_brings_what_is_due);
	tcase_add_test(tests, forget_deletes_what_ended);
	tcase_add_test(tests, expired_tells_the_oldest);
	tcase_add_test(tests, expired_tells_the_usual_ones);
	tcase_add_test(tests, expired_in_spite_of_the_future);
	tcase_add_test(tests, a_parent_that_was_to_be_forgotten);
	tcase_add_test(tests, survey_tells_the_oldest_of_each_queue);
	tcase_add_test(tests, batch_is_empty_and_cleared);
	tcase_add_test(tests, read_sees_the_batch_before_it);
	tcase_add_test(tests, close_finishes_what_was_begun);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
