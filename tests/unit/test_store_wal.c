/*
 * test_store_wal: what a daemon that was killed has left, when its log was damaged, cut or taken away since: what a power cut can do is
 * forgiven, what it cannot do is told, and what the message says to do helps.
 */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/store_rig.h"

#define COMMITS	 20
#define FRAME	 (24 + 4096)
#define HEADER	 32

static char log_path[80], guard_path[80];
static char *image; /* the log as the killed daemon left it … */
static size_t commits[COMMITS + 1]; /* … and its length after each commit */

static void
run(char *command)
{
	ck_assert_int_eq(system(command), 0);
	free(command);
}

static size_t
log_length(void)
{
	struct stat st;

	return stat(log_path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void
limit_files(rlim_t bytes)
{
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}), 0);
}

/* The files as the killed daemon left them. */
static void
bring_back(void)
{
	run(mem_format("rm -f %s/db*; cp -p %s/kept/* %s", folder, folder, folder));
}

/* All that is in the log now; malloc'ed. */
static char *
read_log(void)
{
	FILE *file = fopen(log_path, "r");
	char *bytes = mem_new(log_length());

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fread(bytes, 1, log_length(), file), log_length());
	fclose(file);
	return bytes;
}

/* In one commit. */
static void
put_many(int64_t first, int64_t n)
{
	struct spec *specs = mem_new_array((size_t)n, sizeof(*specs));

	for (int64_t i = 0; i < n; i++) {
		specs[i] = template(first + i);
		put(&specs[i], STORE_READY);
	}
	if (n > 0) {
		commit();
		store_batch_clear(&batch);
	}
	free(specs);
}

/* A daemon that commits a job at a time, then many at once if that is wanted, and is killed. */
static void
make_killed(const char *how, int64_t many)
{
	int status, fds[2];
	pid_t pid;

	setup();
	close_store();
	loop_free(loop);
	snprintf(log_path, sizeof(log_path), "%s-wal", path);
	snprintf(guard_path, sizeof(guard_path), "%s-open", path);
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		loop = loop_new();
		synchronous = how;
		open_store();
		commits[0] = log_length();
		for (int i = 1; i <= COMMITS; i++) {
			struct spec spec = template(i);

			put_now(&spec, STORE_READY, 0);
			commits[i] = log_length();
		}
		put_many(COMMITS + 1, many);
		_exit(write(fds[1], commits, sizeof(commits)) != sizeof(commits));
	}
	loop = loop_new();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(read(fds[0], commits, sizeof(commits)), sizeof(commits));
	close(fds[0]);
	close(fds[1]);
	run(mem_format("mkdir %s/kept && cp -p %s/db* %s/kept", folder, folder, folder));
	ck_assert_uint_gt(commits[1], commits[0]);
	ck_assert_int_eq(commits[COMMITS] == log_length(), many == 0);
	image = read_log();
}

static void
setup_killed(void)
{
	make_killed("full", 0);
	synchronous = "full";
}

static void
teardown_killed(void)
{
	free(image);
	teardown();
}

