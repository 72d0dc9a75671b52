/*
 * test_store_recover: what the store makes of what it finds: jobs that ran when it was killed, and files that are
 * foreign, newer or damaged.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

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
	ck_assert(span_is(row->json, "{\"by\":\"me\"}"));
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
	int told = 20 + 37 * _i;

	kill_amid(work_for_ever, told);
	/* The last it told, or those it committed before it was killed. */
	ck_assert_int_ge(opened.next_id, 2 * told + 1);
	ck_assert_int_eq(opened.recovered_lost, 1);
	answer = (struct store_read){.ranges = &everything, .n_ranges = 1, .max_rows = SIZE_MAX, .max_bytes = SIZE_MAX};
	read_more();
	ck_assert(!answer.more);
	ck_assert_int_eq((int64_t)answer.n_rows, opened.next_id - 1);
	for (size_t i = 0; i < answer.n_rows; i++)
		ck_assert_int_eq(answer.rows[i].place, i % 2 == 0 ? STORE_READY : STORE_DONE);
	ck_assert_int_eq(answer.rows[answer.n_rows - 1].state, JOB_FAILED);
	store_read_done(&answer);
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

/* ---- the file --------------------------------------------------------------------------------------------- */

START_TEST(the_file_is_private)
{
	char name[80], link[80], target[128];
	struct stat st;

	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s%s", path, i == 0 ? "" : "-wal");
		ck_assert_int_eq(stat(name, &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, 0600);
	}
	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n > 0 && strncmp(target, folder, strlen(folder)) == 0)
			ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	}
	snprintf(name, sizeof(name), "%s.new", path);
	ck_assert_int_ne(stat(name, &st), 0);
}
END_TEST

static char *
slurp(size_t *ret_len)
{
	FILE *file = fopen(path, "r");
	char *bytes;
	long len;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
	len = ftell(file);
	ck_assert_int_ge(len, 0);
	rewind(file);
	bytes = mem_new((size_t)len + 1);
	ck_assert_uint_eq(fread(bytes, 1, (size_t)len, file), (size_t)len);
	fclose(file);
	*ret_len = (size_t)len;
	return bytes;
}

static void
spill(const char *bytes, size_t len)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

/* It is refused as corrupt with a reason that names the file, and as it was afterwards. */
static void
check_refused(const char *why)
{
	size_t before_len, after_len;
	char *before = slurp(&before_len), *after, *reason = NULL;

	ck_assert_int_eq(open_any(&reason), STORE_OPEN_CORRUPT);
	ck_assert_ptr_nonnull(reason);
	ck_assert_ptr_nonnull(strstr(reason, path));
	ck_assert_msg(strstr(reason, why) != NULL, "%s", reason);
	free(reason);
	store = NULL;
	after = slurp(&after_len);
	ck_assert_uint_eq(before_len, after_len);
	ck_assert_int_eq(memcmp(before, after, before_len), 0);
	free(before);
	free(after);
}

static void
put_some(void)
{
	struct spec specs[200];

	for (int i = 0; i < 200; i++) {
		specs[i] = template(i + 1);
		put(&specs[i], i % 2 == 0 ? STORE_READY : STORE_DONE)->end.state = JOB_FAILED;
	}
	commit();
	store_batch_clear(&batch);
}

START_TEST(a_newer_file_is_refused)
{
	close_store();
	ask_file("PRAGMA user_version = 2");
	check_refused("newer");
	ask_file("PRAGMA user_version = 1");
	open_store();
}
END_TEST

START_TEST(a_foreign_file_is_refused)
{
	close_store();
	ask_file("PRAGMA application_id = 17");
	check_refused("another program");
	ask_file("PRAGMA application_id = 0");
	check_refused("another program");
}
END_TEST

START_TEST(a_file_without_its_tables_is_refused)
{
	close_store();
	ask_file("DROP TABLE delayed");
	check_refused("tables of its version");
}
END_TEST

START_TEST(no_database_is_refused)
{
	close_store();
	spill("", 0);
	check_refused("empty");
	spill("SQLite format 3", 16);
	check_refused("too short");
	for (int i = 0; i < 100; i++) {
		char garbage[5000];

		for (size_t k = 0; k < sizeof(garbage); k++)
			garbage[k] = (char)rand();
		spill(garbage, sizeof(garbage));
		check_refused("no SQLite database");
	}
}
END_TEST

START_TEST(a_truncated_file_is_refused)
{
	size_t len;
	char *bytes;

	put_some();
	close_store();
	bytes = slurp(&len);
	for (size_t cut = 200; cut < len; cut += 4096 + 333) {
		spill(bytes, cut);
		check_refused("");
	}
	spill(bytes, len);
	open_store();
	free(bytes);
}
END_TEST

