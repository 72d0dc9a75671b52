/*
 * waits: one thread that holds thousands of waits: timers and HTTP transfers (libcurl multi). Nothing on it may block.
 *
 * A TASK_WAIT task's begin() is called on this thread with a struct wait, and ends it, then or later, with wait_finish().
 * A cancel stops timer and transfer at once. waits_* are the loop thread's calls, wait_* the tasks', on the waits thread.
 */
#ifndef DAEMON_WAITS_H
#define DAEMON_WAITS_H

#include <stdint.h>

#include "daemon/loop.h"
#include "daemon/task.h"

struct waits;
struct wait;

/* The outcome is the callee's. Never called after waits_cancel() returned for that token, nor inside waits_begin(). */
typedef void (*waits_done_cb)(uint64_t job, uint64_t token, struct outcome *outcome, void *arg);

struct waits_config {
	bool local;        /* [http] local: may reach loopback and link-local addresses for the role user */
	size_t max_result; /* longest result in bytes */
};

/* NULL when there is no thread to be had. */
struct waits *waits_new(struct loop *loop, const struct waits_config *config, waits_done_cb done, void *arg);
void waits_free(struct waits *waits); /* ends all at once, joins the thread */
/* args are copied. restricted: the job's owner has the role user (where http may not reach local addresses). */
void waits_begin(struct waits *waits, const struct task *task, uint64_t job, uint64_t token, unsigned attempt,
    struct span args, bool restricted);
void waits_cancel(struct waits *waits, uint64_t token);
/* The same for what is no job's attempt: done(job, 0, …, arg) is called in place of the waits' own; it cannot be cancelled. */
void waits_begin_own(struct waits *waits, const struct task *task, uint64_t job, unsigned attempt, struct span args,
    bool restricted, waits_done_cb done, void *arg);

/* Ends the wait, takes what outcome owns; wait and state are gone after it. Not inside a callback of libcurl's. */
void wait_finish(struct wait *wait, struct outcome *outcome);
/* state is handed to free_state when the wait ends in whatever way, also by cancel. */
void wait_set_state(struct wait *wait, void *state, void (*free_state)(void *state));
void *wait_state(const struct wait *wait);
const struct task_call *wait_call(const struct wait *wait);
bool wait_restricted(const struct wait *wait);
bool wait_local_allowed(const struct wait *wait);
size_t wait_max_result(const struct wait *wait);
/* fired(wait) after that many microseconds, monotonic. */
void wait_timer(struct wait *wait, int64_t us, void (*fired)(struct wait *wait));
/*
 * Starts the (configured) easy handle; done(wait, CURLcode) when it has ended: it is removed then, and stays the task's
 * to clean up in free_state. CURLOPT_PRIVATE is taken. Restricted waits have connections and look-ups of their own, so
 * that none goes through a connection that was opened for somebody who may do more.
 */
void wait_transfer(struct wait *wait, void *curl_easy, void (*done)(struct wait *wait, int curl_code));
/*
 * The transfer's name is looked up: to be called when libcurl opens a socket or uses one again (also inside its
 * callbacks). A look-up costs a thread, so only some run at a time.
 */
void wait_looked_up(struct wait *wait);

#endif
