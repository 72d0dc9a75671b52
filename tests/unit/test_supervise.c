/*
 * test_supervise: real commands under a supervisor: what they see, what comes of them, and that nothing of them is
 * left.
 */
#include "daemon/supervise.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/capture.h"
#include "daemon/mem.h"
#include "daemon/procfs.h"
#include "daemon/proctree.h"
#include "tests/unit/tree.h"

static char folder[TREE_FOLDER];
static char mark[sizeof(folder) + 16];
static struct supervise_config config;
static struct supervise_hooks hooks;
static struct outcome outcome;
static int cancel_pipe[2];
static int64_t wish_grace_ms;
static enum supervise_wish wish;
static int64_t heard_stdout;
static pid_t heard_leader;
static struct progress heard_progress;
static int n_progress;
static struct spec_limits limits;

static enum supervise_wish
on_readable(void *arg, int64_t *ret_grace_ms)
{
	char byte;

	(void)arg;
	ck_assert_int_eq(read(cancel_pipe[0], &byte, 1), 1);
	*ret_grace_ms = wish_grace_ms;
	return wish;
}

static void
on_started(void *arg, pid_t leader)
{
	(void)arg;
	heard_leader = leader;
}

static void
on_output(void *arg, int64_t stdout_bytes, int64_t stderr_bytes)
{
	(void)arg;
	(void)stderr_bytes;
	heard_stdout = stdout_bytes;
}

/* A command that has said something is to be ended. */
static void
on_output_cancel(void *arg, int64_t stdout_bytes, int64_t stderr_bytes)
{
	on_output(arg, stdout_bytes, stderr_bytes);
	ck_assert_int_eq(write(cancel_pipe[1], "x", 1), 1);
}

static void
on_progress(void *arg, const struct progress *progress)
{
	(void)arg;
	heard_progress = *progress;
	n_progress++;
}

static void
setup(void)
{
	ck_assert_int_eq(proctree_adopt(), 0);
	tree_make_folder(folder);
	snprintf(mark, sizeof(mark), "FUTURED_TREE=%s", folder);
	ck_assert_int_eq(pipe2(cancel_pipe, O_CLOEXEC), 0);
	config = (struct supervise_config){
	    .output_dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    .leaders_fd = -1,
	    .cgroup = -1,
	    .max_output = 1 << 20,
	    .mark = mark,
	    .grace_ms = tree_patience_ms(20000),
	};
	hooks = (struct supervise_hooks){.cancel_fd = cancel_pipe[0],
	    .on_readable = on_readable,
	    .on_started = on_started,
	    .on_output = on_output,
	    .on_progress = on_progress};
	limits = (struct spec_limits){0};
	n_progress = 0;
	outcome = (struct outcome){0};
}

static bool
any_marked(void)
{
	pid_t *pids;
	size_t n = procfs_all(&pids);
	bool found = false;

	for (size_t i = 0; i < n && !found; i++)
		found = pids[i] != getpid() && procfs_has_env(pids[i], mark);
	free(pids);
	return found;
}

static void
teardown(void)
{
	char *remove = mem_format("rm -rf %s", folder);

	ck_assert(!any_marked());
	ck_assert(proctree_empty(NULL, 0, NULL, NULL));
	outcome_done(&outcome);
	ck_assert_int_eq(system(remove), 0);
	free(remove);
}

static char **
list(const char *first, ...)
{
	char **items = mem_new_array(16, sizeof(*items));
	size_t n = 0;
	va_list args;

	va_start(args, first);
	for (const char *item = first; item != NULL; item = va_arg(args, const char *))
		items[n++] = mem_text(item);
	va_end(args);
	return items;
}

static int
run(struct command *command)
{
	int result = supervise_run(&config, &hooks, 42, 3, command, &outcome);

	command_done(command);
	ck_assert_int_eq(jsonspan_validate((struct span){outcome.json, outcome.len}, NULL, NULL), 0);
	return result;
}

static int
run_shell(const char *script)
{
	struct command command = {.argv = list("sh", "-c", script, "sh", folder, NULL),
	    .umask = COMMAND_UMASK_NONE,
	    .limits = limits};

	return run(&command);
}

static void
check_member(const char *name, const char *wanted)
{
	struct span value;
	char *text;

	ck_assert(jsonspan_get((struct span){outcome.json, outcome.len}, name, &value));
	ck_assert_int_eq(jsonspan_string(value, &text, NULL), 0);
	ck_assert_str_eq(text, wanted);
	free(text);
}