/* The files with another log. */
static void
write_log(const char *bytes, size_t len)
{
	FILE *file;

	bring_back();
	file = fopen(log_path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

/* The log with len bytes at that place turned over. */
static void
damage_log(size_t at, size_t len)
{
	char *bytes = mem_copy(image, commits[COMMITS]);

	for (size_t i = 0; i < len; i++)
		bytes[at + i] = (char)~bytes[at + i];
	write_log(bytes, commits[COMMITS]);
	free(bytes);
}

static void
check_opens(int64_t jobs)
{
	open_store();
	ck_assert_int_eq(opened.next_id, jobs + 1);
	close_store();
}

/* The caller frees the reason. */
static char *
check_refused(const char *says)
{
	char *reason = NULL;

	ck_assert_int_eq(open_any(&reason), STORE_OPEN_CORRUPT);
	store = NULL;
	ck_assert_msg(strstr(reason, says) != NULL, "%s", reason);
	return reason;
}

START_TEST(what_was_killed_is_whole)
{
	check_opens(COMMITS);
	ck_assert_int_ne(access(guard_path, F_OK), 0);
}
END_TEST

/* Whatever of the last commit came to the disk. */
START_TEST(a_torn_end_is_forgiven)
{
	for (size_t at = commits[COMMITS - 1]; at < commits[COMMITS]; at += FRAME) {
		damage_log(at, FRAME);
		check_opens(COMMITS - 1);
		damage_log(at + 24, 4096);
		check_opens(COMMITS - 1);
		write_log(image, at + FRAME / 2);
		check_opens(COMMITS - 1);
	}
}
END_TEST

/*
 * Anywhere before, and the message's own way to go on. Of the last frame of the commit before the last, its salts and what says that it
 * ends a commit are left out: without them nobody can tell.
 */
START_TEST(damage_in_the_midst_is_told)
{
	static const size_t places[] = {16, 23, 24, 2000, FRAME - 1, 0, 4, 8, 12};
	char *reason, *command;

	for (size_t at = HEADER, i = 0; at < commits[COMMITS - 1]; at += FRAME, i++) {
		size_t n = at + FRAME < commits[COMMITS - 1] ? sizeof(places) / sizeof(places[0]) : 5;

		damage_log(at + places[i % n], 1);
		reason = check_refused("is damaged from byte");
		command = strstr(reason, at == HEADER ? "rm " : "truncate ");
		ck_assert_ptr_nonnull(command);
		command[strlen(command) - 1] = '\0'; /* the bracket */
		ck_assert_int_eq(system(command), 0);
		ck_assert_uint_eq(log_length(), at == HEADER ? 0 : at);
		free(reason);
		open_store();
		ck_assert_int_lt(opened.next_id, COMMITS + 1);
		close_store();
	}
}
END_TEST

START_TEST(a_damaged_header_is_told)
{
	for (size_t at = 0; at < HEADER; at++) {
		damage_log(at, 1);
		free(check_refused("is damaged from byte 0 on"));
	}
	for (size_t len = 512; len <= 8192; len *= 2) { /* sectors */
		char *bytes = mem_copy(image, commits[COMMITS]);

		memset(bytes, 0, len);
		write_log(bytes, commits[COMMITS]);
		free(bytes);
		free(check_refused("is damaged from byte 0 on"));
	}
}
END_TEST

/* Where commits are not synced, a power cut may tear more than one; also when they are from now on. */
START_TEST(without_syncs_the_midst_may_be_torn)
{
	free(image);
	teardown();
	make_killed("normal", 0);
	damage_log(commits[2], FRAME);
	synchronous = "full";
	check_opens(2);
}
END_TEST

/* What was written before the log was begun anew is still there behind its end. */
START_TEST(an_older_log_behind_is_none)
{
	size_t before = 0;
	int64_t id = COMMITS;

	open_store();
	for (; log_length() != before; id++) {
		ck_assert_int_lt(id, 10000);
		before = log_length();
		put_many(id + 1, 1);
	}
	run(mem_format("cp -p %s/db* %s/kept", folder, folder));
	close_store();
	bring_back();
	check_opens(id);
}
END_TEST

/*
 * A large commit was torn, and small ones have been written over the beginning of what it has left. Now the last of them is torn: each of its frames is
 * as it was before.
 */
START_TEST(what_a_torn_commit_has_left_is_none)
{
	char *before, *after, *torn;
	size_t len;
	int frames = 0;

	free(image);
	teardown();
	make_killed("full", 3000);
	len = log_length() - FRAME;
	ck_assert_uint_gt(len, commits[COMMITS] + 20 * (size_t)FRAME);
	write_log(image, len);
	synchronous = "full";
	open_store();
	put_many(COMMITS + 1, 1);
	put_many(COMMITS + 2, 1);
	before = read_log();
	put_many(COMMITS + 3, 1);
	ck_assert_uint_eq(log_length(), len);
	after = read_log();
	run(mem_format("cp -p %s/db* %s/kept", folder, folder));
	close_store();
	for (size_t at = HEADER; at < len; at += FRAME) {
		if (memcmp(before + at, after + at, FRAME) == 0)
			continue;
		torn = mem_copy(after, len);
		memcpy(torn + at, before + at, FRAME);
		write_log(torn, len);
		free(torn);
		check_opens(COMMITS + 2);
		frames++;
	}
	ck_assert_int_gt(frames, 1);
	write_log(after, len);
	check_opens(COMMITS + 3);
	free(before);
	free(after);
}
END_TEST

/* A full disk, or the like: the log stays, and so does what says that it has to be there. */
START_TEST(a_log_that_stays_is_guarded)
{
	open_store();
	close_store();
	ck_assert_int_ne(access(guard_path, F_OK), 0);
	bring_back();
	open_store();
	ck_assert_int_eq(access(guard_path, F_OK), 0);
	put_many(COMMITS + 1, 1);
	limit_files(1);
	close_store();
	limit_files(RLIM_INFINITY);
	ck_assert_int_eq(access(guard_path, F_OK), 0);
	ck_assert_uint_gt(log_length(), 0);
	check_opens(COMMITS + 1);
}
END_TEST

START_TEST(a_guard_alone_is_told)
{
	run(mem_format("rm %s/db %s/db-wal", folder, folder));
	free(check_refused("db-open is, which belongs to it"));
	ck_assert_int_eq(unlink(guard_path), 0);
	open_store();
	ck_assert_int_eq(opened.next_id, 1);
	close_store();
	ck_assert_int_ne(access(guard_path, F_OK), 0);
}
END_TEST

/* Of the database as it was before this life of the daemon, with the log of this life beside it; and the message's own way to go on. */
START_TEST(an_older_copy_is_told)
{
	char *reason, *command;

	bring_back();
	check_opens(COMMITS);
	run(mem_format("mkdir %s/copy && cp -p %s/db %s/copy", folder, folder, folder)); /* at an orderly end */
	open_store();
	put_many(COMMITS + 1, 5);
	run(mem_format("cp -p %s/db* %s/kept", folder, folder));
	close_store();
	bring_back();
	check_opens(COMMITS + 5);
	bring_back();
	run(mem_format("cp -p %s/copy/db %s", folder, folder));
	reason = check_refused("is an older copy");
	command = strstr(reason, "rm ");
	ck_assert_ptr_nonnull(command);
	command[strlen(command) - 1] = '\0';
	ck_assert_int_eq(system(command), 0);
	free(reason);
	check_opens(COMMITS);
}
END_TEST

START_TEST(a_log_that_is_gone_is_told)
{
	char *reason;

	for (int len = 2 * HEADER; len >= 0; len -= HEADER) { /* or cut to nothing, as by a look with another program */
		write_log(image, (size_t)len);
		free(check_refused("is gone"));
	}
	ck_assert_int_eq(unlink(log_path), 0);
	reason = check_refused("is gone");
	ck_assert_ptr_nonnull(strstr(reason, guard_path));
	free(reason);
	ck_assert_int_eq(unlink(guard_path), 0);
	open_store();
	ck_assert_int_lt(opened.next_id, COMMITS + 1);
	close_store();
	open_store(); /* and from then on all is as ever */
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_wal");
	TCase *tests = tcase_create("store_wal");
	SRunner *runner;
	int failed;

	warm_up();
	tcase_set_timeout(tests, 240);
	tcase_add_checked_fixture(tests, setup_killed, teardown_killed);
	tcase_add_test(tests, what_was_killed_is_whole);
	tcase_add_test(tests, a_torn_end_is_forgiven);
	tcase_add_test(tests, damage_in_the_midst_is_told);
	tcase_add_test(tests, a_damaged_header_is_told);
	tcase_add_test(tests, without_syncs_the_midst_may_be_torn);
	tcase_add_test(tests, an_older_log_behind_is_none);
	tcase_add_test(tests, what_a_torn_commit_has_left_is_none);
	tcase_add_test(tests, a_log_that_stays_is_guarded);
	tcase_add_test(tests, a_guard_alone_is_told);
	tcase_add_test(tests, an_older_copy_is_told);
	tcase_add_test(tests, a_log_that_is_gone_is_told);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
