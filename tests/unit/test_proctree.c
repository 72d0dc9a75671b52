/*
 * Trees that do not want to die: escaped sessions, fork bombs, and those that an earlier daemon left.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/proctree.h"
#include "tests/unit/bulk.h"
#include "tests/unit/tree.h"

static void
adopt(void)
{
	ck_assert_int_eq(proctree_adopt(), 0);
}

START_TEST(test_kill_reaches_all)
{
	struct tree tree = tree_new();

	for (int i = 0; i < 4; i++)
		tree_start(&tree);
	tree_seal(&tree);
	tree_await(&tree, 4 * TREE_SIZE);
	ck_assert_int_eq(proctree_kill(NULL, 0, tree_deadline_ms(), NULL, NULL), 0);
	ck_assert(tree_gone(&tree, 0));
	ck_assert_int_eq(waitpid(-1, NULL, __WALL), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(test_kill_spares_what_is_kept)
{
	struct tree kept = tree_new(), doomed = tree_new();
	pid_t keep[2] = {0, 0};

	keep[0] = fork();
	if (keep[0] == 0) {
		adopt(); /* as a worker: its own orphans stay below it */
		close(doomed.write_fd);
		tree_start(&kept);
		tree_stay(&kept);
	}
	tree_seal(&kept);
	tree_start(&doomed);
	tree_seal(&doomed);
	tree_await(&kept, TREE_SIZE + 1);
	tree_await(&doomed, TREE_SIZE);
	ck_assert(!proctree_empty(keep, 2, NULL, NULL));
	ck_assert_int_eq(proctree_kill(keep, 2, tree_deadline_ms(), NULL, NULL), 0);
	ck_assert(tree_gone(&doomed, 0));
	ck_assert(!tree_gone(&kept, 0));
	ck_assert(proctree_empty(keep, 2, NULL, NULL));
	ck_assert_int_eq(proctree_kill(NULL, 0, tree_deadline_ms(), NULL, NULL), 0);
	ck_assert(tree_gone(&kept, 0));
}
END_TEST

/* Who cannot read which children are left has not shown that none is. */
START_TEST(test_what_cannot_be_read_is_not_empty)
{
	struct tree tree = tree_new();
	struct rlimit limit, none;
	bool empty;
	pid_t kept;

	kept = fork();
	if (kept == 0)
		tree_stay(&tree);
	if (fork() == 0)
		tree_stay(&tree);
	tree_seal(&tree);
	tree_await(&tree, 2);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){0, limit.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	empty = proctree_empty(&kept, 1, NULL, NULL);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert(!empty);
	ck_assert_int_eq(proctree_kill(NULL, 0, tree_deadline_ms(), NULL, NULL), 0);
}
END_TEST

/*
 * Each child starts a session of its own, so that no group holds two of them; fleeing: each parent ends, so that none
 * lives long enough to be found. A byte says that there is no room for more.
 */
static void
bomb(const struct tree *tree, bool fleeing)
{
	for (;;) {
		pid_t pid = fork();

		if (pid == 0)
			setsid();
		else if (pid > 0 && fleeing)
			_exit(0);
		else if (pid < 0 && write(tree->write_fd, "x", 1) < 0)
			continue; /* the pipe is full: it has been said often enough */
	}
}

static void
start_bomb(const struct tree *tree, bool fleeing)
{
	struct rlimit limit = {200, 200};

	if (fork() != 0)
		return;
	fcntl(tree->write_fd, F_SETFL, O_NONBLOCK);
	signal(SIGPIPE, SIG_IGN);
	/* a user of its own, whose processes are counted apart from everybody's: tests have one, root takes one */
	if (setrlimit(RLIMIT_NPROC, &limit) < 0 || (geteuid() == 0 && setuid(200000000 + (uid_t)getpid()) < 0))
		_exit(1);
	for (int i = 0; fleeing && i < 20; i++) {
		if (fork() == 0)
			break;
	}
	if (fleeing && write(tree->write_fd, "x", 1) != 1)
		_exit(1);
	bomb(tree, fleeing);
}

static void
kill_bomb(bool fleeing)
{
	struct tree tree = tree_new();

	start_bomb(&tree, fleeing);
	tree_seal(&tree);
	tree_await(&tree, 1);
	ck_assert_int_eq(proctree_kill(NULL, 0, tree_deadline_ms(), NULL, NULL), 0);
	ck_assert(tree_gone(&tree, 0));
}

START_TEST(test_kill_ends_a_wide_bomb)
{
	kill_bomb(false);
}
END_TEST

START_TEST(test_kill_ends_a_fleeing_bomb)
{
	kill_bomb(true);
}
END_TEST

static void
on_term(int sig)
{
	(void)sig;
	_exit(0);
}

START_TEST(test_signal_reaches_all)
{
	struct tree tree = tree_new();

	signal(SIGTERM, on_term);
	tree_start(&tree);
	tree_seal(&tree);
	tree_await(&tree, TREE_SIZE);
	proctree_signal(SIGTERM, NULL, 0);
	ck_assert(tree_gone(&tree, tree_patience_ms(30000)));
	while (waitpid(-1, NULL, __WALL) > 0)
		;
}
END_TEST

struct reaped {
	pid_t pid;
	int status;
	int n;
};