static void
check_stdout(const char *wanted)
{
	ck_assert_int_eq(outcome.error, JOB_ERROR_NONE);
	check_member("stdout", wanted);
}

/* ---- what comes of it ------------------------------------------------------------------------ */

START_TEST(test_success)
{
	ck_assert_int_eq(run_shell("echo hi; echo \xff >&2"), 0);
	outcome.json = mem_grow(outcome.json, outcome.len + 1, 1);
	outcome.json[outcome.len] = '\0';
	ck_assert_str_eq(outcome.json, "{\"exit_status\":0,\"stdout\":\"hi\\n\",\"stdout_encoding\":\"utf-8\","
				       "\"stderr\":\"/wo=\",\"stderr_encoding\":\"base64\",\"truncated\":false}");
	ck_assert_int_gt(heard_leader, 0);
	ck_assert_int_eq(heard_stdout, 3);
	ck_assert(outcome.usage.known);
	ck_assert_int_gt(outcome.usage.max_rss_kib, 0);
}
END_TEST

START_TEST(test_exit_status)
{
	struct span value;
	int64_t status;

	ck_assert_int_eq(run_shell("echo no; echo why >&2; exit 7"), 0);
	ck_assert_int_eq(outcome.error, JOB_ERROR_EXIT_STATUS);
	ck_assert(jsonspan_get((struct span){outcome.json, outcome.len}, "exit_status", &value));
	ck_assert_int_eq(jsonspan_integer(value, &status), 0);
	ck_assert_int_eq(status, 7);
	check_member("stderr_tail", "why\n");
	check_member("stderr_tail_encoding", "utf-8");
}
END_TEST

START_TEST(test_signal)
{
	ck_assert_int_eq(run_shell("ulimit -c 0; kill -SEGV $$"), 0);
	ck_assert_int_eq(outcome.error, JOB_ERROR_SIGNAL);
	check_member("signal", "SIGSEGV");
}
END_TEST

static void
check_not_started(const char *message, const char *word)
{
	struct span data, value;

	ck_assert_int_eq(outcome.error, JOB_ERROR_TASK_ERROR);
	check_member("message", message);
	ck_assert(jsonspan_get((struct span){outcome.json, outcome.len}, "data", &data));
	ck_assert(jsonspan_get(data, "errno", &value));
	ck_assert(jsonspan_is(value, word));
	ck_assert_int_eq(heard_leader, 0);
}

START_TEST(test_no_program)
{
	struct command command = {.argv = list("no-such-program", NULL), .umask = COMMAND_UMASK_NONE};

	ck_assert_int_eq(run(&command), 0);
	check_not_started("cannot run no-such-program: No such file or directory", "ENOENT");
}
END_TEST

START_TEST(test_no_folder)
{
	struct command command = {.argv = list("true", NULL),
	    .cwd = mem_text("/nowhere/at/all"),
	    .umask = COMMAND_UMASK_NONE};

	ck_assert_int_eq(run(&command), 0);
	check_not_started("cannot enter /nowhere/at/all: No such file or directory", "ENOENT");
}
END_TEST

START_TEST(test_no_execute_permission)
{
	struct command command = {.argv = list("/etc/passwd", NULL), .umask = COMMAND_UMASK_NONE};

	ck_assert_int_eq(run(&command), 0);
	check_not_started("cannot run /etc/passwd: Permission denied", "EACCES");
}
END_TEST

/* ---- what it sees ---------------------------------------------------------------------------- */

START_TEST(test_environment)
{
	struct command command = {.argv = list("env", NULL),
	    .env = list("B=2", "USER=me", "FUTURED_JOB_ID=99", NULL),
	    .umask = COMMAND_UMASK_NONE};
	struct span value;
	char *text, *line, *rest;
	int n = 0;

	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	ck_assert_int_eq(run(&command), 0);
	ck_assert(jsonspan_get((struct span){outcome.json, outcome.len}, "stdout", &value));
	ck_assert_int_eq(jsonspan_string(value, &text, NULL), 0);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL && *line != '\0'; n++) {
		static const char *const known[] = {"PATH=/", "HOME=/", "LOGNAME=", "SHELL=/", "LANG=", "B=2",
		    "USER=me", "FUTURED_TREE=/", "FUTURED_JOB_ID=42", "FUTURED_ATTEMPT=3",
		    "FUTURED_PROGRESS_FD=3"};
		bool found = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			found = found || strncmp(line, known[i], strlen(known[i])) == 0;
		ck_assert_msg(found, "%s", line);
	}
	ck_assert_int_eq(n, 11);
	free(text);
}
END_TEST

