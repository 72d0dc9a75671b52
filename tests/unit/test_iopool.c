/*
 * test_iopool: blocking tasks in threads, what becomes of those that hang, and the daemon's own calls.
 */
#include "daemon/iopool.h"

#include <check.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pump.h"

static struct loop *loop;
static struct iopool *pool;
static unsigned n_done;
static uint64_t last_job, last_token;
static char last_json[256];

static sem_t begun, go_on;
static pthread_barrier_t together;

static void
done(uint64_t job, uint64_t token, struct outcome *outcome, void *arg)
{
	ck_assert_ptr_eq(arg, &n_done);
	n_done++;
	last_job = job;
	last_token = token;
	ck_assert_uint_lt(outcome->len, sizeof(last_json));
	memcpy(last_json, outcome->json, outcome->len);
	last_json[outcome->len] = '\0';
	outcome_done(outcome);
}

static void
run_echo(const struct task_call *call, struct outcome *ret_outcome)
{
	outcome_set_result(ret_outcome, call->args);
}

static void
run_together(const struct task_call *call, struct outcome *ret_outcome)
{
	pthread_barrier_wait(&together);
	run_echo(call, ret_outcome);
}

static void
run_hang(const struct task_call *call, struct outcome *ret_outcome)
{
	sem_post(&begun);
	while (sem_wait(&go_on) < 0)
		continue;
	run_echo(call, ret_outcome);
}

static void
run_signals(const struct task_call *call, struct outcome *ret_outcome)
{
	sigset_t blocked;

	(void)call;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	outcome_set_result(ret_outcome,
	    sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD) ? SPAN_LIT("true") : SPAN_LIT("false"));
}

static const struct task echo = {.name = "echo", .kind = TASK_BLOCKING, .run = run_echo};
static const struct task in_step = {.name = "in_step", .kind = TASK_BLOCKING, .run = run_together};
static const struct task hang = {.name = "hang", .kind = TASK_BLOCKING, .run = run_hang};
static const struct task signals = {.name = "signals", .kind = TASK_BLOCKING, .run = run_signals};

static void
run(const struct task *task, uint64_t token)
{
	char args[32];
	int len = snprintf(args, sizeof(args), "[%d]", (int)token);

	iopool_run(pool, task, token + 1000, token, 1, (struct span){args, (size_t)len});
}

static void
setup(void)
{
	n_done = 0;
	sem_init(&begun, 0, 0);
	sem_init(&go_on, 0, 0);
	loop = loop_new();
	pool = iopool_new(loop, 4, done, &n_done);
	ck_assert_ptr_nonnull(pool);
}

static void
teardown(void)
{
	iopool_free(pool, 10000);
	loop_deliver(loop); /* what was posted is freed on delivery */
	loop_free(loop);
}

START_TEST(each_outcome_comes_once)
{
	for (uint64_t i = 0; i < 200; i++)
		run(&echo, i);
	PUMP(loop, n_done == 200);
	run(&echo, 500);
	PUMP(loop, n_done == 201);
	ck_assert_uint_eq(last_job, 1500);
	ck_assert_uint_eq(last_token, 500);
	ck_assert_str_eq(last_json, "[500]");
}
END_TEST

START_TEST(they_run_side_by_side)
{
	pthread_barrier_init(&together, NULL, 4);
	for (uint64_t i = 0; i < 8; i++)
		run(&in_step, i);
	PUMP(loop, n_done == 8);
}
END_TEST

START_TEST(one_more_waits)
{
	for (uint64_t i = 0; i < 4; i++)
		run(&hang, i);
	run(&echo, 4);
	for (int i = 0; i < 4; i++)
		sem_wait(&begun);
	pump_turn(loop);
	ck_assert_uint_eq(n_done, 0);
	sem_post(&go_on);
	PUMP(loop, n_done == 2);
	for (int i = 0; i < 3; i++)
		sem_post(&go_on);
	PUMP(loop, n_done == 5);
}
END_TEST

