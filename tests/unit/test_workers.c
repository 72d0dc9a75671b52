/*
 * test_workers: the daemon's view of its workers, with an understudy in the place of spawner and workers.
 */
#include "daemon/workers.h"

#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/queues.h"
#include "tests/fuzz/understudy.h"

static struct loop *loop;
static struct slots *shared;
static struct workers *workers;
static struct understudy us;
static struct jobs jobs;
static struct queue queue;
static struct job *withdrawn;
static unsigned n_died;

static void
on_job(struct understudy *understudy, unsigned slot, const struct frame_header *header, struct span payload)
{
	(void)understudy;
	(void)slot;
	(void)header;
	(void)payload;
}

static void
on_us_died(struct understudy *understudy, unsigned slot)
{
	(void)understudy;
	(void)slot;
	n_died++;
}

static void
on_outcome(struct job *job, struct outcome *outcome, void *arg)
{
	(void)job;
	(void)outcome;
	(void)arg;
	ck_abort_msg("nobody has answered");
}

static void
on_died(struct job *job, bool begun, int status, const struct usage *usage, void *arg)
{
	(void)begun;
	(void)status;
	(void)usage;
	(void)arg;
	job_free(&jobs, job);
}

/* It is whoever's who gave it: that it seems to be in a slot again must mean nothing to workers. */
static void
on_withdrawn(struct job *job, void *arg)
{
	(void)arg;
	withdrawn = job;
	job->slot = (struct slot *)(uintptr_t)workers_slot(workers, 0);
}

static void
on_output(struct job *job, int64_t out, int64_t err, void *arg)
{
	(void)job;
	(void)out;
	(void)err;
	(void)arg;
}

static void
on_progress(struct job *job, const struct progress *progress, void *arg)
{
	(void)job;
	(void)progress;
	(void)arg;
}

static void
on_nothing(void *arg)
{
	(void)arg;
}

static void
turn(void)
{
	for (int i = 0; i < 3; i++) {
		understudy_turn(&us);
		workers_flush(workers);
		event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
	}
}

static void
setup(void)
{
	const struct workers_callbacks callbacks = {
	    on_outcome, on_died, on_withdrawn, on_output, on_progress, on_nothing, on_nothing, NULL};
	struct workers_config config = {.cpu = 1};

	loop = loop_new();
	shared = slots_new(1);
	us = (struct understudy){.job = on_job, .cancel = on_job, .died = on_us_died};
	understudy_open(&us, 1, shared, &config.spawner_fd);
	config.shared = shared;
	workers = workers_new(loop, &config, &callbacks);
	workers_start(workers);
	turn();
}

static void
teardown(void)
{
	workers_free(workers);
	understudy_close(&us);
	slots_free(shared);
	loop_free(loop);
}

static struct job *
send_job(int64_t id)
{
	const struct spec spec = {.id = id,
	    .idempotent = true,
	    .max_attempts = 3,
	    .timeout_ms = SPEC_NONE,
	    .task = "noop",
	    .queue = "default",
	    .owner = "uid:1",
	    .args = SPAN_LIT("[1]")};
	struct job *job = job_new(&jobs, spec_new(&spec), task_find_name(tasks_builtin, "noop"));
	struct slot *slot = workers_place(workers, job);

	ck_assert_ptr_nonnull(slot);
	job->queue = &queue;
	job->token = (uint64_t)id;
	workers_reserve(slot, job);
	ck_assert(workers_send(job));
	return job;
}

START_TEST(what_has_not_begun_is_only_taken_back)
{
	struct job *job;

	us.mute = true; /* it reads nothing, so it begins nothing */
	job = send_job(1);
	turn();
	workers_kill(job);
	ck_assert_ptr_eq(withdrawn, job);
	turn();
	ck_assert_uint_eq(n_died, 0);
	withdrawn->slot = NULL;
	job_free(&jobs, withdrawn);
}
END_TEST

START_TEST(what_has_begun_ends_with_its_worker)
{
	struct job *job = send_job(1);

	turn();
	workers_kill(job);
	turn();
	ck_assert_uint_eq(n_died, 1);
	ck_assert_ptr_null(withdrawn);
	ck_assert_uint_eq(jobs.n, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("workers");
	TCase *tests = tcase_create("workers");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, what_has_not_begun_is_only_taken_back);
	tcase_add_test(tests, what_has_begun_ends_with_its_worker);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
