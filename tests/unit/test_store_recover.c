/*
 * test_store_recover: what the store makes of what it finds: jobs that ran when it was killed, and what waited.
 */
#include <sys/wait.h>

#include "tests/unit/bulk.h"
#include "tests/unit/store_rig.h"

/* ---- killed ----------------------------------------------------------------------------------------------- */

/* Runs work() on a store of its own in a child, until it is killed at once behind it, or (work() never returns) after n
 * bytes came up its pipe. */
static void
kill_amid(void (*work)(int pipe_fd), int n)
{
	int fds[2], status;
	pid_t child;
	char byte;

	close_store();
	loop_free(loop);
	ck_assert_int_eq(pipe(fds), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		close(fds[0]);
		loop = loop_new();
		open_store();
		work(fds[1]);
		raise(SIGKILL);
	}
	close(fds[1]);
	for (int i = 0; i < n; i++)
		ck_assert_msg(read(fds[0], &byte, 1) == 1, "the child failed");
	if (n > 0)
		kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child failed");
	close(fds[0]);
	loop = loop_new();
	open_store();
}

static struct spec running[6];

static void
work_leave_running(int pipe_fd)
{
	(void)pipe_fd;
	for (int i = 0; i < 6; i++) {
		struct store_put *member;

		running[i] = template(i + 1);
		running[i].max_attempts = 3;
		running[i].idempotent = i == 1 || i == 2 || i == 4;
		running[i].retain_ms = i == 5 ? 77 : SPEC_NONE;
		running[i].pool = i == 4 ? POOL_WAITS : POOL_CPU;
		member = put(&running[i], STORE_RUNNING);
		member->token = (uint64_t)i;
		member->end.attempt = i == 2 ? 3 : 2;
		member->end.worker = 99;
		member->end.started_ms = now_ms - 1;
	}
	commit();
	store_batch_clear(&batch);
	cancel(5, NULL);
	commit();
}

/*
 * 1 may not run again; 2 may, and once more; 3 has had its attempts; 4 may not; 5 was to be cancelled; 6 may not and
 * has a retention of its own.
 */
START_TEST(what_was_running)
{
	uint64_t incarnation = opened.incarnation;
	const struct store_row *row;

	kill_amid(work_leave_running, 0);
	ck_assert_uint_eq(opened.incarnation, incarnation + 2);
	ck_assert_int_eq(opened.recovered_lost, 4);
	ck_assert_int_eq(opened.recovered_again, 1);
	ck_assert_int_eq(opened.recovered_cancelled, 1);
	ck_assert_int_eq(opened.next_id, 7);
	ck_assert_int_eq(opened.next_due_ms, now_ms + 2000);
	ck_assert_uint_eq(opened.n_delayed, 1);
	ck_assert_int_eq(opened.delayed[0].delayed, 1);

	row = read_job(1);
	ck_assert_int_eq(row->state, JOB_FAILED);
	ck_assert_int_eq(row->attempt, 2);
	ck_assert_int_eq(row->started_ms, now_ms - 1);
	ck_assert_int_eq(row->finished_ms, now_ms);
	ck_assert_int_gt(row->seq, 0);
	ck_assert(span_is(row->json, "{\"type\":\"Lost\",\"attempt\":2}"));
	store_read_done(&answer);
	row = read_job(2);
	ck_assert_int_eq(row->place, STORE_DELAYED);
	ck_assert_int_eq(row->attempt, 2);
	ck_assert_int_eq(row->run_at_ms, now_ms + 2000);
	store_read_done(&answer);
	row = read_job(3);
	ck_assert(span_is(row->json, "{\"type\":\"Lost\",\"attempt\":3}"));
	store_read_done(&answer);
	row = read_job(5);
	ck_assert_int_eq(row->state, JOB_CANCELLED);
	ck_assert(span_is(row->json, "{\"by\":\"me\",\"attempt\":2}"));
	store_read_done(&answer);

	/* An attempt of before is refused, and all is settled for the next start. */
	finish(&running[1], 1);
	commit();
	ck_assert_int_eq(batch.finish[0].answer, STORE_FENCED);
	store_batch_clear(&batch);
	reopen_store();
	ck_assert_int_eq(opened.recovered_lost + opened.recovered_again + opened.recovered_cancelled, 0);
	ck_assert_int_eq(opened.next_due_ms, now_ms + 2000);
}
END_TEST