static void
note_reaped(pid_t pid, int status, const struct rusage *usage, void *arg)
{
	struct reaped *reaped = arg;

	ck_assert_ptr_nonnull(usage);
	*reaped = (struct reaped){.pid = pid, .status = status, .n = reaped->n + 1};
}

START_TEST(test_empty_tells_of_the_reaped)
{
	struct reaped reaped = {0};
	siginfo_t info;
	pid_t pid;

	ck_assert(proctree_empty(NULL, 0, note_reaped, &reaped));
	pid = fork();
	if (pid == 0)
		_exit(3);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert(proctree_empty(NULL, 0, note_reaped, &reaped));
	ck_assert_int_eq(reaped.n, 1);
	ck_assert_int_eq(reaped.pid, pid);
	ck_assert_int_eq(WEXITSTATUS(reaped.status), 3);
}
END_TEST

/* A deadline that is over leaves a tree that is dying, and says so. */
START_TEST(test_kill_keeps_its_deadline)
{
	struct tree tree = tree_new();

	for (int i = 0; i < 20; i++)
		tree_start(&tree);
	tree_seal(&tree);
	tree_await(&tree, 20 * TREE_SIZE);
	if (proctree_kill(NULL, 0, clock_mono_ms() - 1, NULL, NULL) == 0)
		ck_assert(tree_gone(&tree, 0));
	ck_assert_int_eq(proctree_kill(NULL, 0, 0, NULL, NULL), 0);
	ck_assert(tree_gone(&tree, 0));
}
END_TEST

/* ---- the sweep ------------------------------------------------------------------------------- */

static char mark[64];

/* Executes a shell that starts one with its mark wiped off, one that escaped with it, and stays. */
static pid_t
start_marked(const struct tree *tree, bool marked)
{
	char *const argv[] = {"sh", "-c",
	    "env -i sh -c 'printf x; while :; do sleep 1000; done' & "
	    "(setsid sh -c 'printf x; exec sleep 1000' &); printf x; wait; wait; sleep 1000",
	    NULL};
	char *const env[] = {"PATH=/usr/bin:/bin", marked ? mark : "A=b", NULL};
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	dup2(tree->write_fd, STDOUT_FILENO);
	close(tree->write_fd);
	close(tree->read_fd);
	execve("/bin/sh", argv, env);
	_exit(1);
}

START_TEST(test_sweep_finds_the_marked)
{
	struct tree tree = tree_new(), bystander = tree_new();

	snprintf(mark, sizeof(mark), "FUTURED_TREE=test-%d", (int)getpid());
	start_marked(&tree, true);
	tree_seal(&tree);
	start_marked(&bystander, false);
	tree_seal(&bystander);
	tree_await(&tree, 3);
	tree_await(&bystander, 3);
	ck_assert_int_ge(proctree_sweep(mark, NULL, 0, tree_deadline_ms()), 3);
	ck_assert(tree_gone(&tree, 0));
	ck_assert(!tree_gone(&bystander, 0));
	ck_assert_int_eq(proctree_sweep(mark, NULL, 0, tree_deadline_ms()), 0);
	ck_assert_int_eq(proctree_kill(NULL, 0, 0, NULL, NULL), 0);
}
END_TEST

START_TEST(test_sweep_finds_recorded_leaders)
{
	struct tree tree = tree_new(), other = tree_new();
	struct proctree_leader leaders[2];

	leaders[0].pid = tree_start(&tree);
	leaders[0].start_time = proctree_start_time(leaders[0].pid);
	tree_seal(&tree);
	leaders[1].pid = tree_start(&other);
	leaders[1].start_time = proctree_start_time(leaders[1].pid) + 1; /* another process that had this pid */
	tree_seal(&other);
	tree_await(&tree, TREE_SIZE);
	tree_await(&other, TREE_SIZE);
	ck_assert_uint_gt(leaders[0].start_time, 0);
	/* the leader and its two children; the escaped ones descend from us here */
	ck_assert_int_ge(proctree_sweep("FUTURED_TREE=none", leaders, 2, tree_deadline_ms()), 3); /* what a pass still sees is counted again */
	ck_assert_uint_eq(proctree_start_time(leaders[0].pid), 0);
	ck_assert_uint_ne(proctree_start_time(leaders[1].pid), 0);
	ck_assert_int_eq(proctree_kill(NULL, 0, 0, NULL, NULL), 0);
}
END_TEST

static Suite *
proctree_suite(void)
{
	Suite *suite = suite_create("proctree");
	TCase *tcase = tcase_create("all");

	tcase_set_timeout(tcase, tree_patience_ms(60000) / 1000);
	tcase_add_checked_fixture(tcase, adopt, NULL);
	tcase_add_test(tcase, test_kill_reaches_all);
	tcase_add_test(tcase, test_kill_spares_what_is_kept);
	tcase_add_test(tcase, test_what_cannot_be_read_is_not_empty);
	tcase_add_bulk_test(tcase, test_kill_ends_a_wide_bomb);
	tcase_add_bulk_test(tcase, test_kill_ends_a_fleeing_bomb);
	tcase_add_test(tcase, test_signal_reaches_all);
	tcase_add_test(tcase, test_empty_tells_of_the_reaped);
	tcase_add_test(tcase, test_kill_keeps_its_deadline);
	tcase_add_test(tcase, test_sweep_finds_the_marked);
	tcase_add_test(tcase, test_sweep_finds_recorded_leaders);
	suite_add_tcase(suite, tcase);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(proctree_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
