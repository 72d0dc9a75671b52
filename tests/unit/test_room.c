/*
 * test_room: large replies are made when there is room for them, in the order in which they were asked for; small ones at once.
 */
#include <check.h>
#include <stdlib.h>

#include "daemon/room.h"

#define MIB ((size_t)1 << 20)

static struct hoard unread;
static struct hoarder reader;
static struct rooms rooms;
static struct room a, b, c;
static unsigned went_a, went_b, went_c;

static void
go(void *arg)
{
	++*(unsigned *)arg;
}

static void
setup(void)
{
	hoard_init(&unread, 64 * MIB);
	rooms_init(&rooms, &unread);
	reader = (struct hoarder){0};
	a = b = c = (struct room){.rooms = &rooms};
	went_a = went_b = went_c = 0;
}

START_TEST(as_many_as_there_is_room_for)
{
	room_take(&a, 16 * MIB, go, &went_a);
	room_take(&b, 32 * MIB, go, &went_b);
	ck_assert_uint_eq(went_a + went_b, 2);
	room_take(&c, 16 * MIB, go, &went_c);
	rooms_go(&rooms);
	ck_assert_uint_eq(went_c, 0);
	ck_assert(rooms_are_wanted(&rooms));
	room_leave(&a);
	rooms_go(&rooms);
	ck_assert_uint_eq(went_c, 1);
	room_leave(&b);
	room_leave(&c);
	ck_assert_uint_eq(rooms.taken, 0);
}
END_TEST

START_TEST(what_is_unread_takes_room)
{
	hoard_set(&unread, &reader, 40 * MIB, true, 1);
	room_take(&a, 16 * MIB, go, &went_a);
	hoard_set(&unread, &reader, 33 * MIB, true, 2);
	rooms_go(&rooms);
	ck_assert_uint_eq(went_a, 0);
	hoard_set(&unread, &reader, 32 * MIB, true, 3);
	rooms_go(&rooms);
	ck_assert_uint_eq(went_a, 1);
}
END_TEST

START_TEST(small_ones_do_not_wait)
{
	hoard_set(&unread, &reader, 60 * MIB, true, 1);
	room_take(&a, 16 * MIB, go, &went_a);
	room_take(&b, ROOM_SMALL, go, &went_b);
	ck_assert_uint_eq(went_a, 0);
	ck_assert_uint_eq(went_b, 1);
	ck_assert(rooms_have(&rooms, ROOM_SMALL));
	ck_assert(!rooms_have(&rooms, MIB));
}
END_TEST

/* Who came later gets nothing that the first is waiting for. */
START_TEST(in_order)
{
	room_take(&a, 40 * MIB, go, &went_a);
	room_take(&b, 16 * MIB, go, &went_b);
	room_take(&c, MIB, go, &went_c);
	rooms_go(&rooms);
	ck_assert_uint_eq(went_b + went_c, 0);
	room_leave(&b); /* who asked for it has left */
	rooms_go(&rooms);
	ck_assert_uint_eq(went_b, 0);
	ck_assert_uint_eq(went_c, 1);
}
END_TEST

START_TEST(at_the_end_all_go)
{
	hoard_set(&unread, &reader, 64 * MIB, true, 1);
	room_take(&a, 16 * MIB, go, &went_a);
	room_take(&b, 16 * MIB, go, &went_b);
	rooms_end(&rooms);
	ck_assert_uint_eq(went_a + went_b, 2);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("room");
	TCase *tcase = tcase_create("room");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, as_many_as_there_is_room_for);
	tcase_add_test(tcase, what_is_unread_takes_room);
	tcase_add_test(tcase, small_ones_do_not_wait);
	tcase_add_test(tcase, in_order);
	tcase_add_test(tcase, at_the_end_all_go);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
