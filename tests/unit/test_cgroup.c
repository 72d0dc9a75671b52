/*
 * test_cgroup: groups on a stand-in folder, whose files are plain ones: what is written where, what is read, and that
 * nothing that is missing does harm.
 */
#include "daemon/cgroup.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "tests/unit/tree.h"

static char folder[TREE_FOLDER];
static int root;

static void
setup(void)
{
	tree_make_folder(folder);
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(root, 0);
}

static void
teardown(void)
{
	char *remove = mem_format("rm -rf %s", folder);

	close(root);
	ck_assert_int_eq(system(remove), 0);
	free(remove);
}

static void
put(int dir, const char *name, const char *content)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
}

static void
check_file(int dir, const char *name, const char *wanted)
{
	char content[256] = "";
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(read(fd, content, sizeof(content) - 1), 0);
	ck_assert_str_eq(content, wanted);
	close(fd);
}

static int
make_group(const char *name)
{
	ck_assert_int_eq(mkdirat(root, name, 0700), 0);
	return openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- a command's group ----------------------------------------------------------------------- */

START_TEST(test_limits_are_written)
{
	int group = make_group("slot-3");

	put(group, "pids.max", "");
	put(group, "memory.max", "");
	put(group, "memory.swap.max", "");
	put(group, "memory.oom.group", "");
	ck_assert(cgroup_limit(group, 64));
	check_file(group, "pids.max", "4096");
	check_file(group, "memory.max", "67108864");
	check_file(group, "memory.swap.max", "0");
	check_file(group, "memory.oom.group", "1");
	put(group, "memory.max", "as it was");
	ck_assert(!cgroup_limit(group, 0));
	check_file(group, "memory.max", "as it was");
	close(group);
}
END_TEST

START_TEST(test_without_controllers)
{
	bool memory = true;
	int group = cgroup_make(root, 7, 64, &memory);

	ck_assert_int_ge(group, 0);
	ck_assert(!memory);
	ck_assert_int_eq(faccessat(root, "slot-7", F_OK, 0), 0);
	ck_assert(!cgroup_ran_out_of_memory(group));
	cgroup_kill(group);
	cgroup_remove(root, 7, group);
	ck_assert_int_ne(faccessat(root, "slot-7", F_OK, 0), 0);
}
END_TEST

START_TEST(test_no_group_at_all)
{
	bool memory = true;
	int lock;

	ck_assert_int_eq(cgroup_make(-1, 1, 64, &memory), -1);
	ck_assert(!memory);
	cgroup_kill(-1);
	ck_assert(!cgroup_ran_out_of_memory(-1));
	cgroup_remove(-1, 1, -1);
	ck_assert_int_eq(cgroup_open("/nonexistent/folder", &lock), -1);
}
END_TEST

START_TEST(test_kill)
{
	int group = make_group("slot-1");

	put(group, "cgroup.kill", "");
	cgroup_kill(group);
	check_file(group, "cgroup.kill", "1");
	close(group);
}
END_TEST

START_TEST(test_memory_events)
{
	static const struct {
		const char *events;
		bool ran_out;
	} cases[] = {
	    {"low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\noom_group_kill 1\n", true},
	    {"oom_kill 12\n", true},
	    {"low 0\nhigh 0\nmax 5\noom 1\noom_kill 0\noom_group_kill 0\n", false},
	    {"low 0\noom_kill_more 7\n", false},
	    {"max 3\n", false},
	    {"", false},
	};
	int group = make_group("slot-1");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(group, "memory.events", cases[i].events);
		ck_assert_msg(cgroup_ran_out_of_memory(group) == cases[i].ran_out, "%s", cases[i].events);
	}
	close(group);
}
END_TEST

/* A supervisor was killed before it could remove its group: the next one starts with a new one, and so with new counts. */
START_TEST(test_left_by_another)
{
	bool memory;
	int group = make_group("slot-2"), again;
	struct stat before, after;

	ck_assert_int_eq(fstat(group, &before), 0);
	again = cgroup_make(root, 2, 0, &memory);
	ck_assert_int_ge(again, 0);
	ck_assert_int_eq(fstat(again, &after), 0);
	ck_assert_uint_eq(after.st_nlink, 2);
	ck_assert_int_eq(fstat(group, &before), 0);
	ck_assert_uint_eq(before.st_nlink, 0);
	close(group);
	cgroup_remove(root, 2, again);
}
END_TEST