START_TEST(test_program_is_found_in_its_own_path)
{
	struct command command = {.argv = list("sh", NULL),
	    .env = list("PATH=/nowhere", NULL),
	    .umask = COMMAND_UMASK_NONE};

	ck_assert_int_eq(run(&command), 0);
	check_not_started("cannot run sh: No such file or directory", "ENOENT");
}
END_TEST

START_TEST(test_descriptors)
{
	int stray = dup(STDERR_FILENO); /* without CLOEXEC */

	ck_assert_int_eq(run_shell("ls /proc/$$/fd"), 0);
	check_stdout("0\n1\n2\n3\n");
	close(stray);
}
END_TEST

START_TEST(test_signals_and_session)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* the shell itself blocks signals while it forks, so the one that looks takes its place */
	ck_assert_int_eq(run_shell("exec grep -E 'Sig(Blk|Ign):' /proc/self/status"), 0);
	check_stdout("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	outcome_done(&outcome);
	ck_assert_int_eq(run_shell("read -r a b c d pgrp sid e < /proc/self/stat;"
				   "[ $pgrp = $$ ] && [ $sid = $$ ] && echo own; umask; pwd"),
	    0);
	check_stdout("own\n0022\n/\n");
}
END_TEST

START_TEST(test_folder_and_umask)
{
	struct command command = {.argv = list("sh", "-c", "pwd; umask", NULL), .cwd = mem_text("/usr"), .umask = 077};
	mode_t before = umask(027);

	ck_assert_int_eq(run(&command), 0);
	check_stdout("/usr\n0077\n");
	ck_assert_int_eq(umask(before), 027);
}
END_TEST

START_TEST(test_standard_input)
{
	size_t len = 1 << 20;
	struct command command = {.argv = list("sh", "-c", "wc -c; cat", NULL), .umask = COMMAND_UMASK_NONE};

	command.stdin_data = mem_new(len);
	command.stdin_len = len;
	ck_assert_int_eq(run(&command), 0);
	check_stdout("1048576\n");
	outcome_done(&outcome);
	ck_assert_int_eq(run_shell("wc -c"), 0);
	check_stdout("0\n");
}
END_TEST

/* ---- output ---------------------------------------------------------------------------------- */

START_TEST(test_much_output)
{
	char byte;
	struct span value;

	config.max_output = 100000;
	ck_assert_int_eq(run_shell("head -c 300000 /dev/zero | tr '\\0' a"), 0);
	ck_assert(jsonspan_get((struct span){outcome.json, outcome.len}, "stdout", &value));
	ck_assert_uint_eq(value.len, CAPTURE_HEAD + 2);
	ck_assert(jsonspan_get((struct span){outcome.json, outcome.len}, "truncated", &value));
	ck_assert_int_eq(jsonspan_type(value), JSONSPAN_TRUE);
	ck_assert_int_eq(heard_stdout, 100000);
	ck_assert_int_eq(capture_read(config.output_dir, 42, STREAM_STDOUT, 99999, &byte, 1), 1);
	ck_assert_int_eq(capture_read(config.output_dir, 42, STREAM_STDOUT, 100000, &byte, 1), 0);
}
END_TEST

static void
on_output_release(void *arg, int64_t stdout_bytes, int64_t stderr_bytes)
{
	char *path = mem_format("%s/go", folder);
	int fd = open(path, O_RDWR | O_CLOEXEC); /* holds the FIFO until the command has read */

	on_output(arg, stdout_bytes, stderr_bytes);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "go\n", 3), 3);
	free(path);
}

/* The command goes on only when its first output has been heard of. */
START_TEST(test_output_is_told_at_once)
{
	char *path = mem_format("%s/go", folder);

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	free(path);
	hooks.on_output = on_output_release;
	ck_assert_int_eq(run_shell("echo first; read -r line < $1/go; echo $line"), 0);
	check_stdout("first\ngo\n");
	ck_assert_int_eq(heard_stdout, 9);
}
END_TEST

/* ---- its end --------------------------------------------------------------------------------- */

static int64_t
run_timed(const char *script, int wanted)
{
	int64_t begun_ms = clock_mono_ms();

	ck_assert_int_eq(run_shell(script), wanted);
	return clock_mono_ms() - begun_ms;
}

