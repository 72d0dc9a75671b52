/*
 * test_store_after: jobs that wait for others: what opens their gate, what closes it for ever, and that it goes on where it was left.
 */
#include "tests/unit/bulk.h"
#include "tests/unit/store_rig.h"

/* ---- the words of these tests ----------------------------------------------------------------------------- */

static char afters[64][64];

static struct spec
child(int64_t id, const char *after, enum after_policy policy)
{
	struct spec spec = template(id);

	spec.after = (struct span){after, strlen(after)};
	spec.after_policy = (uint8_t)policy;
	return spec;
}

static void
put_waiting(const struct spec *spec)
{
	put(spec, STORE_WAITING);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_OK);
}

/* From ready, as a pure task ends, or from running. */
static void
end_now(const struct spec *spec, enum job_state state)
{
	struct store_finish *member = finish(spec, 7);

	member->from_ready = spec->pure;
	member->end.state = state;
	commit();
	ck_assert_int_eq(batch.finish[0].answer, STORE_OK);
}

static void
done_with_batch(void)
{
	free_rows(&batch.promote.rows, &batch.promote.n_rows);
	store_batch_clear(&batch);
}

static void
step(void)
{
	batch.promote = (struct store_promote){.wanted = true, .now_ms = now_ms, .n = 1000};
	commit();
}

static void
check_failed(int64_t id, int64_t parent, enum job_state state)
{
	const struct store_row *row = read_job(id);
	char *error = dependency_error(parent, state);

	ck_assert_ptr_nonnull(row);
	ck_assert_int_eq(row->place, STORE_DONE);
	ck_assert_int_eq(row->state, JOB_FAILED);
	ck_assert_int_eq(row->attempt, 0);
	ck_assert_msg(span_is(row->json, error), "%.*s, not %s", (int)row->json.len, row->json.at, error);
	store_read_done(&answer);
	free(error);
}

/* Nothing is left of gates and edges. */
static void
check_clean(void)
{
	close_store();
	ck_assert_int_eq(ask_file("SELECT count(*) FROM waiting"), 0);
	ck_assert_int_eq(ask_file("SELECT count(*) FROM gate"), 0);
	ck_assert_int_eq(ask_file("SELECT count(*) FROM edge"), 0);
	ck_assert_int_eq(ask_file("SELECT count(*) FROM todo"), 0);
	ck_assert_int_eq(ask_file("SELECT count(*) FROM expiring"), 0);
	open_store();
}

/* ---- gates ------------------------------------------------------------------------------------------------ */

START_TEST(a_gate_opens_with_the_last_parent)
{
	struct spec one = template(1), two = template(2), waits = child(3, "[1,2]", AFTER_SUCCEEDED);
	struct spec later = child(4, "[2]", AFTER_SUCCEEDED);

	later.not_before_ms = now_ms + HOUR_MS;
	put_now(&one, STORE_RUNNING, 7);
	put_now(&two, STORE_RUNNING, 7);
	put(&later, STORE_WAITING);
	put_waiting(&waits);
	ck_assert_int_eq(batch.put[0].place, STORE_WAITING);
	store_batch_clear(&batch);
	check_place(3, STORE_WAITING, JOB_PENDING);
	end_now(&one, JOB_SUCCEEDED);
	ck_assert_uint_eq(batch.promote.n_rows, 0);
	store_batch_clear(&batch);
	check_place(3, STORE_WAITING, JOB_PENDING);
	end_now(&two, JOB_SUCCEEDED);
	ck_assert_uint_eq(batch.promote.n_rows, 1);
	ck_assert_int_eq(batch.promote.rows[0].spec->id, 3);
	ck_assert(span_is(batch.promote.rows[0].spec->after, "[1,2]"));
	ck_assert_int_eq(batch.next_due_ms, later.not_before_ms);
	done_with_batch();
	check_place(3, STORE_READY, JOB_PENDING);
	check_place(4, STORE_DELAYED, JOB_PENDING);
	check_clean();
}
END_TEST

