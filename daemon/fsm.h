/*
 * fsm: the life of a job as a table: state and event in, next state and what is to be done out. Pure.
 *
 * dispatch alone asks, and carries out the answer; no other file moves a job between states. Jobs that are only in the store (delayed, waiting, ready
 * beyond the window, ended) have no state here: they are gone from memory.
 */
#ifndef DAEMON_FSM_H
#define DAEMON_FSM_H

enum fsm_state {
	FSM_ADDING,   /* its submission is not committed; it may have been sent already if it is pure */
	FSM_READY,    /* durable, in a line's window */
	FSM_PICKED,   /* its start is on its way to the store */
	FSM_RUNNING,  /* sent */
	FSM_STOPPING, /* told to stop, or its process is being ended; its tree may still live */
	FSM_ENDING,   /* its tree is gone; its end is on its way to the store */
	FSM_HELD,     /* its end waits for room on the disk */
	FSM_GONE,     /* not in memory any more: ended, or only in the store */
	FSM_STATES,
};

enum fsm_event {
	FSM_E_STORED,     /* submission committed, ready */
	FSM_E_STORED_RUNNING, /* submission committed together with the start */
	FSM_E_STORED_FAR, /* submission committed, delayed or beyond the window */
	FSM_E_STORED_ENDED, /* submission committed together with the end */
	FSM_E_REFUSED,    /* submission not committed */
	FSM_E_PICK,       /* chosen: a start is asked of the store */
	FSM_E_SEND,       /* chosen, pure: sent without asking */
	FSM_E_STARTED,    /* the store says: started */
	FSM_E_UNSTARTED,  /* the store says: not any more */
	FSM_E_CANCELLED,  /* the store has ended it before it began: cancelled, or expired */
	FSM_E_STOP,       /* cancel or time-out of running work */
	FSM_E_OUTCOME,    /* an outcome, and its tree is empty */
	FSM_E_WITHDRAWN,  /* taken back from a worker before it began */
	FSM_E_ENDED,      /* the end is durable */
	FSM_E_RELEASED,   /* the store has it back for another attempt */
	FSM_E_FENCED,     /* the store does not know that attempt */
	FSM_E_NO_ROOM,    /* the disk is full */
	FSM_E_ROOM,       /* try again */
	FSM_EVENTS,
};

enum fsm_action {
	FSM_NONE,
	FSM_OFFER,  /* into its line's window */
	FSM_START,  /* a start into the batch */
	FSM_RUN,    /* send it to where it runs */
	FSM_END,    /* TERM, grace, KILL; or abandon */
	FSM_WRITE,  /* a finish or a release into the batch */
	FSM_BACK,   /* a release, not counted, into the batch */
	FSM_TELL,   /* tell who waits; forget it */
	FSM_DROP,   /* forget it */
	FSM_BUG,    /* cannot happen */
};

struct fsm_step {
	unsigned char next;   /* enum fsm_state */
	unsigned char action; /* enum fsm_action */
};

struct fsm_step fsm_step(enum fsm_state state, enum fsm_event event);
const char *fsm_state_name(enum fsm_state state);
const char *fsm_event_name(enum fsm_event event);

#endif
