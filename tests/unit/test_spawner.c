/*
 * test_spawner: spawner and workers as real processes: jobs in, results out, and who dies when somebody else does.
 */
#include "daemon/spawner.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/command.h"
#include "daemon/mem.h"
#include "daemon/procfs.h"
#include "daemon/proctree.h"
#include "daemon/tasks/tasks.h"
#include "tests/unit/rig.h"

/* ---- tasks of the test's own ----------------------------------------------------------------- */

/* Waits for a line in the FIFO that args name: a function that takes as long as the test wants. */
static void
block_run(const struct task_call *call, struct outcome *ret_outcome)
{
	struct jsonspan_iter iter;
	struct span value;
	struct pollfd pollfd = {.events = POLLIN};
	char path[TREE_FOLDER + 16];

	jsonspan_iter_init(&iter, call->args);
	if (!jsonspan_next(&iter, &value) || jsonspan_string_copy(value, path, sizeof(path)) < 0)
		_exit(1);
	pollfd.fd = open(path, O_RDONLY | O_CLOEXEC);
	while (poll(&pollfd, 1, -1) < 0 && errno == EINTR)
		;
	close(pollfd.fd);
	outcome_set_result(ret_outcome, SPAN_LIT("\"woken\""));
}

static void
big_run(const struct task_call *call, struct outcome *ret_outcome)
{
	size_t len = (1 << 20) + 1;
	char *json = mem_grow(NULL, len, 1);

	(void)call;
	memset(json, '1', len);
	outcome_take_result(ret_outcome, json, len);
}

static const struct task task_block = {.name = "block", .kind = TASK_FUNCTION, .any_args = true, .run = block_run};
static const struct task task_big = {.name = "big", .kind = TASK_FUNCTION, .any_args = true, .run = big_run};
static const struct task *const tasks[] = {&task_noop, &task_exec, &task_block, &task_big, NULL};

static struct rig rig;

static void
setup(void)
{
	ck_assert_int_eq(proctree_adopt(), 0);
	rig_init(&rig, tasks);
}

/* Nothing may be left, and nobody may have to be killed for that. */
static void
teardown(void)
{
	rig_done(&rig);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
}

