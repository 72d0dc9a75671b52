/*
 * test_store_webhook: the store's webhooks: due with each way in which a job ends, spared by retention, put off, done
 * with, forgotten, and there after a restart.
 */
#include "tests/unit/store_rig.h"

static const char url[] = "http://127.0.0.1/done";

static inline void
webhooks_set_true(struct store_webhooks *webhooks, void *arg)
{
	(void)webhooks;
	*(bool *)arg = true;
}

static struct store_webhooks
ask_due(int64_t at_ms, size_t max)
{
	struct store_webhooks webhooks = {.now_ms = at_ms, .max = max, .done = webhooks_set_true};
	bool done = false;

	webhooks.arg = &done;
	store_sqlite.webhooks(store, &webhooks);
	PUMP(loop, done);
	ck_assert_int_eq(webhooks.error, 0);
	return webhooks;
}

/* Those that are due at some time are exactly these. */
static void
check_due(int64_t at_ms, const int64_t *ids, size_t n)
{
	struct store_webhooks webhooks = ask_due(at_ms, 100);

	ck_assert_uint_eq(webhooks.n, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(webhooks.due[i].id, ids[i]);
	free(webhooks.due);
}

static void
survey_set_true(struct store_survey *survey, void *arg)
{
	(void)survey;
	*(bool *)arg = true;
}

static int64_t
count_webhooks(void)
{
	struct store_survey survey = {.done = survey_set_true};
	bool done = false;

	survey.arg = &done;
	store_sqlite.survey(store, &survey);
	PUMP(loop, done);
	return survey.webhooks;
}

static void
expired_set_true(struct store_expired *expired, void *arg)
{
	(void)expired;
	*(bool *)arg = true;
}

static size_t
count_expired(int64_t at_ms)
{
	struct store_expired expired = {.now_ms = at_ms, .max = 100, .done = expired_set_true};
	bool done = false;

	expired.arg = &done;
	store_sqlite.expired(store, &expired);
	PUMP(loop, done);
	free(expired.ids);
	free(expired.has_output);
	return expired.n;
}

static void
settle(int64_t id, int64_t run_at_ms, int32_t tries)
{
	*MEMBER(webhook) = (struct store_webhook){.id = id, .run_at_ms = run_at_ms, .tries = tries};
	commit();
	store_batch_clear(&batch);
}

static struct spec
hooked(int64_t id)
{
	struct spec spec = template(id);

	spec.webhook = url;
	return spec;
}

/* Each odd job of a pair has a webhook, the even one behind it has none. */
START_TEST(each_end_makes_it_due)
{
	struct spec specs[8];
	int64_t due[] = {1, 3, 5, 7};

	for (int i = 0; i < 8; i++)
		specs[i] = i % 2 == 0 ? hooked(i + 1) : template(i + 1);
	for (int i = 0; i < 2; i++)
		put_now(&specs[i], STORE_DONE, 0);
	for (int i = 2; i < 4; i++)
		put_now(&specs[i], STORE_RUNNING, 7);
	for (int i = 2; i < 4; i++)
		finish(&specs[i], 7);
	for (int i = 4; i < 6; i++)
		put(&specs[i], STORE_READY);
	for (int i = 6; i < 8; i++)
		put(&specs[i], STORE_RUNNING)->token = 8;
	cancel(5, NULL);
	cancel(6, NULL);
	commit();
	ck_assert_uint_eq(batch.new_webhooks, 2);
	store_batch_clear(&batch);
	cancel(7, NULL);
	cancel(8, NULL);
	commit();
	ck_assert_uint_eq(batch.new_webhooks, 0);
	store_batch_clear(&batch);
	release(&specs[6], 8, SPEC_NONE, 1); /* a cancel stands there: they end */
	release(&specs[7], 8, SPEC_NONE, 1);
	commit();
	ck_assert_int_eq(batch.release[0].answer, STORE_CANCELLED);
	ck_assert_uint_eq(batch.new_webhooks, 1);
	store_batch_clear(&batch);
	for (int i = 0; i < 4; i++)
		settle(due[i], now_ms + i, 1); /* they had ended at different times */
	check_due(now_ms + HOUR_MS, due, 4);
	ck_assert_int_eq(count_webhooks(), 4);
}
END_TEST

START_TEST(recovery_makes_it_due)
{
	struct spec specs[] = {hooked(1), hooked(2), hooked(3), template(4)};
	int64_t due[] = {1, 2};

	specs[2].idempotent = true;
	specs[2].max_attempts = 3;
	for (int i = 0; i < 4; i++) {
		struct store_put *member = put(&specs[i], STORE_RUNNING);

		member->token = 9;
		member->end = (struct store_end){.attempt = 1, .started_ms = now_ms};
	}
	cancel(2, NULL);
	commit();
	store_batch_clear(&batch);
	reopen_store();
	ck_assert_int_eq(opened.recovered_lost, 2);
	ck_assert_int_eq(opened.recovered_cancelled, 1);
	check_due(now_ms, due, 2);
	ck_assert_int_eq(count_webhooks(), 2);
}
END_TEST

/* What ends without having begun: its time is over, found by the clock or by its start; its parent has failed. */
START_TEST(the_store_ends_it)
{
	struct spec specs[7];
	struct store_finish *member;
	int64_t due[] = {1, 3, 5};

	for (int i = 0; i < 7; i++)
		specs[i] = i % 2 == 0 ? hooked(i + 1) : template(i + 1);
	for (int i = 0; i < 4; i++)
		specs[i].expires_ms = now_ms + 1000;
	for (int i = 4; i < 6; i++) {
		specs[i].after = SPAN_LIT("[7]");
		specs[i].after_policy = AFTER_SUCCEEDED;
	}
	specs[6].webhook = NULL;
	for (int i = 0; i < 4; i++)
		put_now(&specs[i], STORE_READY, 0);
	put_now(&specs[6], STORE_RUNNING, 9);
	for (int i = 4; i < 6; i++)
		put(&specs[i], STORE_WAITING);
	commit();
	store_batch_clear(&batch);
	batch.promote = (struct store_promote){.wanted = true, .now_ms = now_ms + 1000, .n = 10};
	commit();
	ck_assert_uint_eq(batch.n_gone, 4);
	ck_assert_uint_eq(batch.new_webhooks, 2);
	store_batch_clear(&batch);
	member = finish(&specs[6], 9);
	member->end.state = JOB_FAILED;
	commit();
	ck_assert_uint_eq(batch.n_gone, 2);
	ck_assert_uint_eq(batch.new_webhooks, 1);
	store_batch_clear(&batch);
	for (int i = 0; i < 3; i++)
		settle(due[i], now_ms + i, 1);
	check_due(now_ms + HOUR_MS, due, 3);
}
END_TEST

START_TEST(a_late_start_ends_it)
{
	struct spec specs[] = {hooked(1), template(2)};

	for (int i = 0; i < 2; i++) {
		specs[i].expires_ms = now_ms - 1;
		put_now(&specs[i], STORE_READY, 0);
	}
	for (int i = 0; i < 2; i++)
		start(&specs[i], 7, 1);
	commit();
	ck_assert_int_eq(batch.start[0].answer, STORE_ENDED);
	ck_assert_uint_eq(batch.new_webhooks, 1);
	store_batch_clear(&batch);
	check_due(now_ms + HOUR_MS, (int64_t[]){1}, 1);
}
END_TEST

START_TEST(put_off_and_done_with)
{
	struct spec specs[] = {hooked(1), hooked(2), hooked(3)};
	int64_t first[] = {1, 3}, then[] = {1, 3, 2};
	struct store_webhooks webhooks;
	char store_id[sizeof(opened.store_id)];

	for (int i = 0; i < 3; i++)
		put_now(&specs[i], STORE_DONE, 0);
	settle(2, now_ms + 5000, 4);
	strcpy(store_id, opened.store_id);
	ck_assert_uint_eq(strlen(store_id), 32);
	reopen_store();
	ck_assert_str_eq(store_id, opened.store_id);
	check_due(now_ms + 4999, first, 2);
	webhooks = ask_due(now_ms + 4999, 100);
	ck_assert_int_eq(webhooks.next_ms, now_ms + 5000);
	free(webhooks.due);
	webhooks = ask_due(now_ms + 5000, 3);
	ck_assert_int_eq(webhooks.next_ms, now_ms + 5000); /* as many as were asked for: there may be more */
	ck_assert_int_eq(webhooks.due[2].tries, 4);
	free(webhooks.due);
	check_due(now_ms + 5000, then, 3);
	settle(1, SPEC_NONE, 1);
	settle(1, SPEC_NONE, 1); /* there is none any more */
	settle(1, now_ms, 2);
	ck_assert_int_eq(count_webhooks(), 2);
	settle(2, SPEC_NONE, 1);
	settle(3, SPEC_NONE, 1);
	ck_assert_int_eq(count_webhooks(), 0);
	webhooks = ask_due(now_ms + HOUR_MS, 100);
	ck_assert_uint_eq(webhooks.n, 0);
	ck_assert_int_eq(webhooks.next_ms, SPEC_NONE);
	reopen_store();
	ck_assert_int_eq(count_webhooks(), 0);
}
END_TEST

START_TEST(retention_spares_forget_drops)
{
	struct spec specs[20];

	for (int i = 0; i < 20; i++) {
		specs[i] = i < 19 ? hooked(i + 1) : template(i + 1);
		put_now(&specs[i], STORE_DONE, 0);
	}
	ck_assert_uint_eq(count_expired(now_ms + 2 * HOUR_MS), 1);
	settle(1, SPEC_NONE, 1);
	ck_assert_uint_eq(count_expired(now_ms + 2 * HOUR_MS), 2);
	forget_now(2);
	for (int i = 2; i < 18; i++) /* a run of neighbours */
		*MEMBER(forget) = i + 1;
	commit();
	store_batch_clear(&batch);
	ck_assert_int_eq(count_webhooks(), 1);
	check_due(now_ms + HOUR_MS, (int64_t[]){19}, 1);
	reopen_store();
	ck_assert_int_eq(count_webhooks(), 1);
}
END_TEST

START_TEST(a_map_of_them)
{
	struct spec spec = hooked(1);
	struct store_webhooks webhooks;
	struct store_put *member;

	spec.args = SPAN_NONE;
	member = put(&spec, STORE_READY);
	member->items = SPAN_LIT("[[1],[2],[3]]");
	member->count = 3;
	batch.high_water = 3;
	commit();
	store_batch_clear(&batch);
	for (int64_t id = 1; id <= 3; id++)
		cancel(id, NULL);
	commit();
	ck_assert_uint_eq(batch.new_webhooks, 3);
	store_batch_clear(&batch);
	webhooks = ask_due(now_ms, 2);
	ck_assert_uint_eq(webhooks.n, 2);
	ck_assert_int_eq(webhooks.due[0].tries, 0);
	free(webhooks.due);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_webhook");
	TCase *tests = tcase_create("store_webhook");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, each_end_makes_it_due);
	tcase_add_test(tests, recovery_makes_it_due);
	tcase_add_test(tests, the_store_ends_it);
	tcase_add_test(tests, a_late_start_ends_it);
	tcase_add_test(tests, put_off_and_done_with);
	tcase_add_test(tests, retention_spares_forget_drops);
	tcase_add_test(tests, a_map_of_them);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
