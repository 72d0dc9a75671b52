/*
 * test_queues: turns are fair (queues within a pool, owners within a queue), counts add up, and what is not needed any more goes.
 */
#include <check.h>
#include <stdlib.h>

#include "daemon/queues.h"

struct fixture {
	struct queues queues;
	struct jobs jobs;
	int64_t next_id;
};

static struct fixture fixture;

static void
set_up(void)
{
	fixture = (struct fixture){.next_id = 1};
	queues_init(&fixture.queues, 64);
}

static void
tear_down(void)
{
	queues_done(&fixture.queues);
	ck_assert_uint_eq(fixture.jobs.n, 0);
}

static void
put(const char *queue_name, const char *owner, int16_t priority)
{
	struct spec from = {.id = fixture.next_id++, .task = "t", .queue = queue_name, .owner = owner, .priority = priority};
	struct queue *queue = queues_get(&fixture.queues, queue_name);
	struct line *line = queues_line(&fixture.queues, queue, POOL_CPU, owner);
	struct job *job = job_new(&fixture.jobs, spec_new(&from), NULL), *dropped;

	ck_assert(line_offer(line, job, &dropped));
	queues_relist(&fixture.queues, line);
}

/* The id of the next job; 0: none. */
static int64_t
pick(void)
{
	struct job *job = queues_head(&fixture.queues, POOL_CPU);
	struct line *line;
	int64_t id;

	if (job == NULL)
		return 0;
	line = job->line;
	id = job->spec->id;
	queues_rotate(&fixture.queues, POOL_CPU);
	line_remove(line, job);
	queues_relist(&fixture.queues, line);
	queues_tidy_line(&fixture.queues, line);
	job_free(&fixture.jobs, job);
	return id;
}

START_TEST(owners_take_turns)
{
	for (int i = 0; i < 4; i++)
		put("q", "flood", 0); /* 1..4 */
	put("q", "other", 0); /* 5 */
	put("q", "third", 0); /* 6 */
	ck_assert_int_eq(pick(), 1);
	ck_assert_int_eq(pick(), 5);
	ck_assert_int_eq(pick(), 6);
	ck_assert_int_eq(pick(), 2);
	ck_assert_int_eq(pick(), 3);
	ck_assert_int_eq(pick(), 4);
	ck_assert_int_eq(pick(), 0);
}
END_TEST

START_TEST(queues_take_turns)
{
	put("a", "o", 0);
	put("a", "o", 0);
	put("b", "o", 0);
	ck_assert_int_eq(pick(), 1);
	ck_assert_int_eq(pick(), 3);
	ck_assert_int_eq(pick(), 2);
}
END_TEST

START_TEST(an_owner_goes_by_priority_then_id)
{
	put("q", "o", 0);
	put("q", "o", 5);
	put("q", "o", 0);
	put("q", "o", 5);
	ck_assert_int_eq(pick(), 2);
	ck_assert_int_eq(pick(), 4);
	ck_assert_int_eq(pick(), 1);
	ck_assert_int_eq(pick(), 3);
}
END_TEST

START_TEST(other_pools_are_not_seen)
{
	struct queue *queue = queues_get(&fixture.queues, "q");

	put("q", "o", 0);
	ck_assert_ptr_null(queues_head(&fixture.queues, POOL_WAITS));
	ck_assert_ptr_ne(queues_line(&fixture.queues, queue, POOL_WAITS, "o"), queues_line(&fixture.queues, queue, POOL_CPU, "o"));
	ck_assert_int_eq(pick(), 1);
}
END_TEST

START_TEST(what_is_empty_goes)
{
	put("q", "o", 0);
	ck_assert_uint_eq(fixture.queues.n, 1);
	ck_assert_int_eq(pick(), 1);
	ck_assert_uint_eq(fixture.queues.n, 0);
	ck_assert_ptr_null(queues_find(&fixture.queues, "q"));
}
END_TEST

START_TEST(counts_add_up)
{
	struct queue *queue = queues_get(&fixture.queues, "q");

	queues_count_pending(&fixture.queues, queue, "o", 3);
	queues_count_running(&fixture.queues, queue, 1);
	queues_count_pending(&fixture.queues, queue, "o", -1);
	ck_assert_int_eq(queue->pending, 2);
	ck_assert_int_eq(queues_owner_pending(&fixture.queues, "o"), 2);
	ck_assert_int_eq(queues_owner_pending(&fixture.queues, "nobody"), 0);
	ck_assert_int_eq(fixture.queues.pending, 2);
	queues_release(&fixture.queues, queue);
	ck_assert_ptr_eq(queues_find(&fixture.queues, "q"), queue); /* it has jobs */
	queues_count_pending(&fixture.queues, queue, "o", -2);
	queues_count_running(&fixture.queues, queue, -1);
	queues_release(&fixture.queues, queue);
	ck_assert_ptr_null(queues_find(&fixture.queues, "q"));
}
END_TEST