static void
make_fifo(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", rig.folder, name);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

START_TEST(test_function)
{
	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_send_job(&rig, 0, 7, "noop", "{\"a\":[1,2]}");
	rig_check_result(&rig, 0, 7, "{\"a\":[1,2]}");
	rig_send_job(&rig, 0, 8, "nonsense", "[]");
	rig_check_error(&rig, 0, 8, JOB_ERROR_TASK_ERROR);
}
END_TEST

START_TEST(test_many_in_flight)
{
	const uint64_t n = 2000;

	rig_start(&rig);
	rig_hello(&rig, 0);
	for (uint64_t job = 1; job <= n; job++)
		rig_put_job(&rig, job, "noop", "[1]");
	rig_flush(&rig, 0);
	for (uint64_t job = 1; job <= n; job++)
		rig_check_result(&rig, 0, job, "[1]");
	ck_assert_uint_eq(slots_begun(rig.config.shared, 0), n);
}
END_TEST

START_TEST(test_large_args)
{
	size_t len = 3 << 20;
	char *args = mem_new(len + 1);

	memset(args, ' ', len);
	args[0] = '[';
	args[len - 1] = ']';
	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_put_job(&rig, 1, "noop", args);
	rig_put_job(&rig, 2, "noop", "[2]");
	rig_flush(&rig, 0);
	rig_check_error(&rig, 0, 1, JOB_ERROR_RESULT_TOO_LARGE);
	rig_check_result(&rig, 0, 2, "[2]");
	free(args);
}
END_TEST

START_TEST(test_result_too_large)
{
	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_send_job(&rig, 0, 1, "big", "[]");
	rig_check_error(&rig, 0, 1, JOB_ERROR_RESULT_TOO_LARGE);
}
END_TEST

/* The results of quick jobs do not wait behind a slow one that came in the same write. */
START_TEST(test_results_are_not_held_back)
{
	char path[TREE_FOLDER + 16], args[TREE_FOLDER + 32];
	int fd;

	make_fifo(path, sizeof(path), "gate");
	snprintf(args, sizeof(args), "[\"%s\"]", path);
	fd = open(path,
	    O_RDWR | O_CLOEXEC); /* so that the function waits in poll(2), where ThreadSanitizer lets signals in */
	ck_assert_int_ge(fd, 0);
	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_put_job(&rig, 1, "noop", "[]");
	rig_put_job(&rig, 2, "noop", "[]");
	rig_put_job(&rig, 3, "block", args);
	rig_put_job(&rig, 4, "noop", "[]");
	rig_flush(&rig, 0);
	rig_check_result(&rig, 0, 1, "[]");
	rig_check_result(&rig, 0, 2, "[]");
	ck_assert_int_eq(write(fd, "x", 1), 1);
	rig_check_result(&rig, 0, 3, "\"woken\"");
	rig_check_result(&rig, 0, 4, "[]");
	close(fd);
}
END_TEST

START_TEST(test_withdrawn_jobs_are_skipped)
{
	rig_start(&rig);
	rig_hello(&rig, 0);
	ck_assert_uint_eq(slots_withdraw(rig.config.shared, 0, 2), 0);
	for (uint64_t job = 1; job <= 3; job++)
		rig_put_job(&rig, job, "noop", "[]");
	rig_flush(&rig, 0);
	rig_check_result(&rig, 0, 3, "[]");
}
END_TEST

START_TEST(test_command)
{
	struct outcome outcome;

	rig_start(&rig);
	rig_hello(&rig, 1);
	rig_send_job(&rig, 1, 5, "exec", "[[\"grep\",\"NoNewPrivs\",\"/proc/self/status\"]]");
	rig_expect(&rig, 1, FRAME_STARTED, 5);
	rig_expect(&rig, 1, FRAME_OUTPUT, 5);
	rig_check_result(&rig, 1, 5,
	    "{\"exit_status\":0,\"stdout\":\"NoNewPrivs:\\t1\\n\",\"stdout_encoding\":\"utf-8\","
	    "\"stderr\":\"\",\"stderr_encoding\":\"utf-8\",\"truncated\":false}");
	rig_send_job(&rig, 1, 6, "exec", "{\"argv\":[\"no-such-program\"]}");
	outcome = rig_result(&rig, 1, 6);
	ck_assert_int_eq(outcome.error, JOB_ERROR_TASK_ERROR);
	outcome_done(&outcome);
	rig_send_job(&rig, 1, 7, "exec", "{\"argv\":[]}");
	outcome = rig_result(&rig, 1, 7);
	ck_assert_int_eq(outcome.error, JOB_ERROR_BAD_ARGUMENTS);
	outcome_done(&outcome);
}
END_TEST

START_TEST(test_cancel)
{
	struct outcome outcome;

	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_send_job(&rig, 0, 5, "exec", "[[\"sh\",\"-c\",\"(setsid sleep 987 &); sleep 988\"]]");
	rig_expect(&rig, 0, FRAME_STARTED, 5);
	frame_put_cancel(&rig.out, 4, 1004, 0); /* another's: not to be heard */
	frame_put_cancel(&rig.out, 5, 1005, tree_patience_ms(20000));
	rig_flush(&rig, 0);
	outcome = rig_result(&rig, 0, 5);
	ck_assert_int_eq(outcome.error, JOB_ERROR_SIGNAL);
	outcome_done(&outcome);
	/* in the same write as its job */
	rig_put_job(&rig, 6, "exec", "[[\"sleep\",\"988\"]]");
	frame_put_cancel(&rig.out, 6, 1006, 0);
	rig_flush(&rig, 0);
	outcome = rig_result(&rig, 0, 6);
	ck_assert_int_ne(outcome.error, JOB_ERROR_NONE);
	outcome_done(&outcome);
	rig_send_job(&rig, 0, 7, "noop", "[]");
	rig_check_result(&rig, 0, 7, "[]");
}
END_TEST

/* ---- births and deaths ----------------------------------------------------------------------- */

START_TEST(test_kill_slot)
{
	struct spawner_note note;
	struct frame_header header;
	struct span payload;

	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_hello(&rig, 2); /* forked later: it must not hold the first one's channel */
	rig_order(&rig, SPAWNER_KILL, 0, -1);
	ck_assert(rig_note(&rig, &note));
	ck_assert_uint_eq(note.news, SPAWNER_GONE);
	ck_assert_uint_eq(note.slot, 0);
	ck_assert(WIFSIGNALED(note.status) && WTERMSIG(note.status) == SIGKILL);
	ck_assert(note.used.known && note.used.max_rss_kib > 0);
	ck_assert(!note.left.known);
	ck_assert(!rig_frame(&rig, 0, &header, &payload));
	rig_hello(&rig, 0);
	rig_send_job(&rig, 2, 1, "noop", "[]");
	rig_check_result(&rig, 2, 1, "[]");
}
END_TEST

START_TEST(test_closed_channel_ends_worker)
{
	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_hello(&rig, 1);
	close(rig.channels[0]);
	rig.channels[0] = -1;
	rig_expect_note(&rig, SPAWNER_GONE, 0);
	rig_send_job(&rig, 1, 1, "noop", "[]");
	rig_check_result(&rig, 1, 1, "[]");
}
END_TEST

START_TEST(test_nonsense_ends_worker)
{
	struct frame_header nonsense = {.version = 77};

	rig_start(&rig);
	rig_hello(&rig, 0);
	ck_assert_int_eq(send(rig.channels[0], &nonsense, sizeof(nonsense), 0), sizeof(nonsense));
	rig_expect_note(&rig, SPAWNER_GONE, 0);
}
END_TEST

START_TEST(test_taken_slot_is_refused)
{
	struct spawner_note note;

	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_order(&rig, SPAWNER_SPAWN, 0, rig.config.leaders_fd);
	ck_assert(rig_note(&rig, &note));
	ck_assert_uint_eq(note.news, SPAWNER_FAILED);
	ck_assert_int_eq(note.status, EBUSY);
}
END_TEST

START_TEST(test_terminal_signals_are_not_theirs)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	rig_start(&rig);
	rig_hello(&rig, 0);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		ck_assert_int_eq(kill(rig.spawner, signals[i]), 0);
		ck_assert_int_eq(kill(rig.workers[0], signals[i]), 0);
	}
	rig_send_job(&rig, 0, 1, "noop", "[]");
	rig_check_result(&rig, 0, 1, "[]");
	rig_hello(&rig, 1);
}
END_TEST

