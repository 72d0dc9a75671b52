/*
 * iopool: see iopool.h. One mutex guards all; it is never held while a task runs. A job belongs to the loop until a
 * thread has taken it, and again when its outcome is on the list of the ended; an abandoned one belongs to its thread.
 *
 * Threads are detached: one that hangs for ever may not keep the daemon from ending, so the pool itself is left behind
 * with it.
 */
#include "daemon/iopool.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "daemon/log.h"
#include "daemon/mem.h"

#define IOPOOL_STACK    (256 * 1024)
#define IOPOOL_CALLS_MS 1000 /* how long iopool_free() waits for calls */
#define IOPOOL_RETRY_S  1    /* when a thread could not be made */

struct iojob {
	STAILQ_ENTRY(iojob) entry; /* queue or ended */
	LIST_ENTRY(iojob) all;     /* unless abandoned */
	const struct task *task;
	struct task_call call;
	uint64_t token;
	enum { IOJOB_QUEUED, IOJOB_RUNNING, IOJOB_ENDED } state;
	bool abandoned;
	struct outcome outcome;
	char args[];
};
STAILQ_HEAD(iojobs, iojob);

struct iocall {
	STAILQ_ENTRY(iocall) entry;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};
STAILQ_HEAD(iocalls, iocall);

/* Outlives the pool when it was posted and not yet delivered. */
struct iopool_mail {
	struct mail mail;
	struct iopool *pool;
};

struct iopool {
	struct loop *loop;
	unsigned max_threads;
	iopool_done_cb done;
	void *arg;
	struct iopool_mail *mail;
	struct event *retry;  /* pending: no thread could be made */
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;  /* a job was queued, or stopping */
	pthread_cond_t call;  /* a call was queued, or stopping */
	pthread_cond_t fewer; /* a thread is gone or idle: for iopool_free() */
	LIST_HEAD(, iojob) all;
	struct iojobs queue;
	struct iojobs ended;
	struct iocalls calls;
	struct iocalls calls_ended;
	unsigned n_queued;
	unsigned n_threads; /* not the abandoned */
	unsigned n_idle;
	unsigned n_abandoned;
	bool calls_thread;
	bool mailed;
	bool stopping;
	bool orphaned; /* iopool_free() has left it behind: the last thread frees it */
};

static void
iojob_free(struct iojob *job)
{
	outcome_done(&job->outcome);
	free(job);
}

/* With the lock: something has ended that the loop wants to know. */
static void
iopool_post(struct iopool *pool)
{
	if (pool->mailed || pool->stopping)
		return;
	pool->mailed = true;
	loop_post(pool->loop, &pool->mail->mail);
}

static void
iopool_release(struct iopool *pool)
{
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->call);
	pthread_cond_destroy(&pool->fewer);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* With the lock. */
static bool
iopool_is_empty(const struct iopool *pool)
{
	return pool->n_threads == 0 && pool->n_abandoned == 0 && !pool->calls_thread;
}

/* ---- the threads ---- */

/* With the lock, which it gives up: the end of a thread that is no longer counted. */
static void
iopool_leave(struct iopool *pool)
{
	bool last = pool->orphaned && iopool_is_empty(pool);

	pthread_cond_signal(&pool->fewer);
	pthread_mutex_unlock(&pool->lock);
	if (last)
		iopool_release(pool);
}

/* With the lock: the next job, or NULL when it is time to go. */
static struct iojob *
iopool_take_job(struct iopool *pool)
{
	struct iojob *job;

	while (pool->n_queued == 0 && !pool->stopping) {
		pool->n_idle++;
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->n_idle--;
	}
	if (pool->stopping)
		return NULL;
	job = STAILQ_FIRST(&pool->queue);
	STAILQ_REMOVE_HEAD(&pool->queue, entry);
	pool->n_queued--;
	job->state = IOJOB_RUNNING;
	return job;
}

/* With the lock: whether the thread is to stay in the pool. */
static bool
iopool_put_outcome(struct iopool *pool, struct iojob *job)
{
	bool stay = true;

	if (job->abandoned) {
		pool->n_abandoned--;
		stay = pool->n_threads < pool->max_threads && !pool->stopping;
		pool->n_threads += stay;
	}
	if (job->abandoned || pool->stopping) {
		iojob_free(job);
		return stay;
	}
	job->state = IOJOB_ENDED;
	STAILQ_INSERT_TAIL(&pool->ended, job, entry);
	iopool_post(pool);
	return true;
}

/* A thread's time is known, its memory is everybody's. */
static void
iopool_run_job(struct iojob *job)
{
	struct rusage before, after;

	getrusage(RUSAGE_THREAD, &before);
	job->task->run(&job->call, &job->outcome);
	getrusage(RUSAGE_THREAD, &after);
	timersub(&after.ru_utime, &before.ru_utime, &after.ru_utime);
	timersub(&after.ru_stime, &before.ru_stime, &after.ru_stime);
	after.ru_maxrss = 0;
	usage_add(&job->outcome.usage, &after);
}