/* teardown finds nothing that has the mark, though one escaped, one ignored its parent's end and one held the output.
 */
START_TEST(test_left_behind_is_ended)
{
	int64_t ms = run_timed("(setsid sleep 987 &); sleep 986 & setsid sh -c 'sleep 985; :' & echo done", 0);

	check_stdout("done\n");
	ck_assert_int_lt(ms, config.grace_ms);
}
END_TEST

START_TEST(test_left_behind_is_told_first)
{
	char *path = mem_format("%s/told", folder);

	ck_assert_int_eq(
	    run_shell(
		"cd $1; setsid sh -c 'trap \"echo > told; exit\" TERM; echo > ready; while :; do sleep 0.1; done' & "
		"while ! [ -e ready ]; do sleep 0.02; done"),
	    0);
	ck_assert_int_eq(access(path, F_OK), 0);
	free(path);
}
END_TEST

START_TEST(test_left_behind_that_will_not_is_killed)
{
	config.grace_ms = 50;
	ck_assert_int_eq(run_shell("cd $1; setsid sh -c 'trap \"\" TERM; echo > ready; while :; do sleep 0.1; done' & "
				   "while ! [ -e ready ]; do sleep 0.02; done"),
	    0);
	ck_assert_int_eq(outcome.error, JOB_ERROR_NONE);
}
END_TEST

START_TEST(test_stop)
{
	hooks.on_output = on_output_cancel;
	wish = SUPERVISE_STOP;
	wish_grace_ms = tree_patience_ms(20000);
	ck_assert_int_lt(run_timed("(setsid sleep 987 &); echo up; sleep 988", 0), wish_grace_ms);
	ck_assert_int_eq(outcome.error, JOB_ERROR_SIGNAL);
	check_member("signal", "SIGTERM");
}
END_TEST

START_TEST(test_stop_of_one_that_will_not)
{
	hooks.on_output = on_output_cancel;
	wish = SUPERVISE_STOP;
	wish_grace_ms = 200;
	ck_assert_int_ge(run_timed("trap '' TERM; echo up; while :; do sleep 0.1; done", 0), 200);
	ck_assert_int_eq(outcome.error, JOB_ERROR_SIGNAL);
	check_member("signal", "SIGKILL");
}
END_TEST

START_TEST(test_stop_is_no_success)
{
	hooks.on_output = on_output_cancel;
	wish = SUPERVISE_STOP;
	wish_grace_ms = tree_patience_ms(20000);
	ck_assert_int_lt(
	    run_timed("trap 'echo bye >&2; exit 0' TERM; echo up; while :; do :; done", 0), wish_grace_ms);
	ck_assert_int_eq(outcome.error, JOB_ERROR_EXIT_STATUS);
	check_member("stderr_tail", "bye\n");
}
END_TEST

START_TEST(test_stop_reaches_the_stopped)
{
	hooks.on_output = on_output_cancel;
	wish = SUPERVISE_STOP;
	wish_grace_ms = tree_patience_ms(20000);
	ck_assert_int_lt(run_timed("echo up; kill -STOP $$", 0), wish_grace_ms);
	check_member("signal", "SIGTERM");
}
END_TEST

START_TEST(test_daemon_gone)
{
	hooks.on_output = on_output_cancel;
	wish = SUPERVISE_GONE;
	ck_assert_int_eq(run_shell("trap '' TERM; (setsid sleep 987 &); echo up; while :; do sleep 0.1; done"), -1);
}
END_TEST

START_TEST(test_usage_counts_the_whole_tree)
{
	ck_assert_int_eq(run_shell("(sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo > $0/ready' $1 &);"
				   "while ! [ -e $1/ready ]; do sleep 0.02; done"),
	    0);
	ck_assert_int_gt(outcome.usage.user_us, 10000);
}
END_TEST

START_TEST(test_progress)
{
	ck_assert_int_eq(run_shell("echo nonsense >&$FUTURED_PROGRESS_FD; echo 0.25 a quarter >&$FUTURED_PROGRESS_FD;"
				   "while ! [ -s $1/42.out ]; do echo on; sleep 0.02; done; sleep 0.1"),
	    0);
	ck_assert_int_eq(n_progress, 1);
	ck_assert_int_eq(heard_progress.millionths, 250000);
	ck_assert_str_eq(heard_progress.text, "a quarter");
}
END_TEST