START_TEST(test_descriptors)
{
	char own[16], *path;
	struct outcome outcome;
	struct span value;
	char *text;
	int stray = dup(STDERR_FILENO);

	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_hello(&rig, 1);
	/*
	 * the second worker's are 0, 1, 2, its channel, the output folder and the leaders: six, and ls adds nothing to
	 * it
	 */
	snprintf(own, sizeof(own), "%d", (int)rig.workers[1]);
	path = mem_format("[[\"sh\",\"-c\",\"ls /proc/%s/fd | wc -l\"]]", own);
	rig_send_job(&rig, 0, 1, "exec", path);
	outcome = rig_result(&rig, 0, 1);
	ck_assert(jsonspan_get((struct span){outcome.json, outcome.len}, "stdout", &value));
	ck_assert_int_eq(jsonspan_string(value, &text, NULL), 0);
	ck_assert_str_eq(text, "6\n");
	free(text);
	outcome_done(&outcome);
	free(path);
	close(stray);
}
END_TEST

/* ---- storms ---------------------------------------------------------------------------------- */

#define STORM_TREE 5
#define STORM_COMMAND                                                                    \
	"[[\"sh\",\"-c\",\"exec 9>$0; trap '' TERM; printf x >&9;"                       \
	"(setsid sh -c 'printf x >&9; while :; do sleep 987; done' &);"                  \
	"setsid setsid sh -c 'trap : TERM; printf x >&9; while :; do sleep 987; done' &" \
	"(sh -c 'printf x >&9; exec sleep 987' &);"                                      \
	"env -i sh -c 'printf x >&9; sleep 987; :' & while :; do sleep 987; done\",\"%s\"]]"

/* What the daemon does: it ends when its spawner has died or, here, when a worker has; its own tree it takes along. */
static void __attribute__((noreturn)) storm_daemon(const char *fifo, const char *gate, int report)
{
	struct spawner_note note;
	char args[1024];

	proctree_adopt();
	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_hello(&rig, 1);
	snprintf(args, sizeof(args), STORM_COMMAND, fifo);
	rig_send_job(&rig, 0, 1, "exec", args);
	snprintf(args, sizeof(args), "[\"%s\"]", gate);
	rig_send_job(&rig, 1, 2, "block", args);
	if (write(report, &rig, sizeof(rig)) != sizeof(rig))
		_exit(1);
	close(report);
	if (rig_note(&rig, &note))
		close(rig.link);
	proctree_kill(NULL, 0, 0, NULL, NULL);
	_exit(0);
}

