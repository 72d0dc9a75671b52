/*
 * waits: see waits.h. The thread has an event base of its own with a heap of timers, and on it two of libcurl's multi
 * handles.
 *
 * What goes between the threads is a note: each wait has two, one that says "begin" and comes back with the outcome,
 * one that says "cancel" and comes back as it is. A wait is the loop's to free, when no note of it is on its way; so
 * neither side ever holds a pointer to nothing. Notes travel in batches: one wake-up of the thread for all that the
 * loop sent meanwhile, one mail to the loop for all that ended in a turn of the thread.
 */
#include "daemon/allocators.h"
#include "daemon/waits.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "daemon/multi.h"

#define WAITS_BUCKETS     4096 /* of the loop's table of tokens */
#define WAITS_LOOKUPS     128  /* name look-ups at a time */
#define WAITS_CONNECTIONS 128  /* idle connections kept, for each of the two */

struct note {
	STAILQ_ENTRY(note) entry;
	struct wait *wait;
};
STAILQ_HEAD(notes, note);

struct wait {
	/* constant */
	struct waits *waits;
	const struct task *task;
	struct task_call call; /* its args stand behind the struct */
	uint64_t token;
	bool restricted;
	waits_done_cb done;
	void *arg;
	/* the loop's */
	LIST_ENTRY(wait) all;
	LIST_ENTRY(wait) bucket; /* unless cancelled */
	bool cancelled;
	unsigned notes_out;
	/* whoever has the note */
	struct note begin;
	struct note cancel;
	struct outcome outcome;
	/* the thread's */
	LIST_ENTRY(wait) live;    /* begun, not ended */
	TAILQ_ENTRY(wait) queued; /* for a look-up */
	bool ended, is_queued, looks_up, has_timer;
	struct event timer;
	void (*fired)(struct wait *wait);
	void *easy;
	void (*transferred)(struct wait *wait, int curl_code);
	void *state;
	void (*free_state)(void *state);
	char args[];
};
LIST_HEAD(wait_list, wait);

/* Outlives struct waits when it was posted and not yet delivered. */
struct waits_mail {
	struct mail mail;
	struct waits *waits;
};

struct waits {
	struct waits_config config;
	waits_done_cb done;
	void *arg;
	struct loop *loop;
	pthread_t thread;
	/* the loop's */
	struct wait_list all;
	struct wait_list buckets[WAITS_BUCKETS];
	struct waits_mail *mail;
	/* the thread's */
	struct event_base *base;
	struct event wake;
	struct multi *multis[2]; /* of the unrestricted and the restricted */
	struct wait_list live;
	TAILQ_HEAD(, wait) queue; /* transfers that wait for a look-up */
	unsigned n_lookups;
	struct notes ended; /* in this turn */
	bool stopped;
	/* shared */
	int wake_fd;
	pthread_mutex_t lock; /* guards what follows */
	struct notes to_thread;
	struct notes to_loop;
	bool mailed;
	bool stopping;
};

/* ---- the loop's side ---- */

