/*
 * state: see state.h. Three tables of words; the enums index them.
 */
#include "state.h"

#include <stddef.h>
#include <string.h>

static const char *const state_names[JOB_STATE_COUNT] = {
    [JOB_PENDING] = "pending",
    [JOB_RUNNING] = "running",
    [JOB_SUCCEEDED] = "succeeded",
    [JOB_FAILED] = "failed",
    [JOB_CANCELLED] = "cancelled",
};

static const char *const reason_names[] = {
    [REASON_NONE] = NULL,
    [REASON_AFTER] = "after",
    [REASON_DELAYED] = "delayed",
    [REASON_RETRYING] = "retrying",
    [REASON_PAUSED] = "paused",
    [REASON_QUEUE_LIMIT] = "queue_limit",
    [REASON_CAPACITY] = "capacity",
    [REASON_READY] = "ready",
};

const char *
job_state_name(enum job_state state)
{
	return state_names[state];
}

int
job_state_parse(const char *name, enum job_state *ret_state)
{
	for (unsigned i = 0; i < JOB_STATE_COUNT; i++) {
		if (strcmp(name, state_names[i]) == 0) {
			*ret_state = (enum job_state)i;
			return 0;
		}
	}
	return -1;
}

const char *
lane_name(enum lane lane)
{
	return lane == LANE_CPU ? "cpu" : "io";
}

int
lane_parse(const char *name, enum lane *ret_lane)
{
	if (strcmp(name, "cpu") == 0)
		*ret_lane = LANE_CPU;
	else if (strcmp(name, "io") == 0)
		*ret_lane = LANE_IO;
	else
		return -1;
	return 0;
}

const char *
job_reason_name(enum job_reason reason)
{
	return reason_names[reason];
}
