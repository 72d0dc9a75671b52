/*
 * Tests of runas: whose a job is, who that is, and that whoever has become another is nobody else. What only root can do is
 * told by tests/story/run_as.py too.
 */
#include "daemon/runas.h"

#include <check.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_owners)
{
	static const char *const none[] = {"", "uid:", "uid:-1", "uid:+1", "uid: 1", "uid:1x", "uid:4294967295",
	    "uid:99999999999999999999", "token:ann", "token:uid:1", "UID:1", "1"};

	ck_assert_int_eq(runas_owner("uid:0"), 0);
	ck_assert_int_eq(runas_owner("uid:1000"), 1000);
	ck_assert_int_eq(runas_owner("uid:4294967294"), 4294967294);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ck_assert_msg(runas_owner(none[i]) == RUNAS_NOBODY, "%s", none[i]);
}
END_TEST

START_TEST(test_find)
{
	struct passwd *root = getpwuid(0);
	struct runas_user user;
	char why[256] = "";
	bool found = false;

	ck_assert_ptr_nonnull(root);
	ck_assert_int_eq(runas_find(0, &user, why, sizeof(why)), 0);
	ck_assert_str_eq(user.name, root->pw_name);
	ck_assert_str_eq(user.home, root->pw_dir);
	ck_assert_int_eq(user.gid, root->pw_gid);
	for (size_t i = 0; i < user.n_groups; i++)
		found = found || user.groups[i] == root->pw_gid;
	ck_assert(found);
	runas_done(&user);
	ck_assert_ptr_null(user.name);
}
END_TEST

START_TEST(test_nobody_is_found)
{
	struct runas_user user;
	char why[256] = "";

	ck_assert_int_eq(runas_find(RUNAS_NOBODY, &user, why, sizeof(why)), -1);
	ck_assert_ptr_nonnull(strstr(why, "no Unix user"));
	ck_assert_int_eq(runas_find(0xffffffff, &user, why, sizeof(why)), -1); /* to setresuid(2) that is "no change" */
	ck_assert_int_eq(runas_find(4000000123, &user, why, sizeof(why)), -1);
	ck_assert_ptr_nonnull(strstr(why, "uid 4000000123, its owner, cannot be looked up"));
}
END_TEST

/* Whoever is looked up without a descriptor to do it with may be there all the same. */
START_TEST(test_a_fault_of_the_moment)
{
	struct rlimit before, none;
	struct runas_user user;
	char why[256] = "";
	int found;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	found = runas_find(0, &user, why, sizeof(why));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(found, RUNAS_LATER);
	ck_assert_ptr_nonnull(strstr(why, "Too many open files"));
}
END_TEST

/* In a child: it becomes the user, and tells by its status at which of the checks it came out otherwise. */
static int
become(const struct runas_user *user)
{
	gid_t groups[8];
	int error = runas_become(user);

	if (error != 0)
		return error == EPERM ? 100 : 101;
	if (getuid() != user->uid || geteuid() != user->uid || getgid() != user->gid || getegid() != user->gid)
		return 102;
	if (getgroups(8, groups) != (int)user->n_groups || groups[0] != user->groups[0])
		return 103;
	/* The kernel's calls here too: libc's abort where a thread of TSan's stayed what it was. */
	return syscall(SYS_setuid, 0L) == 0 || syscall(SYS_setresuid, -1L, 0L, -1L) == 0 || syscall(SYS_setgid, 0L) == 0 ||
		syscall(SYS_setgroups, 0L, NULL) == 0
	    ? 104
	    : 0;
}

START_TEST(test_become)
{
	gid_t groups[] = {60, 61};
	const struct runas_user user = {.uid = 20990, .gid = 60, .groups = groups, .n_groups = 2};
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(become(&user));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), geteuid() == 0 ? 0 : 100);
}
END_TEST

START_TEST(test_what_is_missing)
{
	const char *missing = runas_missing();

	if (geteuid() != 0)
		ck_assert_str_eq(missing, "a daemon that root has started");
	else
		ck_assert(missing == NULL || strncmp(missing, "the capability", 14) == 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("runas");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, test_owners);
	tcase_add_test(tcase, test_find);
	tcase_add_test(tcase, test_nobody_is_found);
	tcase_add_test(tcase, test_a_fault_of_the_moment);
	tcase_add_test(tcase, test_become);
	tcase_add_test(tcase, test_what_is_missing);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