static void
set(const char *queue_name, bool paused, int64_t limit)
{
	struct queue *queue = queues_get(&fixture.queues, queue_name);

	queue->asked = queue->durable = (struct queue_settings){paused, limit};
	queues_reset(&fixture.queues, queue);
}

START_TEST(a_paused_queue_is_not_picked_from)
{
	put("a", "o", 0);
	put("b", "o", 0);
	put("a", "o", 0);
	set("a", true, SPEC_NONE);
	put("a", "other", 0);
	ck_assert_int_eq(pick(), 2);
	ck_assert_int_eq(pick(), 0);
	set("a", false, SPEC_NONE);
	ck_assert_int_eq(pick(), 1);
	ck_assert_int_eq(pick(), 4);
	ck_assert_int_eq(pick(), 3);
}
END_TEST

START_TEST(a_queue_at_its_limit_is_not_picked_from)
{
	struct queue *queue = queues_get(&fixture.queues, "q");

	set("q", false, 2);
	put("q", "o", 0);
	put("q", "other", 0);
	put("q", "o", 0);
	ck_assert_int_eq(pick(), 1);
	queues_count_running(&fixture.queues, queue, 1);
	ck_assert(!queue_is_at_limit(queue));
	ck_assert_int_eq(pick(), 2);
	queues_count_running(&fixture.queues, queue, 1);
	ck_assert(queue_is_at_limit(queue));
	ck_assert_int_eq(pick(), 0);
	set("q", false, 1); /* below what runs: it waits */
	queues_count_running(&fixture.queues, queue, -1);
	ck_assert_int_eq(pick(), 0);
	queues_count_running(&fixture.queues, queue, -1);
	ck_assert_int_eq(pick(), 3);
}
END_TEST

/* What is asked for and what is durable: the stricter holds. */
START_TEST(the_stricter_setting_holds)
{
	struct queue *queue = queues_get(&fixture.queues, "q");

	put("q", "o", 0);
	queue->asked.paused = true;
	ck_assert(queue_is_paused(queue));
	queue->durable.paused = true;
	queue->asked.paused = false;
	ck_assert(queue_is_paused(queue));
	queue->durable.paused = false;
	ck_assert(!queue_is_paused(queue));
	queues_count_running(&fixture.queues, queue, 3);
	queue->asked.limit = 3;
	ck_assert(queue_is_at_limit(queue));
	queue->durable.limit = 4;
	ck_assert(queue_is_at_limit(queue));
	queue->asked.limit = 5;
	ck_assert(!queue_is_at_limit(queue));
	queue->durable.limit = 3;
	ck_assert(queue_is_at_limit(queue));
	queues_count_running(&fixture.queues, queue, -3);
	ck_assert_int_eq(pick(), 1);
}
END_TEST

START_TEST(what_is_set_stays)
{
	struct queue *queue;

	set("q", false, 5);
	queue = queues_find(&fixture.queues, "q");
	queues_release(&fixture.queues, queue);
	ck_assert_ptr_eq(queues_find(&fixture.queues, "q"), queue);
	set("q", false, SPEC_NONE);
	queue->changing = 1; /* a setting is on its way */
	queues_release(&fixture.queues, queue);
	ck_assert_ptr_eq(queues_find(&fixture.queues, "q"), queue);
	queue->changing = 0;
	queues_release(&fixture.queues, queue);
	ck_assert_ptr_null(queues_find(&fixture.queues, "q"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("queues");
	TCase *tcase = tcase_create("queues");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, owners_take_turns);
	tcase_add_test(tcase, queues_take_turns);
	tcase_add_test(tcase, an_owner_goes_by_priority_then_id);
	tcase_add_test(tcase, other_pools_are_not_seen);
	tcase_add_test(tcase, what_is_empty_goes);
	tcase_add_test(tcase, counts_add_up);
	tcase_add_test(tcase, a_paused_queue_is_not_picked_from);
	tcase_add_test(tcase, a_queue_at_its_limit_is_not_picked_from);
	tcase_add_test(tcase, the_stricter_setting_holds);
	tcase_add_test(tcase, what_is_set_stays);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
