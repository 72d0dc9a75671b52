/*
 * loop: the daemon's one event loop (libevent), the mailbox by which other threads reach it, and what is done after each turn.
 *
 * All state of jobs lives on this thread without locks; a callback never blocks. Work that is best done once a turn (the
 * commit of what came in, the writing of frames, the freeing of what ended) hangs on loop_after_turn().
 */
#ifndef DAEMON_LOOP_H
#define DAEMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;

struct loop *loop_new(void);
void loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);

/* Runs until loop_stop(). 0, or -1 when libevent failed. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn and what is done after it; may_wait: for something to happen. 0 or -1 as loop_run(), which is made of these. */
int loop_turn(struct loop *loop, bool may_wait);

/* A message to the loop, embedded in what it is about. */
struct mail {
	struct mail *next;
	void (*deliver)(struct mail *mail); /* on the loop thread, once; may free its container */
};
/* Any thread. One poster's mails are delivered in the order posted. */
void loop_post(struct loop *loop, struct mail *mail);

/* Delivers what has been posted, without a turn of the loop (at the end of the daemon). Loop thread. */
void loop_deliver(struct loop *loop);

/* Calls cb(arg) on the loop after each turn, in the order they were added; for life. */
void loop_after_turn(struct loop *loop, void (*cb)(void *arg), void *arg);
/* Makes the next turn come at once even if nothing happens (a hook that has more to do). Loop thread. */
void loop_again(struct loop *loop);

/* Monotonic and wall clock in milliseconds. Any thread. */
int64_t loop_mono_ms(void);
int64_t loop_wall_ms(void);

#endif