/* Row by row of the contract: what a policy makes of each end, before and after. */
START_TEST(policies)
{
	static const bool fits[3][3] = {{true, false, false}, {true, true, true}, {false, true, true}};
	int64_t id = 1;

	for (int policy = AFTER_SUCCEEDED; policy <= AFTER_FAILED; policy++) {
		for (int state = JOB_SUCCEEDED; state <= JOB_CANCELLED; state++, id += 3) {
			struct spec parent = template(id), before, behind;
			bool fit = fits[policy][state - JOB_SUCCEEDED];

			snprintf(afters[0], sizeof(afters[0]), "[%d]", (int)id);
			before = child(id + 1, afters[0], (enum after_policy)policy);
			behind = child(id + 2, afters[0], (enum after_policy)policy);
			put_now(&parent, STORE_RUNNING, 7);
			put_waiting(&before);
			store_batch_clear(&batch);
			end_now(&parent, (enum job_state)state);
			ck_assert_uint_eq(batch.promote.n_rows, fit ? 1 : 0);
			ck_assert_uint_eq(batch.n_gone, fit ? 0 : 1);
			done_with_batch();
			put_waiting(&behind);
			ck_assert_int_eq(batch.put[0].place, fit ? STORE_READY : STORE_WAITING);
			ck_assert_uint_eq(batch.promote.n_rows, 0);
			ck_assert_uint_eq(batch.n_gone, fit ? 0 : 1);
			store_batch_clear(&batch);
			if (fit) {
				check_place(id + 1, STORE_READY, JOB_PENDING);
				check_place(id + 2, STORE_READY, JOB_PENDING);
			} else {
				check_failed(id + 1, id, (enum job_state)state);
				check_failed(id + 2, id, (enum job_state)state);
			}
		}
	}
	check_clean();
}
END_TEST

/* However a job ends its children hear of it: with its submission, from ready, by cancel, by expiry, by a release that was cancelled. */
START_TEST(every_end_is_told)
{
	struct spec parents[5], children[5];

	for (int i = 0; i < 5; i++) {
		parents[i] = template(i + 1);
		if (i == 3)
			parents[i].expires_ms = now_ms;
		snprintf(afters[i], sizeof(afters[i]), "[%d]", i + 1);
		children[i] = child(i + 11, afters[i], AFTER_FINISHED);
		put(&parents[i], i == 4 ? STORE_RUNNING : STORE_READY)->token = 7;
	}
	for (int i = 0; i < 5; i++)
		put(&children[i], STORE_WAITING);
	commit();
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(batch.put[i].answer, STORE_OK);
	store_batch_clear(&batch);
	cancel(5, NULL);
	commit();
	store_batch_clear(&batch);

	finish(&parents[0], 0)->from_ready = true;
	release(&parents[4], 7, SPEC_NONE, 0);
	cancel(2, NULL);
	step();
	ck_assert_uint_eq(batch.promote.n_rows, 4);
	ck_assert_uint_eq(batch.n_gone, 1);
	done_with_batch();
	check_place(11, STORE_READY, JOB_PENDING);
	check_place(12, STORE_READY, JOB_PENDING);
	check_place(13, STORE_WAITING, JOB_PENDING);
	check_place(14, STORE_READY, JOB_PENDING);
	check_place(15, STORE_READY, JOB_PENDING);
}
END_TEST

/* A parent may come in the same batch, also together with its end. */
START_TEST(parents_in_the_same_batch)
{
	struct spec one = template(1), two = template(2), a = child(3, "[1]", AFTER_SUCCEEDED), b = child(4, "[2]", AFTER_SUCCEEDED),
		    c = child(5, "[3,4]", AFTER_SUCCEEDED), itself = child(6, "[6]", AFTER_FINISHED), ahead = child(7, "[8]", AFTER_FINISHED),
		    eight = template(8);

	put(&one, STORE_DONE)->end.state = JOB_SUCCEEDED;
	put(&two, STORE_READY);
	put(&a, STORE_WAITING);
	put(&b, STORE_WAITING);
	put(&c, STORE_WAITING);
	put(&itself, STORE_WAITING);
	put(&ahead, STORE_WAITING);
	put(&eight, STORE_READY);
	commit();
	ck_assert_int_eq(batch.put[2].place, STORE_READY);
	ck_assert_int_eq(batch.put[3].place, STORE_WAITING);
	ck_assert_int_eq(batch.put[4].place, STORE_WAITING);
	ck_assert_int_eq(batch.put[5].answer, STORE_NO_PARENT);
	ck_assert_str_eq(batch.put[5].unknown, "[6]");
	ck_assert_int_eq(batch.put[6].answer, STORE_NO_PARENT);
	ck_assert_int_eq(batch.put[7].answer, STORE_OK);
	free(batch.put[5].unknown);
	free(batch.put[6].unknown);
	store_batch_clear(&batch);
	ck_assert_ptr_null(read_job(6));
	store_read_done(&answer);
}
END_TEST