static void *
iopool_thread(void *arg)
{
	struct iopool *pool = arg;
	struct iojob *job;
	bool stay = true;

	pthread_setname_np(pthread_self(), "futured-io");
	pthread_mutex_lock(&pool->lock);
	while (stay && (job = iopool_take_job(pool)) != NULL) {
		pthread_mutex_unlock(&pool->lock);
		iopool_run_job(job);
		pthread_mutex_lock(&pool->lock);
		stay = iopool_put_outcome(pool, job);
	}
	if (stay)
		pool->n_threads--;
	iopool_leave(pool);
	return NULL;
}

static void *
iopool_calls_thread(void *arg)
{
	struct iopool *pool = arg;
	struct iocall *call;

	pthread_setname_np(pthread_self(), "futured-files");
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while ((call = STAILQ_FIRST(&pool->calls)) == NULL && !pool->stopping)
			pthread_cond_wait(&pool->call, &pool->lock);
		if (call == NULL)
			break;
		STAILQ_REMOVE_HEAD(&pool->calls, entry);
		pthread_mutex_unlock(&pool->lock);
		call->work(call->arg);
		pthread_mutex_lock(&pool->lock);
		STAILQ_INSERT_TAIL(&pool->calls_ended, call, entry);
		iopool_post(pool);
	}
	pool->calls_thread = false;
	iopool_leave(pool);
	return NULL;
}

/* ---- the loop's side ---- */

static int
iopool_start_thread(struct iopool *pool, void *(*run)(void *arg))
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, IOPOOL_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attr, run, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return r;
}

/* With the lock: one more thread if there is more to do than threads to do it. */
static void
iopool_grow(struct iopool *pool)
{
	static const struct timeval later = {.tv_sec = IOPOOL_RETRY_S};
	int error;

	if (pool->n_queued <= pool->n_idle || pool->n_threads >= pool->max_threads ||
	    pool->n_abandoned >= IOPOOL_ABANDONED || event_pending(pool->retry, EV_TIMEOUT, NULL))
		return;
	error = iopool_start_thread(pool, iopool_thread);
	if (error == 0) {
		pool->n_threads++;
		return;
	}
	log_warning("no thread for an I/O task: %s; trying again in a second", strerror(error));
	event_add(pool->retry, &later);
}

static void
iopool_retry_cb(evutil_socket_t fd, short events, void *arg)
{
	struct iopool *pool = arg;
	unsigned n;

	(void)fd;
	(void)events;
	pthread_mutex_lock(&pool->lock);
	do {
		n = pool->n_threads;
		iopool_grow(pool);
	} while (pool->n_threads > n);
	pthread_mutex_unlock(&pool->lock);
}

