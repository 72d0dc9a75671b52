/*
 * test_client_items: from lines of input to batches of args, as map sends them.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/items.h"

static struct items items;
static struct text batch;
static size_t refused;
static int writer;

static void setup(void)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	items_open(&items, NULL);
	items.fd = ends[0];
	items.task.name = "noop";
	writer = ends[1];
}

static void teardown(void)
{
	if (writer >= 0)
		close(writer);
	items_done(&items);
	items = (struct items){0};
	text_done(&batch);
}

static void put(const char *bytes, size_t len)
{
	ck_assert_int_eq(write(writer, bytes, len), (ssize_t)len);
	items_read(&items);
}

static void put_end(void)
{
	close(writer);
	writer = -1;
	while (!items.eof)
		items_read(&items);
}

START_TEST(lines)
{
	put("a b\n\n", 5);
	put("[1,2]\n  {\"n\":3}\r\n[half", 22);
	ck_assert_uint_eq(items.batch_count, 4);
	put("\n\xc3\xa4 \"q", 6);
	ck_assert(!items_is_over(&items));
	put_end();
	ck_assert(items_is_over(&items) && !items.wrong);
	ck_assert_uint_eq(items_take_batch(&items, &batch, &refused), 6);
	ck_assert_str_eq(
	    text_string(&batch), "[[\"a b\"],[\"\"],[1,2],  {\"n\":3}\r,[\"[half\"],[\"\xc3\xa4 \\\"q\"]]");
	ck_assert_uint_eq(items_take_batch(&items, &batch, &refused), 0);
	ck_assert_str_eq(text_string(&batch), "[]");
}
END_TEST

START_TEST(commands)
{
	char *command[] = {"cp", "{}", "to/{}.{}", NULL};
	char *bare[] = {"echo", NULL};

	items.command = command;
	text_add_string(&items.tail, ",\"umask\":18");
	put("a\n{}\n", 5);
	items.command = bare;
	put("[1]\n", 4);
	ck_assert_uint_eq(items_take_batch(&items, &batch, &refused), 3);
	ck_assert_str_eq(text_string(&batch), "[{\"argv\":[\"cp\",\"a\",\"to/a.a\"],\"umask\":18},"
	    "{\"argv\":[\"cp\",\"{}\",\"to/{}.{}\"],\"umask\":18},{\"argv\":[\"echo\",\"[1]\"],\"umask\":18}]");
}
END_TEST

START_TEST(bad_lines)
{
	/* Each line that cannot be an item ends its batch, and the next one is gone on with. */
	put("a\n\xff\nb\nc\0d\n\xfe\n", 12);
	ck_assert(items_is_full(&items) && !items.wrong);
	ck_assert_uint_eq(items_take_batch(&items, &batch, &refused), 1);
	ck_assert_uint_eq(refused, 1);
	ck_assert_str_eq(text_string(&batch), "[[\"a\"]]");
	ck_assert_uint_eq(items_take_batch(&items, &batch, &refused), 1);
	ck_assert_uint_eq(refused, 1);
	ck_assert_str_eq(text_string(&batch), "[[\"b\"]]");
	put_end();
	ck_assert_msg(!items_is_over(&items), "the last refused line has a place as well");
	ck_assert_uint_eq(items_take_batch(&items, &batch, &refused), 0);
	ck_assert_uint_eq(refused, 1);
	ck_assert(items_is_over(&items) && items.line == 5);
}
END_TEST

START_TEST(full_batches)
{
	static char line[60000];
	size_t taken;

	/* A batch is full at some 4 MiB; lines that had been read already begin the next one. */
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	line[29999] = '\n';
	while (!items_is_full(&items))
		put(line, sizeof(line));
	ck_assert_uint_lt(items.batch.len, (4u << 20) + sizeof(line));
	taken = items_take_batch(&items, &batch, &refused);
	put_end();
	taken += items_take_batch(&items, &batch, &refused);
	ck_assert_uint_eq(taken, (size_t)items.line);
	ck_assert_uint_eq(taken % 2, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_items");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, lines);
	tcase_add_test(tcase, commands);
	tcase_add_test(tcase, bad_lines);
	tcase_add_test(tcase, full_batches);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