enum { STORM_WORKER = 1, STORM_SPAWNER = 2, STORM_DAEMON = 4, STORM_ALL = 7 };

static void
storm_kill(const pid_t *pids, int which, int sig)
{
	for (int i = 0; i < 3; i++) {
		if (which & 1 << i)
			ck_assert_int_eq(kill(pids[i], sig), 0);
	}
}

/* The command whose whole tree holds the FIFO, on slot 0; all of it is there. */
static struct tree
start_tree(void)
{
	struct tree tree = {.write_fd = -1};
	char fifo[TREE_FOLDER + 16], args[1024];

	make_fifo(fifo, sizeof(fifo), "tree");
	tree.read_fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	snprintf(args, sizeof(args), STORM_COMMAND, fifo);
	rig_start(&rig);
	rig_hello(&rig, 0);
	rig_send_job(&rig, 0, 1, "exec", args);
	tree_await(&tree, STORM_TREE);
	return tree;
}

START_TEST(test_gone_means_empty)
{
	struct tree tree = start_tree();

	rig_order(&rig, SPAWNER_KILL, 0, -1);
	rig_expect_note(&rig, SPAWNER_GONE, 0);
	ck_assert(tree_gone(&tree, 0));
	close(tree.read_fd);
}
END_TEST

START_TEST(test_result_means_empty)
{
	struct tree tree = start_tree();
	struct outcome outcome;

	frame_put_cancel(&rig.out, 1, 1001, 100);
	rig_flush(&rig, 0);
	outcome = rig_result(&rig, 0, 1);
	ck_assert(tree_gone(&tree, 0));
	outcome_done(&outcome);
	close(tree.read_fd);
}
END_TEST

/*
 * Whoever is killed at once: nothing of the command lives on, and only where all were killed has somebody to look for
 * it.
 */
START_TEST(test_storm)
{
	char fifo[TREE_FOLDER + 16], gate[TREE_FOLDER + 16];
	struct tree tree = {.write_fd = -1};
	struct proctree_leader *leaders;
	struct rig theirs;
	pid_t pids[3], daemon;
	ssize_t n_leaders;
	int report[2];

	make_fifo(fifo, sizeof(fifo), "tree");
	make_fifo(gate, sizeof(gate), "gate");
	tree.read_fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_eq(pipe2(report, O_CLOEXEC), 0);
	daemon = fork();
	if (daemon == 0)
		storm_daemon(fifo, gate, report[1]);
	ck_assert_int_eq(read(report[0], &theirs, sizeof(theirs)), sizeof(theirs));
	tree_await(&tree, STORM_TREE);
	pids[0] = theirs.workers[0];
	pids[1] = theirs.spawner;
	pids[2] = daemon;
	storm_kill(pids, _i, SIGSTOP);
	storm_kill(pids, _i, SIGKILL);
	if (_i == STORM_ALL) {
		ck_assert(!tree_gone(&tree, 50));
		n_leaders = leaders_read(rig.config.leaders_fd, &leaders);
		ck_assert_int_eq(n_leaders, 1);
		ck_assert_int_ge(proctree_sweep(rig.mark, leaders, (size_t)n_leaders, tree_deadline_ms()), STORM_TREE);
		free(leaders);
	}
	ck_assert(tree_gone(&tree, tree_patience_ms(30000)));
	close(tree.read_fd);
	close(report[0]);
	close(report[1]);
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, test_function);
	tcase_add_test(tcase, test_many_in_flight);
	tcase_add_test(tcase, test_large_args);
	tcase_add_test(tcase, test_result_too_large);
	tcase_add_test(tcase, test_results_are_not_held_back);
	tcase_add_test(tcase, test_withdrawn_jobs_are_skipped);
	tcase_add_test(tcase, test_command);
	tcase_add_test(tcase, test_cancel);
	tcase_add_test(tcase, test_kill_slot);
	tcase_add_test(tcase, test_closed_channel_ends_worker);
	tcase_add_test(tcase, test_nonsense_ends_worker);
	tcase_add_test(tcase, test_taken_slot_is_refused);
	tcase_add_test(tcase, test_terminal_signals_are_not_theirs);
	tcase_add_test(tcase, test_descriptors);
	tcase_add_test(tcase, test_gone_means_empty);
	tcase_add_test(tcase, test_result_means_empty);
	tcase_add_loop_test(tcase, test_storm, 1, STORM_ALL + 1);
}

int
main(void)
{
	Suite *suite = suite_create("spawner");
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