/* One that has ended, out of all lists, or NULL. done() may abandon another, so they are taken one by one. */
static struct iojob *
iopool_next_ended(struct iopool *pool)
{
	struct iojob *job;

	pthread_mutex_lock(&pool->lock);
	job = STAILQ_FIRST(&pool->ended);
	if (job != NULL) {
		STAILQ_REMOVE_HEAD(&pool->ended, entry);
		LIST_REMOVE(job, all);
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void
iopool_end_calls(struct iocalls *calls)
{
	struct iocall *call;

	while ((call = STAILQ_FIRST(calls)) != NULL) {
		STAILQ_REMOVE_HEAD(calls, entry);
		call->done(call->arg);
		free(call);
	}
}

static void
iopool_deliver(struct mail *mail)
{
	struct iopool_mail *own = (struct iopool_mail *)mail;
	struct iopool *pool = own->pool;
	struct iocalls calls = STAILQ_HEAD_INITIALIZER(calls);
	struct iojob *job;

	if (pool == NULL) {
		free(own);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->mailed = false;
	STAILQ_CONCAT(&calls, &pool->calls_ended);
	pthread_mutex_unlock(&pool->lock);
	while ((job = iopool_next_ended(pool)) != NULL) {
		pool->done(job->call.job, job->token, &job->outcome, pool->arg);
		job->outcome = (struct outcome){0};
		iojob_free(job);
	}
	iopool_end_calls(&calls);
}

void
iopool_run(
    struct iopool *pool, const struct task *task, uint64_t job, uint64_t token, unsigned attempt, struct span args)
{
	struct iojob *own = mem_new(sizeof(*own) + args.len);

	memcpy(own->args, args.at, args.len);
	own->task = task;
	own->call = (struct task_call){.job = job, .attempt = attempt, .args = {own->args, args.len}};
	own->token = token;
	pthread_mutex_lock(&pool->lock);
	LIST_INSERT_HEAD(&pool->all, own, all);
	STAILQ_INSERT_TAIL(&pool->queue, own, entry);
	pool->n_queued++;
	iopool_grow(pool);
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

/* With the lock. A running job is its thread's from now on, the thread no longer the pool's. */
static bool
iopool_give_up(struct iopool *pool, struct iojob *job)
{
	LIST_REMOVE(job, all);
	switch (job->state) {
	case IOJOB_QUEUED:
		STAILQ_REMOVE(&pool->queue, job, iojob, entry);
		pool->n_queued--;
		iojob_free(job);
		return true;
	case IOJOB_RUNNING:
		job->abandoned = true;
		pool->n_threads--;
		pool->n_abandoned++;
		iopool_grow(pool);
		return true;
	case IOJOB_ENDED:
		STAILQ_REMOVE(&pool->ended, job, iojob, entry);
		iojob_free(job);
		return false;
	}
	return false;
}

bool
iopool_abandon(struct iopool *pool, uint64_t token)
{
	struct iojob *job;
	bool abandoned = false;

	pthread_mutex_lock(&pool->lock);
	LIST_FOREACH(job, &pool->all, all)
	{
		if (job->token == token) {
			abandoned = iopool_give_up(pool, job);
			break;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return abandoned;
}

unsigned
iopool_abandoned(struct iopool *pool)
{
	unsigned n;

	pthread_mutex_lock(&pool->lock);
	n = pool->n_abandoned;
	pthread_mutex_unlock(&pool->lock);
	return n;
}

void
iopool_call(struct iopool *pool, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct iocall *call = mem_new(sizeof(*call));

	call->work = work;
	call->done = done;
	call->arg = arg;
	pthread_mutex_lock(&pool->lock);
	STAILQ_INSERT_TAIL(&pool->calls, call, entry);
	pthread_cond_signal(&pool->call);
	pthread_mutex_unlock(&pool->lock);
}

/* ---- birth and end ---- */

static void
iopool_init_conds(struct iopool *pool)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->work, &attr);
	pthread_cond_init(&pool->call, &attr);
	pthread_cond_init(&pool->fewer, &attr);
	pthread_condattr_destroy(&attr);
}

struct iopool *
iopool_new(struct loop *loop, unsigned n, iopool_done_cb done, void *arg)
{
	struct iopool *pool = mem_new(sizeof(*pool));

	pool->loop = loop;
	pool->max_threads = n;
	pool->done = done;
	pool->arg = arg;
	LIST_INIT(&pool->all);
	STAILQ_INIT(&pool->queue);
	STAILQ_INIT(&pool->ended);
	STAILQ_INIT(&pool->calls);
	STAILQ_INIT(&pool->calls_ended);
	pthread_mutex_init(&pool->lock, NULL);
	iopool_init_conds(pool);
	pool->calls_thread = true;
	if (iopool_start_thread(pool, iopool_calls_thread) != 0) {
		iopool_release(pool);
		return NULL;
	}
	pool->retry = event_new(loop_base(loop), -1, 0, iopool_retry_cb, pool);
	if (pool->retry == NULL)
		abort(); /* out of memory */
	pool->mail = mem_new(sizeof(*pool->mail));
	pool->mail->mail.deliver = iopool_deliver;
	pool->mail->pool = pool;
	return pool;
}

static struct timespec
iopool_deadline(int64_t in_ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(in_ms / 1000);
	at.tv_nsec += (long)(in_ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* With the lock. */
static void
iopool_drop_jobs(struct iopool *pool)
{
	struct iojob *job;

	STAILQ_CONCAT(&pool->ended, &pool->queue);
	pool->n_queued = 0;
	while ((job = STAILQ_FIRST(&pool->ended)) != NULL) {
		STAILQ_REMOVE_HEAD(&pool->ended, entry);
		iojob_free(job);
	}
}

void
iopool_free(struct iopool *pool, int64_t wait_ms)
{
	struct timespec deadline = iopool_deadline(wait_ms);
	struct iocalls calls = STAILQ_HEAD_INITIALIZER(calls);
	bool empty;
	int r = 0;

	if (pool == NULL)
		return;
	event_free(pool->retry);
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	iopool_drop_jobs(pool);
	pthread_cond_broadcast(&pool->work);
	pthread_cond_signal(&pool->call);
	while (r == 0 && pool->n_threads > pool->n_idle)
		r = pthread_cond_timedwait(&pool->fewer, &pool->lock, &deadline);
	while (pool->n_idle > 0) /* these are only on their way out */
		pthread_cond_wait(&pool->fewer, &pool->lock);
	deadline = iopool_deadline(IOPOOL_CALLS_MS);
	for (r = 0; r == 0 && pool->calls_thread;)
		r = pthread_cond_timedwait(&pool->fewer, &pool->lock, &deadline);
	STAILQ_CONCAT(&calls, &pool->calls_ended);
	if (pool->mailed)
		pool->mail->pool = NULL;
	else
		free(pool->mail);
	empty = iopool_is_empty(pool);
	pool->orphaned = !empty;
	pthread_mutex_unlock(&pool->lock);
	if (empty)
		iopool_release(pool);
	iopool_end_calls(&calls);
}
