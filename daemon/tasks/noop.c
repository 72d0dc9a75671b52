/*
 * noop: the task that does nothing: the price of a job, and a probe.
 */
#include "tasks.h"

static void
noop_run(const struct task_call *call, struct outcome *ret_outcome)
{
	outcome_set_result(ret_outcome, call->args);
}

const struct task task_noop = {
    .name = "noop",
    .doc = "does nothing in a worker; returns its args",
    .kind = TASK_FUNCTION,
    .idempotent = true,
    .pure = true,
    .any_args = true,
    .run = noop_run,
};