/* Each turn puts two jobs, one ready and one running, ends an earlier one, and says so once it is committed. */
static void
work_for_ever(int pipe_fd)
{
	for (int64_t id = 1;; id += 2) {
		struct spec ready = template(id), run = template(id + 1), ended = template(id - 1);

		put(&ready, STORE_READY);
		put(&run, STORE_RUNNING)->token = (uint64_t)id + 1;
		if (id > 1)
			finish(&ended, (uint64_t)id - 1);
		commit();
		store_batch_clear(&batch);
		if (write(pipe_fd, "", 1) != 1)
			_exit(1);
	}
}

START_TEST(what_was_told_is_there)
{
	struct store_read read = {.ranges = &everything, .n_ranges = 1, .max_rows = SIZE_MAX, .max_bytes = SIZE_MAX};
	int64_t n = 0;
	int told = 20 + 37 * _i;
	bool last_failed = false;

	kill_amid(work_for_ever, told);
	/* The last it told, or those it committed before it was killed. */
	ck_assert_int_ge(opened.next_id, 2 * told + 1);
	ck_assert_int_eq(opened.recovered_lost, 1);
	do { /* a slow machine cuts it into pages */
		answer = read;
		read_more();
		for (size_t i = 0; i < answer.n_rows; i++, n++)
			ck_assert_int_eq(answer.rows[i].place, n % 2 == 0 ? STORE_READY : STORE_DONE);
		if (answer.n_rows > 0)
			last_failed = answer.rows[answer.n_rows - 1].state == JOB_FAILED;
		read.cursor = answer.next;
		store_read_done(&answer);
	} while (answer.more);
	ck_assert_int_eq(n, opened.next_id - 1);
	ck_assert(last_failed);
	ck_assert_uint_eq(opened.n_lines, 1);
	ck_assert_int_eq(opened.lines[0].ready, (opened.next_id - 1) / 2);
}
END_TEST

#define MANY 20000

static void
work_leave_many(int pipe_fd)
{
	struct spec *specs = mem_new_array(MANY, sizeof(*specs));

	(void)pipe_fd;
	for (int i = 0; i < MANY; i++) {
		specs[i] = template(i + 1);
		specs[i].max_attempts = 2;
		specs[i].idempotent = i % 2 == 0;
		put(&specs[i], STORE_RUNNING)->end.attempt = 1;
	}
	commit();
}

START_TEST(many_were_running)
{
	kill_amid(work_leave_many, 0);
	ck_assert_int_eq(opened.recovered_lost, MANY / 2);
	ck_assert_int_eq(opened.recovered_again, MANY / 2);
}
END_TEST

/* ---- what is told at the start ---------------------------------------------------------------------------- */

START_TEST(lines_and_counts)
{
	static const char *const queues[] = {"a", "a", "b", "a", "b", "b"},
				 *const owners[] = {"uid:1", "uid:1", "uid:1", "uid:2", "uid:2", "uid:2"};
	int64_t ready = 0, delayed = 0;
	struct spec specs[12];

	for (int i = 0; i < 12; i++) {
		specs[i] = template(i + 1);
		specs[i].queue = queues[i % 6];
		specs[i].owner = owners[i % 6];
		specs[i].pool = i % 2 == 0 ? POOL_CPU : POOL_WAITS;
		specs[i].not_before_ms = now_ms + 100 - i;
		put(&specs[i], i < 6 ? STORE_READY : STORE_DELAYED);
	}
	commit();
	reopen_store();
	ck_assert_uint_eq(opened.n_lines, 6);
	ck_assert_uint_eq(opened.n_delayed, 4);
	for (size_t i = 0; i < opened.n_lines; i++)
		ready += opened.lines[i].ready;
	for (size_t i = 0; i < opened.n_delayed; i++) {
		const struct store_delayed_count *count = &opened.delayed[i];

		delayed += count->delayed;
		ck_assert_int_eq(count->delayed,
		    strcmp(count->queue, "a") == 0 && strcmp(count->owner, "uid:2") == 0       ? 1
			: strcmp(count->queue, "b") == 0 && strcmp(count->owner, "uid:1") == 0 ? 1
											       : 2);
	}
	ck_assert_int_eq(ready, 6);
	ck_assert_int_eq(delayed, 6);
	ck_assert_int_eq(opened.next_due_ms, now_ms + 89);
}
END_TEST

