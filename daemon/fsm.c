/*
 * fsm: see fsm.h. An empty cell is FSM_BUG: dispatch asserts that it never meets one.
 */
#include "daemon/fsm.h"

#define STEP(state, action) {(unsigned char)(state), (unsigned char)(action)}

/* A zeroed cell must not look like a step, so the table holds action + 1. */
#define TO(state, action) STEP(state, (action) + 1)

static const struct fsm_step fsm_table[FSM_STATES][FSM_EVENTS] = {
	[FSM_ADDING] = {
		[FSM_E_STORED] = TO(FSM_READY, FSM_OFFER),
		[FSM_E_STORED_RUNNING] = TO(FSM_RUNNING, FSM_RUN),
		[FSM_E_STORED_FAR] = TO(FSM_GONE, FSM_DROP),
		[FSM_E_STORED_ENDED] = TO(FSM_GONE, FSM_TELL),
		[FSM_E_REFUSED] = TO(FSM_GONE, FSM_DROP),
	},
	[FSM_READY] = {
		[FSM_E_PICK] = TO(FSM_PICKED, FSM_START),
		[FSM_E_SEND] = TO(FSM_RUNNING, FSM_RUN),
		[FSM_E_CANCELLED] = TO(FSM_GONE, FSM_TELL),
		[FSM_E_STORED_FAR] = TO(FSM_GONE, FSM_DROP),
	},
	[FSM_PICKED] = {
		[FSM_E_STARTED] = TO(FSM_RUNNING, FSM_RUN),
		[FSM_E_UNSTARTED] = TO(FSM_GONE, FSM_DROP),
		[FSM_E_CANCELLED] = TO(FSM_PICKED, FSM_NONE), /* the start will be refused */
		[FSM_E_REFUSED] = TO(FSM_READY, FSM_OFFER),
	},
	[FSM_RUNNING] = {
		[FSM_E_STOP] = TO(FSM_STOPPING, FSM_END),
		[FSM_E_OUTCOME] = TO(FSM_ENDING, FSM_WRITE),
		[FSM_E_WITHDRAWN] = TO(FSM_ENDING, FSM_BACK),
		[FSM_E_REFUSED] = TO(FSM_READY, FSM_OFFER), /* nothing was sent: its start was recorded, yet it has no place */
	},
	[FSM_STOPPING] = {
		[FSM_E_STOP] = TO(FSM_STOPPING, FSM_NONE),
		[FSM_E_OUTCOME] = TO(FSM_ENDING, FSM_WRITE),
	},
	[FSM_ENDING] = {
		[FSM_E_STOP] = TO(FSM_ENDING, FSM_NONE),
		[FSM_E_ENDED] = TO(FSM_GONE, FSM_TELL),
		[FSM_E_RELEASED] = TO(FSM_GONE, FSM_DROP),
		[FSM_E_STORED] = TO(FSM_READY, FSM_OFFER),
		[FSM_E_FENCED] = TO(FSM_GONE, FSM_DROP),
		[FSM_E_CANCELLED] = TO(FSM_GONE, FSM_TELL),
		[FSM_E_NO_ROOM] = TO(FSM_HELD, FSM_NONE),
	},
	[FSM_HELD] = {
		[FSM_E_ROOM] = TO(FSM_ENDING, FSM_WRITE),
		[FSM_E_STOP] = TO(FSM_HELD, FSM_NONE),
	},
};

struct fsm_step
fsm_step(enum fsm_state state, enum fsm_event event)
{
	struct fsm_step step = fsm_table[state][event];

	if (step.action == 0)
		return (struct fsm_step){(unsigned char)state, FSM_BUG};
	step.action--;
	return step;
}

const char *
fsm_state_name(enum fsm_state state)
{
	static const char *const names[FSM_STATES] = {
	    "adding", "ready", "picked", "running", "stopping", "ending", "held", "gone"};

	return names[state];
}

const char *
fsm_event_name(enum fsm_event event)
{
	static const char *const names[FSM_EVENTS] = {"stored", "stored-running", "stored-far", "stored-ended", "refused", "pick",
	    "send", "started", "unstarted", "cancelled", "stop", "outcome", "withdrawn", "ended", "released", "fenced", "no-room",
	    "room"};

	return names[event];
}
