/*
 * time: the tasks that only wait: time.sleep, and noop.io, which does not even that. Both run on the thread of waits,
 * where ten thousand sleeps are ten thousand entries of a heap.
 */
#include "daemon/waits.h"
#include "tasks.h"

#define SLEEP_MAX 1e9 /* seconds, some thirty years */

static const struct task_param sleep_params[] = {
    {"seconds", TYPE_NUMBER, true, "how long to wait, fractions allowed"},
    {NULL, TYPE_ANY, false, NULL},
};

static void
sleep_over(struct wait *wait)
{
	struct outcome outcome = {0};
	struct span values[TASK_PARAMS_MAX];

	if (task_bind(&task_time_sleep, wait_call(wait)->args, values, &outcome) == 0)
		outcome_set_result(&outcome, values[0]);
	wait_finish(wait, &outcome);
}

static void
sleep_begin(const struct task_call *call, struct wait *wait)
{
	struct outcome outcome = {0};
	struct span values[TASK_PARAMS_MAX];
	double seconds = 0;

	if (task_bind(&task_time_sleep, call->args, values, &outcome) == 0 &&
	    (jsonspan_number(values[0], &seconds) < 0 || !(seconds >= 0 && seconds <= SLEEP_MAX)))
		outcome_set_error(
		    &outcome, JOB_ERROR_BAD_ARGUMENTS, "time.sleep: seconds must be from 0 to 1000000000");
	if (outcome.error != JOB_ERROR_NONE)
		wait_finish(wait, &outcome);
	else
		wait_timer(wait, (int64_t)(seconds * 1e6), sleep_over);
}

const struct task task_time_sleep = {
    .name = "time.sleep",
    .doc = "waits so many seconds, at no cost; returns them",
    .kind = TASK_WAIT,
    .idempotent = true,
    .pure = true,
    .params = sleep_params,
    .begin = sleep_begin,
};

static void
noop_begin(const struct task_call *call, struct wait *wait)
{
	struct outcome outcome = {0};

	outcome_set_result(&outcome, call->args);
	wait_finish(wait, &outcome);
}

const struct task task_noop_io = {
    .name = "noop.io",
    .doc = "returns its arguments, by way of the io lane",
    .kind = TASK_WAIT,
    .idempotent = true,
    .pure = true,
    .any_args = true,
    .begin = noop_begin,
};