static void
set_queue(const char *queue, int paused, int64_t limit)
{
	struct store_setting *member = MEMBER(setting);

	*member = (struct store_setting){.queue = queue, .limit = limit};
	member->sets_paused = paused >= 0;
	member->paused = paused > 0;
	member->sets_limit = limit != 0;
}

/* In the order given, each leaving alone what it does not set; a queue that is set to nothing again is not told. */
START_TEST(settings_of_queues)
{
	set_queue("a", 1, 0);
	set_queue("b", -1, 3);
	commit();
	store_batch_clear(&batch);
	ck_assert(store_batch_empty(&batch));
	set_queue("a", -1, 7);
	set_queue("b", -1, SPEC_NONE);
	set_queue("c", 1, 0);
	ck_assert(!store_batch_empty(&batch));
	set_queue("c", 0, 0);
	set_queue("d", 0, 0);
	set_queue("d", -1, 1);
	set_queue("d", -1, 2);
	commit();
	reopen_store();
	ck_assert_uint_eq(opened.n_queues, 2);
	ck_assert_str_eq(opened.queues[0].queue, "a");
	ck_assert(opened.queues[0].paused);
	ck_assert_int_eq(opened.queues[0].limit, 7);
	ck_assert_str_eq(opened.queues[1].queue, "d");
	ck_assert(!opened.queues[1].paused);
	ck_assert_int_eq(opened.queues[1].limit, 2);
	store_batch_clear(&batch);
	set_queue("a", 0, 0);
	commit();
	reopen_store();
	ck_assert_uint_eq(opened.n_queues, 2);
	ck_assert(!opened.queues[0].paused);
	ck_assert_int_eq(opened.queues[0].limit, 7);
}
END_TEST

/* Neither a refused submission's id nor a forgotten job's comes again. */
START_TEST(ids_are_never_used_again)
{
	struct spec one = template(5), again = template(9);

	one.key = again.key = "k";
	put_now(&one, STORE_DONE, 0);
	put(&again, STORE_DONE);
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_DUPLICATE);
	store_batch_clear(&batch);
	reopen_store();
	ck_assert_int_eq(opened.next_id, 10);
	one = template(20);
	put_now(&one, STORE_DONE, 0);
	batch.high_water = 20;
	forget_now(20);
	reopen_store();
	ck_assert_int_eq(opened.next_id, 21);
}
END_TEST

/* Names that no job has any more go at a start, once they are many; those that are needed stay, by their old numbers.
 */
START_TEST(names_do_not_gather)
{
	struct spec *specs = mem_new_array(5000, sizeof(*specs));
	char(*queues)[16] = mem_new_array(5000, sizeof(*queues));
	const struct store_row *row;

	for (int i = 0; i < 5000; i++) {
		specs[i] = template(i + 1);
		snprintf(queues[i], sizeof(queues[i]), "q%d", i);
		specs[i].queue = queues[i];
		put(&specs[i], STORE_DONE)->end = (struct store_end){.state = JOB_SUCCEEDED, .until_ms = now_ms};
	}
	commit();
	store_batch_clear(&batch);
	for (int64_t id = 1; id < 5000; id++)
		*MEMBER(forget) = id;
	commit();
	store_batch_clear(&batch);
	close_store();
	ck_assert_int_gt(ask_file("SELECT count(*) FROM name"), 5000);
	open_store();
	row = read_job(5000);
	ck_assert_str_eq(row->spec.queue, "q4999");
	store_read_done(&answer);
	specs[0] = template(5001);
	put_now(&specs[0], STORE_READY, 0);
	close_store();
	ck_assert_int_eq(ask_file("SELECT count(*) FROM name"), 4);
	open_store();
	row = read_job(5001);
	ck_assert_str_eq(row->spec.queue, "default");
	store_read_done(&answer);
	free(specs);
	free(queues);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_recover");
	TCase *tests = tcase_create("store_recover");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, what_was_running);
	tcase_add_loop_test(tests, what_was_told_is_there, 0, 5);
	tcase_add_bulk_test(tests, many_were_running);
	tcase_add_test(tests, lines_and_counts);
	tcase_add_test(tests, settings_of_queues);
	tcase_add_test(tests, ids_are_never_used_again);
	tcase_add_bulk_test(tests, names_do_not_gather);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