static struct wait_list *
waits_bucket(struct waits *waits, uint64_t token)
{
	return &waits->buckets[token * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}
_Static_assert(WAITS_BUCKETS == 1 << (64 - 52), "a bucket for each value of the hash");

static void
waits_wake(struct waits *waits)
{
	uint64_t one = 1;

	if (write(waits->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

static void
waits_send(struct waits *waits, struct wait *wait, struct note *note)
{
	bool was_empty;

	wait->notes_out++;
	pthread_mutex_lock(&waits->lock);
	was_empty = STAILQ_EMPTY(&waits->to_thread);
	STAILQ_INSERT_TAIL(&waits->to_thread, note, entry);
	pthread_mutex_unlock(&waits->lock);
	if (was_empty)
		waits_wake(waits);
}

static void
waits_drop(struct wait *wait)
{
	LIST_REMOVE(wait, all);
	outcome_done(&wait->outcome);
	free(wait);
}

/* A note is back. */
static void
waits_take_back(struct note *note)
{
	struct wait *wait = note->wait;

	if (note == &wait->begin && !wait->cancelled) {
		LIST_REMOVE(wait, bucket);
		wait->cancelled = true; /* done() may cancel the token as well: there is nothing left of it */
		wait->done(wait->call.job, wait->token, &wait->outcome, wait->arg);
		wait->outcome = (struct outcome){0};
	}
	if (--wait->notes_out == 0)
		waits_drop(wait);
}

static void
waits_deliver(struct mail *mail)
{
	struct waits_mail *own = (struct waits_mail *)mail;
	struct waits *waits = own->waits;
	struct notes notes = STAILQ_HEAD_INITIALIZER(notes);
	struct note *note;

	if (waits == NULL) {
		free(own);
		return;
	}
	pthread_mutex_lock(&waits->lock);
	STAILQ_CONCAT(&notes, &waits->to_loop);
	waits->mailed = false;
	pthread_mutex_unlock(&waits->lock);
	while ((note = STAILQ_FIRST(&notes)) != NULL) {
		STAILQ_REMOVE_HEAD(&notes, entry);
		waits_take_back(note);
	}
}

static struct wait *
waits_new_wait(struct waits *waits, const struct task *task, uint64_t job, unsigned attempt, struct span args)
{
	struct wait *wait = mem_new(sizeof(*wait) + args.len);

	memcpy(wait->args, args.at, args.len);
	wait->waits = waits;
	wait->task = task;
	wait->call = (struct task_call){.job = job, .attempt = attempt, .args = {wait->args, args.len}};
	wait->begin.wait = wait;
	wait->cancel.wait = wait;
	return wait;
}

static void
waits_begin_wait(struct waits *waits, struct wait *wait)
{
	LIST_INSERT_HEAD(&waits->all, wait, all);
	LIST_INSERT_HEAD(waits_bucket(waits, wait->token), wait, bucket);
	waits_send(waits, wait, &wait->begin);
}

void
waits_begin(struct waits *waits, const struct task *task, uint64_t job, uint64_t token, unsigned attempt,
    struct span args, bool restricted)
{
	struct wait *wait = waits_new_wait(waits, task, job, attempt, args);

	wait->token = token;
	wait->restricted = restricted;
	wait->done = waits->done;
	wait->arg = waits->arg;
	waits_begin_wait(waits, wait);
}

void
waits_begin_own(struct waits *waits, const struct task *task, uint64_t job, unsigned attempt, struct span args,
    bool restricted, waits_done_cb done, void *arg)
{
	struct wait *wait = waits_new_wait(waits, task, job, attempt, args);

	wait->restricted = restricted;
	wait->done = done;
	wait->arg = arg;
	waits_begin_wait(waits, wait);
}

void
waits_cancel(struct waits *waits, uint64_t token)
{
	struct wait *wait;

	LIST_FOREACH(wait, waits_bucket(waits, token), bucket)
	{
		if (wait->token != token)
			continue;
		LIST_REMOVE(wait, bucket);
		wait->cancelled = true;
		waits_send(waits, wait, &wait->cancel);
		return;
	}
}

/* ---- the thread's side ---- */

static void
wait_cancel_lookup(struct wait *wait)
{
	if (wait->is_queued) {
		TAILQ_REMOVE(&wait->waits->queue, wait, queued);
		wait->is_queued = false;
	}
	wait_looked_up(wait);
}

static struct multi *
wait_multi(struct wait *wait)
{
	return wait->waits->multis[wait_restricted(wait) && !wait_local_allowed(wait)];
}

/* Stops whatever it waits for; its begin note goes back at the end of the turn. */
static void
wait_end(struct wait *wait)
{
	wait->ended = true;
	LIST_REMOVE(wait, live);
	if (wait->has_timer)
		event_del(&wait->timer);
	if (wait->easy != NULL && !wait->is_queued)
		multi_remove(wait_multi(wait), wait->easy);
	wait->easy = NULL;
	wait_cancel_lookup(wait);
	if (wait->free_state != NULL)
		wait->free_state(wait->state);
	STAILQ_INSERT_TAIL(&wait->waits->ended, &wait->begin, entry);
}

void
wait_finish(struct wait *wait, struct outcome *outcome)
{
	assert(!wait->ended);
	wait->outcome = *outcome;
	*outcome = (struct outcome){0};
	wait_end(wait);
}

void
wait_set_state(struct wait *wait, void *state, void (*free_state)(void *state))
{
	wait->state = state;
	wait->free_state = free_state;
}

void *
wait_state(const struct wait *wait)
{
	return wait->state;
}

const struct task_call *
wait_call(const struct wait *wait)
{
	return &wait->call;
}

bool
wait_restricted(const struct wait *wait)
{
	return wait->restricted;
}

bool
wait_local_allowed(const struct wait *wait)
{
	return wait->waits->config.local;
}

size_t
wait_max_result(const struct wait *wait)
{
	return wait->waits->config.max_result;
}

static void
wait_timer_fired(evutil_socket_t fd, short events, void *arg)
{
	struct wait *wait = arg;

	(void)fd;
	(void)events;
	wait->has_timer = false;
	wait->fired(wait);
}

void
wait_timer(struct wait *wait, int64_t us, void (*fired)(struct wait *wait))
{
	struct timeval in = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};

	if (wait->has_timer)
		event_del(&wait->timer);
	wait->fired = fired;
	evtimer_assign(&wait->timer, wait->waits->base, wait_timer_fired, wait);
	if (evtimer_add(&wait->timer, &in) < 0)
		abort();
	wait->has_timer = true;
}

void
wait_transfer(struct wait *wait, void *curl_easy, void (*done)(struct wait *wait, int curl_code))
{
	assert(wait->easy == NULL);
	wait->easy = curl_easy;
	wait->transferred = done;
	TAILQ_INSERT_TAIL(&wait->waits->queue, wait, queued);
	wait->is_queued = true;
}

void
wait_looked_up(struct wait *wait)
{
	if (!wait->looks_up)
		return;
	wait->looks_up = false;
	wait->waits->n_lookups--;
}

/* Hands queued transfers to libcurl as far as there are look-ups to be had. */
static void
waits_start_transfers(struct waits *waits)
{
	struct wait *wait;

	while (waits->n_lookups < WAITS_LOOKUPS && (wait = TAILQ_FIRST(&waits->queue)) != NULL) {
		TAILQ_REMOVE(&waits->queue, wait, queued);
		wait->is_queued = false;
		wait->looks_up = true;
		waits->n_lookups++;
		multi_add(wait_multi(wait), wait->easy, wait);
	}
}

static void
wait_transferred(void *private, int curl_code)
{
	struct wait *wait = private;

	wait->easy = NULL;
	wait_looked_up(wait);
	wait->transferred(wait, curl_code);
}

static void
waits_take_note(struct waits *waits, struct note *note)
{
	struct wait *wait = note->wait;

	if (note == &wait->begin) {
		LIST_INSERT_HEAD(&waits->live, wait, live);
		wait->task->begin(&wait->call, wait);
		return;
	}
	if (!wait->ended)
		wait_end(wait);
	STAILQ_INSERT_TAIL(&waits->ended, note, entry);
}

static void
waits_woken(evutil_socket_t fd, short events, void *arg)
{
	struct waits *waits = arg;
	struct notes notes = STAILQ_HEAD_INITIALIZER(notes);
	struct note *note;
	uint64_t count;

	(void)events;
	if (read((int)fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort();
	pthread_mutex_lock(&waits->lock);
	STAILQ_CONCAT(&notes, &waits->to_thread);
	waits->stopped = waits->stopping;
	pthread_mutex_unlock(&waits->lock);
	if (waits->stopped)
		return;
	event_base_update_cache_time(waits->base); /* else a timer would count from before its wait was begun */
	while ((note = STAILQ_FIRST(&notes)) != NULL) {
		STAILQ_REMOVE_HEAD(&notes, entry);
		waits_take_note(waits, note);
	}
}

/* Sends back what ended in this turn. */
static void
waits_report(struct waits *waits)
{
	if (STAILQ_EMPTY(&waits->ended))
		return;
	pthread_mutex_lock(&waits->lock);
	STAILQ_CONCAT(&waits->to_loop, &waits->ended);
	if (!waits->mailed && !waits->stopping) {
		waits->mailed = true;
		loop_post(waits->loop, &waits->mail->mail);
	}
	pthread_mutex_unlock(&waits->lock);
}

static void *
waits_main(void *arg)
{
	struct waits *waits = arg;
	struct wait *wait;

	pthread_setname_np(pthread_self(), "futured-waits");
	while (!waits->stopped) {
		if (event_base_loop(waits->base, EVLOOP_ONCE) < 0)
			abort();
		waits_start_transfers(waits);
		waits_report(waits);
	}
	while ((wait = LIST_FIRST(&waits->live)) != NULL)
		wait_end(wait);
	for (size_t i = 0; i < 2; i++)
		multi_free(waits->multis[i]);
	return NULL;
}

/* ---- birth and end ---- */

static void
waits_make_base(struct waits *waits)
{
	struct event_config *config = event_config_new();

	if (config == NULL)
		abort();
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NOLOCK);
	waits->base = event_base_new_with_config(config);
	event_config_free(config);
	waits->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (waits->base == NULL || waits->wake_fd < 0)
		abort();
	event_assign(&waits->wake, waits->base, waits->wake_fd, EV_READ | EV_PERSIST, waits_woken, waits);
	if (event_add(&waits->wake, NULL) < 0)
		abort();
	for (size_t i = 0; i < 2; i++)
		waits->multis[i] = multi_new(waits->base, WAITS_CONNECTIONS, wait_transferred);
}

static int
waits_start_thread(struct waits *waits)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&waits->thread, NULL, waits_main, waits);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r == 0 ? 0 : -1;
}

static void
waits_release(struct waits *waits)
{
	event_del(&waits->wake);
	event_base_free(waits->base);
	close(waits->wake_fd);
	pthread_mutex_destroy(&waits->lock);
	curl_global_cleanup();
	free(waits);
}

struct waits *
waits_new(struct loop *loop, const struct waits_config *config, waits_done_cb done, void *arg)
{
	struct waits *waits = mem_new(sizeof(*waits));

	if (allocators_begin_curl() != CURLE_OK)
		abort();
	waits->config = *config;
	waits->done = done;
	waits->arg = arg;
	waits->loop = loop;
	LIST_INIT(&waits->all);
	LIST_INIT(&waits->live);
	TAILQ_INIT(&waits->queue);
	STAILQ_INIT(&waits->ended);
	STAILQ_INIT(&waits->to_thread);
	STAILQ_INIT(&waits->to_loop);
	pthread_mutex_init(&waits->lock, NULL);
	waits_make_base(waits);
	waits->mail = mem_new(sizeof(*waits->mail));
	waits->mail->mail.deliver = waits_deliver;
	waits->mail->waits = waits;
	if (waits_start_thread(waits) < 0) {
		for (size_t i = 0; i < 2; i++)
			multi_free(waits->multis[i]);
		free(waits->mail);
		waits_release(waits);
		return NULL;
	}
	return waits;
}

void
waits_free(struct waits *waits)
{
	struct wait *wait;

	if (waits == NULL)
		return;
	pthread_mutex_lock(&waits->lock);
	waits->stopping = true;
	pthread_mutex_unlock(&waits->lock);
	waits_wake(waits);
	pthread_join(waits->thread, NULL);
	while ((wait = LIST_FIRST(&waits->all)) != NULL)
		waits_drop(wait);
	if (waits->mailed)
		waits->mail->waits = NULL;
	else
		free(waits->mail);
	waits_release(waits);
}
