/*
 * The words for what a job is and where it runs, as clients see them. Pure.
 */
#ifndef PROTO_STATE_H
#define PROTO_STATE_H

enum job_state {
	JOB_PENDING,
	JOB_RUNNING,
	JOB_SUCCEEDED,
	JOB_FAILED,
	JOB_CANCELLED,
	JOB_STATE_COUNT,
};

/* Static; "pending" ... "cancelled". */
const char *job_state_name(enum job_state state);
/* 0 and *ret_state, or -1 for a word that is none. */
int job_state_parse(const char *name, enum job_state *ret_state);

enum lane {
	LANE_CPU,
	LANE_IO,
};

const char *lane_name(enum lane lane);
int lane_parse(const char *name, enum lane *ret_lane);

/* Why a pending job waits; the contract's order: the first that holds is told. */
enum job_reason {
	REASON_NONE,
	REASON_AFTER,
	REASON_DELAYED,
	REASON_RETRYING,
	REASON_PAUSED,
	REASON_QUEUE_LIMIT,
	REASON_CAPACITY,
	REASON_READY,
};

/* NULL for REASON_NONE. */
const char *job_reason_name(enum job_reason reason);

#endif