START_TEST(an_abandoned_job_gives_its_place_away)
{
	for (uint64_t i = 0; i < 4; i++)
		run(&hang, i);
	for (int i = 0; i < 4; i++)
		sem_wait(&begun);
	run(&echo, 10);
	ck_assert(iopool_abandon(pool, 2));
	ck_assert(!iopool_abandon(pool, 2));
	ck_assert_uint_eq(iopool_abandoned(pool), 1);
	PUMP(loop, n_done == 1);
	ck_assert_uint_eq(last_token, 10);
	for (int i = 0; i < 4; i++)
		sem_post(&go_on);
	PUMP(loop, n_done == 4 && iopool_abandoned(pool) == 0);
	run(&echo, 11);
	PUMP(loop, n_done == 5);
}
END_TEST

START_TEST(a_queued_or_ended_job_can_be_abandoned)
{
	for (uint64_t i = 0; i < 4; i++)
		run(&hang, i);
	for (int i = 0; i < 4; i++)
		sem_wait(&begun);
	run(&echo, 10);
	ck_assert(iopool_abandon(pool, 10));
	ck_assert_uint_eq(iopool_abandoned(pool), 0);
	sem_post(&go_on);
	PUMP(loop, n_done == 1);
	/* The thread that came free runs this one, and takes the next only after its outcome is on its way. */
	run(&echo, 11);
	run(&hang, 12);
	sem_wait(&begun);
	ck_assert(!iopool_abandon(pool, 11));
	for (int i = 0; i < 4; i++)
		sem_post(&go_on);
	PUMP(loop, n_done == 5);
	ck_assert(!iopool_abandon(pool, 999));
}
END_TEST

START_TEST(signals_stay_away)
{
	run(&signals, 1);
	PUMP(loop, n_done == 1);
	ck_assert_str_eq(last_json, "true");
}
END_TEST

START_TEST(a_thread_that_hangs_does_not_hold_up_the_end)
{
	struct iopool *other = iopool_new(loop, 1, done, &n_done);
	int64_t start;

	iopool_run(other, &hang, 1, 1, 1, SPAN_LIT("[]"));
	sem_wait(&begun);
	iopool_run(other, &echo, 2, 2, 1, SPAN_LIT("[]"));
	start = loop_mono_ms();
	iopool_free(other, 50);
	ck_assert_int_ge(loop_mono_ms() - start, 50);
	sem_post(&go_on); /* the last thread ends the pool */
	pump_turn(loop);
	ck_assert_uint_eq(n_done, 0);
}
END_TEST

static pthread_t main_thread;
static int order[64];
static int n_worked, n_called;

static void
call_work(void *arg)
{
	ck_assert(!pthread_equal(pthread_self(), main_thread));
	order[n_worked++] = *(int *)arg;
}

static void
call_done(void *arg)
{
	ck_assert(pthread_equal(pthread_self(), main_thread));
	n_called++;
	free(arg);
}

START_TEST(calls_run_in_order_beside_the_jobs)
{
	main_thread = pthread_self();
	n_worked = n_called = 0;
	for (uint64_t i = 0; i < 4; i++)
		run(&hang, i);
	for (int i = 0; i < 64; i++) {
		int *n = malloc(sizeof(*n));

		*n = i;
		iopool_call(pool, call_work, call_done, n);
	}
	PUMP(loop, n_called == 32 || n_called == 64);
	for (int i = 0; i < 4; i++)
		sem_post(&go_on);
	iopool_free(pool, 10000);
	pool = NULL;
	ck_assert_int_eq(n_called, 64);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(order[i], i);
	pump_turn(loop);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("iopool");
	TCase *tcase = tcase_create("iopool");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120.0 * (double)pump_scale());
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_outcome_comes_once);
	tcase_add_test(tcase, they_run_side_by_side);
	tcase_add_test(tcase, one_more_waits);
	tcase_add_test(tcase, an_abandoned_job_gives_its_place_away);
	tcase_add_test(tcase, a_queued_or_ended_job_can_be_abandoned);
	tcase_add_test(tcase, signals_stay_away);
	tcase_add_test(tcase, a_thread_that_hangs_does_not_hold_up_the_end);
	tcase_add_test(tcase, calls_run_in_order_beside_the_jobs);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
