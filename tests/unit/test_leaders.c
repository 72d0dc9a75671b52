/*
 * test_leaders: the leaders of commands are found again by the next start, those of this boot alone; the file has its whole size at
 * once, so that a full disk loses none.
 */
#include "daemon/leaders.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 1000

static char folder[] = "/tmp/test_leaders.XXXXXX";
static int dir = -1, file = -1;

static void
setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	file = leaders_open(dir, "leaders");
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(leaders_reset(file, SLOTS), 0);
}

static void
teardown(void)
{
	unlinkat(dir, "leaders", 0);
	close(file);
	close(dir);
	rmdir(folder);
}

static size_t
count(void)
{
	struct proctree_leader *leaders;
	ssize_t n = leaders_read(file, &leaders);

	ck_assert_int_ge(n, 0);
	free(leaders);
	return (size_t)n;
}

START_TEST(noted_until_reset)
{
	struct proctree_leader *leaders;

	ck_assert_uint_eq(count(), 0);
	leaders_note(file, 0, getpid());
	leaders_note(file, SLOTS - 1, getppid());
	ck_assert_int_eq(leaders_read(file, &leaders), 2);
	ck_assert_int_eq(leaders[0].pid, getpid());
	ck_assert_uint_eq(leaders[0].start_time, proctree_start_time(getpid()));
	ck_assert_int_eq(leaders[1].pid, getppid());
	free(leaders);
	leaders_note(file, 0, 0);
	ck_assert_uint_eq(count(), 1);
	ck_assert_int_eq(leaders_reset(file, SLOTS), 0);
	ck_assert_uint_eq(count(), 0);
}
END_TEST

START_TEST(of_this_boot_alone)
{
	leaders_note(file, 3, getpid());
	ck_assert_uint_eq(count(), 1);
	ck_assert_int_eq(pwrite(file, "another", 7, 8), 7); /* behind the magic stands the boot's id */
	ck_assert_uint_eq(count(), 0);
}
END_TEST

/* A note on a full disk finds its place, and the next reset needs no more than there is. */
START_TEST(it_has_its_room)
{
	struct stat whole, less;

	ck_assert_int_eq(fstat(file, &whole), 0);
	ck_assert_int_ge(whole.st_size, SLOTS * 16);
	ck_assert_int_ge(whole.st_blocks * 512, whole.st_size);
	ck_assert_int_eq(leaders_reset(file, 10), 0);
	ck_assert_int_eq(fstat(file, &less), 0);
	ck_assert_int_eq(whole.st_size - less.st_size, (SLOTS - 10) * 16);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("leaders");
	TCase *tcase = tcase_create("leaders");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, noted_until_reset);
	tcase_add_test(tcase, of_this_boot_alone);
	tcase_add_test(tcase, it_has_its_room);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