/* A page of garbage anywhere: refused, or (a page that is not in use) opened; never a crash, and what is read is an
 * answer or an error. */
START_TEST(a_damaged_page_is_no_crash)
{
	int refused = 0;
	size_t len;
	char *bytes;

	put_some();
	close_store();
	bytes = slurp(&len);
	for (size_t page = 0; page < len / 4096; page++) {
		char *copy = mem_copy(bytes, len), *reason = NULL;

		for (size_t i = page == 0 ? 100 : 0; i < 4096; i++)
			copy[page * 4096 + i] = (char)rand();
		spill(copy, len);
		free(copy);
		if (open_any(&reason) == STORE_OPEN_OK) {
			bool done = false;

			answer = (struct store_read){.ranges = &everything,
			    .n_ranges = 1,
			    .max_rows = SIZE_MAX,
			    .max_bytes = SIZE_MAX,
			    .done = read_set_true,
			    .arg = &done};
			store_sqlite.read(store, &answer);
			PUMP(loop, done);
			store_read_done(&answer);
			close_store();
		} else {
			store = NULL;
			refused++;
		}
		free(reason);
	}
	ck_assert_int_gt(refused, 5);
	spill(bytes, len);
	open_store();
	free(bytes);
}
END_TEST

START_TEST(a_log_alone_is_refused)
{
	char log[80], moved[80], *reason = NULL;

	put_some();
	snprintf(log, sizeof(log), "%s-wal", path);
	snprintf(moved, sizeof(moved), "%s-kept", path);
	ck_assert_int_eq(link(log, moved), 0);
	close_store();
	ck_assert_int_eq(rename(moved, log), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(open_any(&reason), STORE_OPEN_CORRUPT);
	ck_assert_ptr_nonnull(strstr(reason, "log"));
	free(reason);
	store = NULL;
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(access(log, F_OK), 0);
}
END_TEST

START_TEST(what_cannot_be_opened_has_failed)
{
	char kept[64], *reason = NULL;

	close_store();
	strcpy(kept, path);
	snprintf(path, sizeof(path), "%s/none/db", folder);
	ck_assert_int_eq(open_any(&reason), STORE_OPEN_FAILED);
	ck_assert_ptr_nonnull(strstr(reason, "No such file"));
	free(reason);
	strcpy(path, kept);
	store = NULL;
}
END_TEST

/* Something half made, of a start that was killed, is in nobody's way. */
START_TEST(a_half_made_file_is_made_anew)
{
	char half[80];
	FILE *file;

	close_store();
	ck_assert_int_eq(unlink(path), 0);
	snprintf(half, sizeof(half), "%s.new", path);
	file = fopen(half, "w");
	ck_assert_ptr_nonnull(file);
	fputs("half", file);
	fclose(file);
	open_store();
	ck_assert_int_eq(opened.next_id, 1);
	ck_assert_uint_eq(opened.incarnation, 1);
	ck_assert_int_ne(access(half, F_OK), 0);
}
END_TEST

START_TEST(synchronous_is_one_of_three)
{
	static const char *const words[] = {"off", "full", "normal"};
	char *reason = NULL;

	for (int i = 0; i < 3; i++) {
		struct spec spec = template(i + 1);

		synchronous = words[i];
		reopen_store();
		put_now(&spec, STORE_READY, 0);
	}
	close_store();
	synchronous = "extra";
	ck_assert_int_eq(open_any(&reason), STORE_OPEN_FAILED);
	free(reason);
	store = NULL;
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_recover");
	TCase *tests = tcase_create("store_recover");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, what_was_running);
	tcase_add_loop_test(tests, what_was_told_is_there, 0, 5);
	tcase_add_test(tests, many_were_running);
	tcase_add_test(tests, lines_and_counts);
	tcase_add_test(tests, ids_are_never_used_again);
	tcase_add_test(tests, names_do_not_gather);
	tcase_add_test(tests, the_file_is_private);
	tcase_add_test(tests, a_newer_file_is_refused);
	tcase_add_test(tests, a_foreign_file_is_refused);
	tcase_add_test(tests, a_file_without_its_tables_is_refused);
	tcase_add_test(tests, no_database_is_refused);
	tcase_add_test(tests, a_truncated_file_is_refused);
	tcase_add_test(tests, a_damaged_page_is_no_crash);
	tcase_add_test(tests, a_log_alone_is_refused);
	tcase_add_test(tests, what_cannot_be_opened_has_failed);
	tcase_add_test(tests, a_half_made_file_is_made_anew);
	tcase_add_test(tests, synchronous_is_one_of_three);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