/* Its parent ended in this commit, and its older sister is still to be told: it must not be told a second time. */
START_TEST(comes_while_the_end_is_told)
{
	struct spec one = template(1), two = template(2), sister = child(3, "[1]", AFTER_SUCCEEDED);
	struct spec both = child(4, "[1,2]", AFTER_SUCCEEDED), alone = child(5, "[1]", AFTER_SUCCEEDED);

	put_now(&one, STORE_RUNNING, 7);
	put_now(&two, STORE_RUNNING, 7);
	put_waiting(&sister);
	store_batch_clear(&batch);
	finish(&one, 7)->end.state = JOB_SUCCEEDED;
	put(&both, STORE_WAITING);
	put(&alone, STORE_WAITING);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_OK);
	ck_assert_uint_eq(batch.promote.n_rows, 2);
	done_with_batch();
	check_place(3, STORE_READY, JOB_PENDING);
	check_place(4, STORE_WAITING, JOB_PENDING);
	check_place(5, STORE_READY, JOB_PENDING);
	end_now(&two, JOB_SUCCEEDED);
	done_with_batch();
	check_place(4, STORE_READY, JOB_PENDING);
	check_clean();
}
END_TEST

START_TEST(unknown_parents)
{
	struct spec known = template(1), waits = child(2, "[1,99,7]", AFTER_FINISHED), foreign = child(3, "[1]", AFTER_FINISHED);

	put_now(&known, STORE_READY, 0);
	waits.key = "k";
	put(&waits, STORE_WAITING);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_NO_PARENT);
	ck_assert_str_eq(batch.put[0].unknown, "[99,7]");
	free(batch.put[0].unknown);
	store_batch_clear(&batch);
	ck_assert_ptr_null(read_job(2));
	store_read_done(&answer);

	foreign.owner = "uid:2";
	foreign.key = "k";
	foreign.restricted = true;
	put(&foreign, STORE_WAITING);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_NO_PARENT);
	free(batch.put[0].unknown);
	store_batch_clear(&batch);
	foreign.restricted = false;
	put_waiting(&foreign);
	store_batch_clear(&batch);
	waits.after = SPAN_LIT("[1]");
	waits.digest[0] = 1;
	waits.id = 4;
	put_waiting(&waits);
	store_batch_clear(&batch);
	check_place(3, STORE_WAITING, JOB_PENDING);
	check_place(4, STORE_WAITING, JOB_PENDING);
}
END_TEST

/* Who leaves by itself leaves the gate to the others, and the last takes it along. */
START_TEST(the_last_takes_the_gate_along)
{
	struct spec parent = template(1), map = child(2, "[1]", AFTER_FINISHED), single = child(5, "[1,2]", AFTER_FAILED);
	struct store_put *member;

	put_now(&parent, STORE_RUNNING, 7);
	map.args = SPAN_NONE;
	member = put(&map, STORE_WAITING);
	member->items = (struct span)SPAN_LIT("[[1],[2],[3]]");
	member->count = 3;
	single.expires_ms = now_ms;
	put(&single, STORE_WAITING);
	commit();
	store_batch_clear(&batch);
	cancel(2, NULL);
	cancel(4, NULL);
	commit();
	ck_assert_int_eq(batch.cancel[0].answer, STORE_CANCELLED);
	ck_assert_int_eq(batch.cancel[0].was, STORE_WAITING);
	ck_assert_int_eq(batch.cancel[1].answer, STORE_CANCELLED);
	store_batch_clear(&batch);
	check_place(3, STORE_WAITING, JOB_PENDING);
	check_place(5, STORE_WAITING, JOB_PENDING);
	step();
	ck_assert_uint_eq(batch.n_gone, 1);
	ck_assert_int_eq(batch.gone[0].id, 5);
	store_batch_clear(&batch);
	cancel(3, NULL);
	commit();
	store_batch_clear(&batch);
	end_now(&parent, JOB_SUCCEEDED);
	ck_assert_uint_eq(batch.promote.n_rows, 0);
	store_batch_clear(&batch);
	check_clean();
}
END_TEST

/* ---- steps ------------------------------------------------------------------------------------------------ */

static void
put_crowd(const char *after, enum after_policy policy, int64_t first, size_t n)
{
	struct spec *specs = mem_new_array(n, sizeof(*specs));

	for (size_t i = 0; i < n; i++) {
		specs[i] = child(first + (int64_t)i, after, policy);
		put(&specs[i], STORE_WAITING);
	}
	commit();
	store_batch_clear(&batch);
	free(specs);
}