/* ---- the daemon's ---------------------------------------------------------------------------- */

START_TEST(test_open)
{
	int daemon = make_group("daemon"), other = make_group("other"), opened, lock;

	put(daemon, "cgroup.procs", "");
	put(root, "cgroup.subtree_control", "");
	close(make_group("slot-0"));
	close(make_group("slot-17"));
	opened = cgroup_open(folder, &lock);
	ck_assert_int_ge(opened, 0);
	check_file(daemon, "cgroup.procs", "");
	ck_assert_int_eq(faccessat(root, "slot-17", F_OK, 0), 0); /* the lock is still to be taken */
	cgroup_take(opened, lock);
	check_file(daemon, "cgroup.procs", "0");
	check_file(root, "cgroup.subtree_control", "+pidsry"); /* one after the other, in a file that is none of the kernel's */
	ck_assert_int_ne(faccessat(root, "slot-0", F_OK, 0), 0);
	ck_assert_int_ne(faccessat(root, "slot-17", F_OK, 0), 0);
	ck_assert_int_eq(faccessat(root, "other", F_OK, 0), 0);
	close(daemon);
	close(other);
	close(opened);
	close(lock);
}
END_TEST

START_TEST(test_one_lock)
{
	int lock, again, opened = cgroup_open(folder, &lock), second = cgroup_open(folder, &again);
	struct stat status;

	ck_assert_int_ge(opened, 0);
	ck_assert_int_ge(second, 0);
	ck_assert_int_eq(fstat(lock, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0700);
	ck_assert_int_eq(flock(lock, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(flock(again, LOCK_EX | LOCK_NB), -1);
	close(lock);
	ck_assert_int_eq(flock(again, LOCK_EX | LOCK_NB), 0);
	close(again);
	close(opened);
	close(second);
}
END_TEST

START_TEST(test_find)
{
	const char *const mounts[] = {"/nonexistent", folder, NULL};
	char *path = mem_format("%s/system.slice/futured.service", folder), *slice = mem_format("%s/system.slice", folder);
	char *found;

	ck_assert_int_eq(mkdir(slice, 0700), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	put(root, "cgroup.controllers", "memory pids\n");
	ck_assert_ptr_null(cgroup_find("0::/system.slice/futured.service\n", mounts)); /* nobody has delegated it */
	if (setxattr(path, "user.delegate", "1", 1, 0) == 0) {
		found = cgroup_find("9:name=systemd:/x\n0::/system.slice/futured.service\n", mounts);
		ck_assert_ptr_nonnull(found);
		ck_assert_str_eq(found, path);
		free(found);
		found = cgroup_find("0::/system.slice/futured.service", mounts);
		ck_assert_ptr_nonnull(found);
		free(found);
		ck_assert_ptr_null(cgroup_find("10::/system.slice/futured.service\n", mounts));
		ck_assert_ptr_null(cgroup_find("0::/system.slice\n", mounts));
		ck_assert_ptr_null(cgroup_find("0::/gone\n", mounts));
		ck_assert_ptr_null(cgroup_find("", mounts));
		ck_assert_int_eq(unlinkat(root, "cgroup.controllers", 0), 0);
		ck_assert_ptr_null(cgroup_find("0::/system.slice/futured.service\n", mounts)); /* no v2 tree is there */
	}
	free(path);
	free(slice);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("cgroup");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_limits_are_written);
	tcase_add_test(tcase, test_without_controllers);
	tcase_add_test(tcase, test_no_group_at_all);
	tcase_add_test(tcase, test_kill);
	tcase_add_test(tcase, test_memory_events);
	tcase_add_test(tcase, test_left_by_another);
	tcase_add_test(tcase, test_open);
	tcase_add_test(tcase, test_one_lock);
	tcase_add_test(tcase, test_find);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
