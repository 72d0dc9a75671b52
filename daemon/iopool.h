/*
 * iopool: the threads that run blocking I/O tasks (TASK_BLOCKING), one job each at a time.
 *
 * A thread cannot be ended from outside: a job whose cancel or time-out comes is abandoned: its late outcome is dropped here, a new thread takes the
 * place, and the count of abandoned threads is limited. Signals are blocked in all threads; stacks are 256 KiB.
 * All calls are the loop thread's; outcomes arrive there by mail.
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

/* Threads are made when first needed, up to n; idle ones stay. */
struct iopool *iopool_new(struct loop *loop, unsigned n, iopool_done_cb done, void *arg);
/* Waits for the running up to wait_ms, then leaves the threads to the process's end. */
void iopool_free(struct iopool *pool, int64_t wait_ms);

/* Runs it (args are copied). The caller keeps no more than n going; one more waits inside. -1 when no thread can be made and none lives. */
int iopool_run(struct iopool *pool, const struct task *task, uint64_t job, uint64_t token, unsigned attempt, struct span args);
/* Gives up on a job: false when its outcome is already on its way (it will be dropped all the same). */
bool iopool_abandon(struct iopool *pool, uint64_t token);
unsigned iopool_abandoned(const struct iopool *pool); /* threads that still hang in an abandoned call */

/* Runs work(arg) in a pool thread of its own line (daemon's own small file reads and unlinks), then done(arg) on the loop. */
void iopool_call(struct iopool *pool, void (*work)(void *arg), void (*done)(void *arg), void *arg);

#endif