/* The end is told to more gates than one commit takes, and more come meanwhile. */
START_TEST(comes_amid_a_crowd)
{
	struct spec parent = template(1), two = template(2), both = child(4000, "[2,1]", AFTER_SUCCEEDED);
	int steps = 0;

	put_now(&parent, STORE_RUNNING, 7);
	put_now(&two, STORE_RUNNING, 7);
	put_crowd("[1]", AFTER_SUCCEEDED, 10, 2500);
	end_now(&parent, JOB_SUCCEEDED);
	ck_assert_int_eq(batch.next_due_ms, 0);
	done_with_batch();
	put_waiting(&both);
	do {
		done_with_batch();
		ck_assert_int_lt(steps++, 20);
		step();
	} while (batch.next_due_ms == 0);
	done_with_batch();
	check_place(2509, STORE_READY, JOB_PENDING);
	check_place(4000, STORE_WAITING, JOB_PENDING);
	end_now(&two, JOB_SUCCEEDED);
	done_with_batch();
	check_place(4000, STORE_READY, JOB_PENDING);
	check_clean();
}
END_TEST

/* A crowd goes in steps, each of them durable: the store is closed between any two. */
START_TEST(a_crowd_goes_in_steps)
{
	struct spec parent = template(1);
	size_t opened_rows = 0, gone = 0, steps = 0;

	put_now(&parent, STORE_RUNNING, 7);
	put_crowd("[1]", AFTER_SUCCEEDED, 10, 1500);
	put_crowd("[1]", AFTER_FAILED, 2000, 1500);
	end_now(&parent, JOB_SUCCEEDED);
	for (; steps < 20; steps++) {
		opened_rows += batch.promote.n_rows;
		gone += batch.n_gone;
		ck_assert_uint_le(batch.promote.n_rows + batch.n_gone, 1000);
		if (batch.next_due_ms == SPEC_NONE)
			break;
		ck_assert_int_eq(batch.next_due_ms, 0);
		done_with_batch();
		reopen_store();
		ck_assert_int_eq(opened.next_due_ms, 0);
		step();
	}
	done_with_batch();
	ck_assert_uint_ge(steps, 4);
	ck_assert_uint_eq(opened_rows, 1500);
	ck_assert_uint_eq(gone, 1500);
	check_place(1509, STORE_READY, JOB_PENDING);
	check_failed(3499, 1, JOB_SUCCEEDED);
	check_clean();
	ck_assert_uint_eq(opened.n_lines, 1);
	ck_assert_int_eq(opened.lines[0].ready, 1500);
}
END_TEST

/* A map waits as one: its parents' ends are counted once, not for each item; and it is put as ready when nothing is left to wait for. */
START_TEST(a_map_goes_in_steps)
{
	struct spec one = template(1), two = template(2), map = child(10, "[1,2]", AFTER_SUCCEEDED);
	size_t len = 2500 * 4, rows = 0;
	char *items = mem_new(len + 1);
	struct store_put *member;

	for (size_t i = 0; i < len; i += 4)
		memcpy(items + i, ",[0]", 4);
	items[0] = '[';
	items[len] = ']';
	one.pure = two.pure = true;
	put_now(&one, STORE_READY, 0);
	put_now(&two, STORE_READY, 0);
	map.args = SPAN_NONE;
	member = put(&map, STORE_WAITING);
	member->items = (struct span){items, len + 1};
	member->count = 2500;
	commit();
	store_batch_clear(&batch);
	reopen_store();
	ck_assert_uint_eq(opened.n_delayed, 1);
	ck_assert_int_eq(opened.delayed[0].delayed, 2500);
	end_now(&one, JOB_SUCCEEDED);
	ck_assert_int_eq(batch.next_due_ms, SPEC_NONE);
	store_batch_clear(&batch);
	end_now(&two, JOB_SUCCEEDED);
	while (batch.next_due_ms != SPEC_NONE || batch.promote.n_rows > 0) {
		rows += batch.promote.n_rows;
		done_with_batch();
		cancel(12, NULL);
		step();
	}
	store_batch_clear(&batch);
	ck_assert_uint_eq(rows, 2500);
	map.id = 5000;
	member = put(&map, STORE_WAITING);
	member->items = (struct span){items, len + 1};
	member->count = 2500;
	commit();
	ck_assert_int_eq(batch.put[0].place, STORE_READY);
	store_batch_clear(&batch);
	check_place(7499, STORE_READY, JOB_PENDING);
	free(items);
	check_clean();
}
END_TEST