/* Nobody may be slowed down, nor the daemon be told of all of it, and the last is told in the end. */
START_TEST(test_progress_in_floods)
{
	ck_assert_int_eq(run_shell("i=0; while [ $i -lt 20000 ]; do echo 0.1 $i; i=$((i+1)); done >&$FUTURED_PROGRESS_FD;"
				   "echo 90% last >&$FUTURED_PROGRESS_FD"),
	    0);
	ck_assert_str_eq(heard_progress.text, "last");
	ck_assert_int_lt(n_progress, 1000);
}
END_TEST

START_TEST(test_limits_are_set)
{
	limits = (struct spec_limits){.memory_mib = 64, .cpu_s = 7, .files = 20};
	ck_assert_int_eq(run_shell("ulimit -Sd; ulimit -Hd; ulimit -St; ulimit -Ht; ulimit -Sn; ulimit -Hn"), 0);
	check_stdout("65536\n65536\n7\n12\n20\n20\n");
}
END_TEST

/* The other way of starting gives the same: descriptors, signals, session, environment, errors. */
START_TEST(test_limited_is_like_others)
{
	struct command command = {.argv = list("/nonexistent/program", NULL), .umask = COMMAND_UMASK_NONE};

	limits.files = 50;
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(run_shell("ls /proc/$$/fd; grep SigIgn /proc/$$/status; ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo own;"
				   "echo $FUTURED_ATTEMPT; umask"),
	    0);
	check_stdout("0\n1\n2\n3\nSigIgn:\t0000000000000000\nown\n3\n0022\n");
	outcome_done(&outcome);
	command.limits = limits;
	ck_assert_int_eq(run(&command), 0);
	ck_assert_int_eq(outcome.error, JOB_ERROR_TASK_ERROR);
	check_member("message", "cannot run /nonexistent/program: No such file or directory");
}
END_TEST

START_TEST(test_cpu_used_up)
{
	limits.cpu_s = 1;
	ck_assert_int_eq(run_shell("ulimit -c 0; while :; do :; done"), 0);
	ck_assert_int_eq(outcome.error, JOB_ERROR_SIGNAL);
	check_member("signal", "SIGXCPU");
	check_member("message", "the command was ended by SIGXCPU: the limit of cpu_s, 1, was reached");
	outcome_done(&outcome);
	ck_assert_int_eq(run_shell("ulimit -c 0; sh -c 'while :; do :; done'; exit $?"), 0);
	ck_assert_int_eq(outcome.error, JOB_ERROR_EXIT_STATUS);
	check_member("message", "the command ended with exit status 152: the limit of cpu_s, 1, was reached");
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, test_success);
	tcase_add_test(tcase, test_exit_status);
	tcase_add_test(tcase, test_signal);
	tcase_add_test(tcase, test_no_program);
	tcase_add_test(tcase, test_no_folder);
	tcase_add_test(tcase, test_no_execute_permission);
	tcase_add_test(tcase, test_environment);
	tcase_add_test(tcase, test_program_is_found_in_its_own_path);
	tcase_add_test(tcase, test_descriptors);
	tcase_add_test(tcase, test_signals_and_session);
	tcase_add_test(tcase, test_folder_and_umask);
	tcase_add_test(tcase, test_standard_input);
	tcase_add_test(tcase, test_much_output);
	tcase_add_test(tcase, test_output_is_told_at_once);
	tcase_add_test(tcase, test_left_behind_is_ended);
	tcase_add_test(tcase, test_left_behind_is_told_first);
	tcase_add_test(tcase, test_left_behind_that_will_not_is_killed);
	tcase_add_test(tcase, test_stop);
	tcase_add_test(tcase, test_stop_of_one_that_will_not);
	tcase_add_test(tcase, test_stop_is_no_success);
	tcase_add_test(tcase, test_stop_reaches_the_stopped);
	tcase_add_test(tcase, test_daemon_gone);
	tcase_add_test(tcase, test_usage_counts_the_whole_tree);
	tcase_add_test(tcase, test_progress);
	tcase_add_test(tcase, test_progress_in_floods);
	tcase_add_test(tcase, test_limits_are_set);
	tcase_add_test(tcase, test_limited_is_like_others);
	tcase_add_test(tcase, test_cpu_used_up);
}

int
main(void)
{
	Suite *suite = suite_create("supervise");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, tree_patience_ms(60000) / 1000);
	tcase_add_checked_fixture(tcase, setup, teardown);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
