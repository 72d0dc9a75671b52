/*
 * Tests of privacy_open(): what is kept is refused by whatever name it is asked for, and the world is open.
 */
#include "daemon/privacy.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];

static const char *
at(const char *name)
{
	static char paths[4][256];
	static int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static void
write_file(const char *name, const char *text)
{
	FILE *file = fopen(at(name), "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void
set_up(void)
{
	strcpy(root, "/tmp/futured-privacy-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	ck_assert_int_eq(mkdir(at("state"), 0700), 0);
	ck_assert_int_eq(mkdir(at("state/output"), 0700), 0);
	ck_assert_int_eq(mkdir(at("else"), 0700), 0);
	write_file("state/token", "secret");
	write_file("state/output/1.out", "secret");
	write_file("else/key", "secret");
	write_file("else/plain", "plain");
	ck_assert_int_eq(privacy_keep_folder(at("state")), 0);
	ck_assert_int_eq(privacy_keep_folder(at("state/output")), 0);
	privacy_keep_file(at("else/key"));
}

static void
tear_down(void)
{
	char command[128];

	privacy_keep_nothing();
	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}

static void
check_kept(const char *path)
{
	int fd = privacy_open(path);

	ck_assert_msg(fd == PRIVACY_KEPT, "%s: %d", path, fd);
}

static void
check_open(const char *path, const char *text)
{
	char bytes[64] = "";
	int fd = privacy_open(path);

	ck_assert_msg(fd >= 0, "%s: %d: %s", path, fd, strerror(errno));
	ck_assert_int_ge(read(fd, bytes, sizeof(bytes) - 1), 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
	if (text != NULL)
		ck_assert_str_eq(bytes, text);
}

START_TEST(test_the_world_is_open)
{
	check_open(at("else/plain"), "plain");
	ck_assert_int_eq(symlink(at("else/plain"), at("link")), 0);
	check_open(at("link"), "plain");
	check_open(at("state/../else/plain"), "plain");
	check_open("/dev/null", "");
	check_open("/proc/uptime", NULL);
	ck_assert_int_eq(link(at("else/plain"), at("else/again")), 0);
	check_open(at("else/again"), "plain");
}
END_TEST

START_TEST(test_errors_are_those_of_open)
{
	ck_assert_int_eq(privacy_open(at("none")), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(privacy_open(at("else/plain/x")), -1);
	ck_assert_int_eq(errno, ENOTDIR);
	ck_assert_int_eq(symlink(at("loop"), at("loop")), 0);
	ck_assert_int_eq(privacy_open(at("loop")), -1);
	ck_assert_int_eq(errno, ELOOP);
}
END_TEST

START_TEST(test_by_other_ways)
{
	char path[512];

	check_kept(at("state/token"));
	check_kept(at("state/output/1.out"));
	check_kept(at("else/../state//./token"));
	ck_assert_int_eq(symlink(at("state/token"), at("to-file")), 0);
	ck_assert_int_eq(symlink(at("state"), at("to-folder")), 0);
	check_kept(at("to-file"));
	check_kept(at("to-folder/token"));
	snprintf(path, sizeof(path), "/proc/self/root%s", at("state/token"));
	check_kept(path);
	ck_assert_int_eq(chdir(at("state")), 0);
	check_kept("token");
	check_kept("/proc/self/cwd/token");
	ck_assert_int_eq(chdir("/"), 0);
	check_kept(at("else/key"));
}
END_TEST

START_TEST(test_by_descriptors)
{
	int file = open(at("state/token"), O_RDONLY | O_CLOEXEC), dir = open(at("state"), O_RDONLY | O_CLOEXEC), fds[2];
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	check_kept(path);
	snprintf(path, sizeof(path), "/dev/fd/%d", file);
	check_kept(path);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d/token", (int)getpid(), dir);
	check_kept(path);
	ck_assert_int_eq(unlink(at("state/token")), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	check_kept(path); /* it lies nowhere any more */
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	check_kept(path);
}
END_TEST

START_TEST(test_by_hard_links)
{
	ck_assert_int_eq(link(at("state/token"), at("else/token")), 0);
	ck_assert_int_eq(link(at("state/output/1.out"), at("else/out")), 0);
	ck_assert_int_eq(link(at("else/key"), at("else/another")), 0);
	check_kept(at("else/token"));
	check_kept(at("else/out"));
	check_kept(at("else/another"));
}
END_TEST

START_TEST(test_processes)
{
	check_kept("/proc/self/environ");
	check_kept("/proc/self/mem");
	check_kept("/proc/thread-self/maps");
	check_kept("/proc/1/status");
}
END_TEST

/* The file that is kept is replaced, as tokens and keys are. */
START_TEST(test_a_file_that_is_replaced)
{
	write_file("else/new", "new secret");
	ck_assert_int_eq(rename(at("else/new"), at("else/key")), 0);
	check_kept(at("else/key"));
	ck_assert_int_eq(unlink(at("else/key")), 0);
	ck_assert_int_eq(privacy_open(at("else/key")), -1);
	check_open(at("else/plain"), "plain");
}
END_TEST

/* To close a descriptor of the database would drop the locks that its process has on it. */
START_TEST(test_what_is_kept_is_not_opened)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	int fd = open(at("state/token"), O_RDWR | O_CLOEXEC), status;
	pid_t child;

	ck_assert_int_eq(fcntl(fd, F_SETLK, &lock), 0);
	check_kept(at("state/token"));
	child = fork();
	if (child == 0)
		_exit(fcntl(fd, F_SETLK, &lock) < 0 && errno == EAGAIN ? 0 : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	close(fd);
}
END_TEST

static Suite *
privacy_suite(void)
{
	Suite *suite = suite_create("privacy");
	TCase *test_case = tcase_create("files");

	tcase_add_checked_fixture(test_case, set_up, tear_down);
	tcase_add_test(test_case, test_the_world_is_open);
	tcase_add_test(test_case, test_errors_are_those_of_open);
	tcase_add_test(test_case, test_by_other_ways);
	tcase_add_test(test_case, test_by_descriptors);
	tcase_add_test(test_case, test_by_hard_links);
	tcase_add_test(test_case, test_processes);
	tcase_add_test(test_case, test_a_file_that_is_replaced);
	tcase_add_test(test_case, test_what_is_kept_is_not_opened);
	suite_add_tcase(suite, test_case);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(privacy_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