/* A chain falls link by link, each for the one before it. */
START_TEST(a_chain_falls)
{
	struct spec parent = template(1), links[40];
	size_t gone = 0;

	put_now(&parent, STORE_RUNNING, 7);
	for (int i = 0; i < 40; i++) {
		snprintf(afters[i], sizeof(afters[i]), "[%d]", i + 1);
		links[i] = child(i + 2, afters[i], AFTER_SUCCEEDED);
		put(&links[i], STORE_WAITING);
	}
	commit();
	store_batch_clear(&batch);
	end_now(&parent, JOB_FAILED);
	for (size_t i = 0; i < batch.n_gone; i++) {
		ck_assert_int_eq(batch.gone[i].id, (int64_t)i + 2);
		gone++;
	}
	ck_assert_uint_eq(gone, 40);
	store_batch_clear(&batch);
	check_failed(2, 1, JOB_FAILED);
	check_failed(41, 40, JOB_FAILED);
	check_clean();
}
END_TEST

/* What was running when the daemon died ends at recovery, and its children hear of it then. */
START_TEST(recovery_tells)
{
	struct spec parent = template(1), waits = child(2, "[1]", AFTER_FAILED);

	put_now(&parent, STORE_RUNNING, 7);
	put_waiting(&waits);
	store_batch_clear(&batch);
	reopen_store();
	ck_assert_int_eq(opened.recovered_lost, 1);
	ck_assert_int_eq(opened.next_due_ms, 0);
	step();
	ck_assert_uint_eq(batch.promote.n_rows, 1);
	done_with_batch();
	check_place(2, STORE_READY, JOB_PENDING);
}
END_TEST

/* ---- retention -------------------------------------------------------------------------------------------- */

static void
expired_set_true(struct store_expired *expired, void *arg)
{
	(void)expired;
	*(bool *)arg = true;
}

static struct store_expired
ask_expired(int64_t at_ms)
{
	struct store_expired expired = {.now_ms = at_ms, .max = 100, .done = expired_set_true};
	bool done = false;

	expired.arg = &done;
	store_sqlite.expired(store, &expired);
	PUMP(loop, done);
	ck_assert_int_eq(expired.error, 0);
	return expired;
}

static void
free_expired(struct store_expired *expired)
{
	free(expired->ids);
	free(expired->has_output);
	free(expired->spared);
}

/* A parent stays while one waits, also one that had ended before; to forget it puts it off. */
START_TEST(parents_are_spared)
{
	struct spec specs[12], slow = template(20), waits = child(21, "[3,20]", AFTER_SUCCEEDED);
	struct store_expired expired;

	for (int i = 0; i < 12; i++) {
		specs[i] = template(i + 1);
		put(&specs[i], STORE_DONE)->end = (struct store_end){.state = JOB_SUCCEEDED, .until_ms = now_ms + 10};
	}
	put(&slow, STORE_RUNNING)->token = 7;
	put(&waits, STORE_WAITING);
	commit();
	store_batch_clear(&batch);
	expired = ask_expired(now_ms + 10);
	ck_assert_uint_eq(expired.n, 11);
	ck_assert_uint_eq(expired.n_spared, 1);
	ck_assert_int_eq(expired.spared[0], 3);
	free_expired(&expired);
	for (int i = 0; i < 12; i++)
		*MEMBER(forget) = i + 1;
	commit();
	store_batch_clear(&batch);
	check_place(3, STORE_DONE, JOB_SUCCEEDED);
	ck_assert_ptr_null(read_job(2));
	store_read_done(&answer);
	expired = ask_expired(now_ms + 10);
	ck_assert_uint_eq(expired.n + expired.n_spared, 0);
	ck_assert_int_ge(expired.next_ms, now_ms + HOUR_MS);
	free_expired(&expired);

	end_now(&slow, JOB_SUCCEEDED);
	done_with_batch();
	forget_now(3);
	ck_assert_ptr_null(read_job(3));
	store_read_done(&answer);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_after");
	TCase *tcase = tcase_create("after");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_gate_opens_with_the_last_parent);
	tcase_add_test(tcase, policies);
	tcase_add_test(tcase, every_end_is_told);
	tcase_add_test(tcase, parents_in_the_same_batch);
	tcase_add_test(tcase, comes_while_the_end_is_told);
	tcase_add_test(tcase, unknown_parents);
	tcase_add_test(tcase, the_last_takes_the_gate_along);
	tcase_add_bulk_test(tcase, comes_amid_a_crowd);
	tcase_add_bulk_test(tcase, a_crowd_goes_in_steps);
	tcase_add_bulk_test(tcase, a_map_goes_in_steps);
	tcase_add_test(tcase, a_chain_falls);
	tcase_add_test(tcase, recovery_tells);
	tcase_add_test(tcase, parents_are_spared);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
