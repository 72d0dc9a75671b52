/*
 * iopool: the threads that run blocking I/O tasks (TASK_BLOCKING), one job each at a time.
 *
 * A thread cannot be ended from outside: a job whose cancel or time-out comes is abandoned: its late outcome is dropped
 * here, a new thread takes the place, and the count of abandoned threads is limited. Signals are blocked in all
 * threads; stacks are 256 KiB. All calls are the loop thread's; outcomes arrive there by mail.
 */
#ifndef DAEMON_IOPOOL_H
#define DAEMON_IOPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/loop.h"
#include "daemon/task.h"

struct iopool;

/* The outcome is the callee's. Never called for an abandoned job. */
typedef void (*iopool_done_cb)(uint64_t job, uint64_t token, struct outcome *outcome, void *arg);

/* Threads are made when first needed, up to n; idle ones stay. NULL when not even one can be made. */
struct iopool *iopool_new(struct loop *loop, unsigned n, iopool_done_cb done, void *arg);
/*
 * Waits for the running jobs up to wait_ms, drops what has not begun, lets the calls come to their end (a second at
 * most) with their done(), and leaves threads that hang to the process's end. The outcome of no job is told any more.
 */
void iopool_free(struct iopool *pool, int64_t wait_ms);

/*
 * Runs it (args are copied). The caller keeps no more than n going; one more waits inside, and so do all while no thread
 * can be made.
 */
void iopool_run(struct iopool *pool, const struct task *task, uint64_t job, uint64_t token, unsigned attempt,
    struct span args);
/* Gives up on a job: false when its outcome is already on its way (it is dropped all the same), or there is none. */
bool iopool_abandon(struct iopool *pool, uint64_t token);
/* Threads that still hang in an abandoned call; while there are IOPOOL_ABANDONED, none takes the place of another. */
#define IOPOOL_ABANDONED 256
unsigned iopool_abandoned(struct iopool *pool);

/* Runs work(arg) in one thread apart, in order (the daemon's small reads and unlinks), then done(arg) on the loop. */
void iopool_call(struct iopool *pool, void (*work)(void *arg), void (*done)(void *arg), void *arg);

#endif
