/*
 * test_hoard: what clients make the daemon keep is counted, and the one who must go is the one who has done nothing for longest.
 */
#include <check.h>
#include <stdlib.h>

#include "daemon/hoard.h"

#define KIB ((size_t)1024)

static struct hoard hoard;
static struct hoarder a, b, c;

static void
setup(void)
{
	hoard_init(&hoard, 200 * KIB);
	a = b = c = (struct hoarder){.bytes = 0};
}

START_TEST(a_little_does_not_count)
{
	hoard_set(&hoard, &a, HOARD_SMALL, true, 0);
	ck_assert_uint_eq(hoard.bytes, 0);
	hoard_set(&hoard, &a, HOARD_SMALL + 1, true, 0);
	ck_assert_uint_eq(hoard.bytes, HOARD_SMALL + 1);
	hoard_set(&hoard, &a, HOARD_SMALL, false, 0);
	ck_assert_uint_eq(hoard.bytes, 0);
	ck_assert_uint_eq(hoard.n, 0);
}
END_TEST

START_TEST(who_does_nothing_goes_first)
{
	hoard_set(&hoard, &a, 100 * KIB, true, 0);
	hoard_set(&hoard, &b, 100 * KIB, true, 0);
	ck_assert_ptr_null(hoard_victim(&hoard));
	hoard_set(&hoard, &c, 20 * KIB, true, 0);
	ck_assert_ptr_eq(hoard_victim(&hoard), &a);
	hoard_set(&hoard, &a, 99 * KIB, true, 0); /* he has moved */
	ck_assert_ptr_eq(hoard_victim(&hoard), &b);
	hoard_set(&hoard, &b, 101 * KIB, false, 0); /* he has not: it only became more */
	ck_assert_ptr_eq(hoard_victim(&hoard), &b);
	hoard_set(&hoard, &b, 0, false, 0);
	ck_assert_ptr_null(hoard_victim(&hoard));
	ck_assert_uint_eq(hoard.bytes, 119 * KIB);
}
END_TEST

START_TEST(shares)
{
	ck_assert_uint_eq(hoard_share(&hoard, 1000 * KIB), 100 * KIB);
	ck_assert_uint_eq(hoard_share(&hoard, 50 * KIB), 50 * KIB);
	hoard_set(&hoard, &a, 20 * KIB, true, 0);
	ck_assert_uint_eq(hoard_share(&hoard, 1000 * KIB), 50 * KIB);
	hoard.n = 1000;
	ck_assert_uint_eq(hoard_share(&hoard, 1000 * KIB), HOARD_SMALL);
	hoard.n = 1;
	hoard_set(&hoard, &a, 0, true, 0);
	ck_assert_uint_eq(hoard.n, 0);
}
END_TEST

START_TEST(who_is_held_is_not_blamed)
{
	hoard_set(&hoard, &a, 100 * KIB, true, 0);
	hoard_set(&hoard, &b, 101 * KIB, true, 0);
	hoard_hold(&hoard, &a, true, 0);
	ck_assert_ptr_eq(hoard_victim(&hoard), &b);
	hoard_hold(&hoard, &b, true, 0);
	ck_assert_ptr_null(hoard_victim(&hoard));
	hoard_set(&hoard, &b, 0, false, 0);
	hoard_set(&hoard, &b, 110 * KIB, true, 0);
	ck_assert_uint_eq(hoard.bytes, 210 * KIB);
	hoard_hold(&hoard, &b, false, 0);
	hoard_hold(&hoard, &a, false, 0); /* he has had no chance since */
	ck_assert_ptr_eq(hoard_victim(&hoard), &b);
	ck_assert_uint_eq(hoard.n, 2);
	hoard_hold(&hoard, &a, true, 0);
	hoard_set(&hoard, &a, 0, false, 0);
	hoard_set(&hoard, &b, 0, false, 0);
	ck_assert_uint_eq(hoard.bytes, 0);
	ck_assert_uint_eq(hoard.n, 0);
}
END_TEST

START_TEST(who_does_something_is_spared)
{
	hoard_set(&hoard, &a, 100 * KIB, true, 10);
	hoard_set(&hoard, &b, 100 * KIB, true, 20);
	ck_assert_ptr_null(hoard_idle_victim(&hoard, false, 99));
	ck_assert_ptr_null(hoard_idle_victim(&hoard, true, 9));
	ck_assert_ptr_eq(hoard_idle_victim(&hoard, true, 10), &a);
	hoard_set(&hoard, &c, 150 * KIB, true, 30);
	ck_assert_ptr_null(hoard_idle_victim(&hoard, false, 9));
	ck_assert_ptr_eq(hoard_idle_victim(&hoard, false, 10), &a);
	hoard_set(&hoard, &c, 201 * KIB, true, 30);
	ck_assert_ptr_eq(hoard_idle_victim(&hoard, false, 9), &a);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("hoard");
	TCase *tcase = tcase_create("hoard");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, a_little_does_not_count);
	tcase_add_test(tcase, who_does_nothing_goes_first);
	tcase_add_test(tcase, shares);
	tcase_add_test(tcase, who_is_held_is_not_blamed);
	tcase_add_test(tcase, who_does_something_is_spared);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
