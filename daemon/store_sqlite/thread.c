/*
 * thread: the store as store.h has it: a thread that owns the database, and the way there and back.
 *
 * The loop hands over one batch at a time and any number of reads. The thread takes a waiting batch first; reads come
 * between batches, for a slice of 2 ms when one has waited long, and a read that was asked after a batch was begun
 * never comes before it. When nothing waits for a while the log is put in order, and memory is given back (a flood leaves twice as much free in
 * the heap as is used); then the thread sleeps without a time.
 *
 * Answers travel back in one mail, however many there are. When the store is closed reads are answered at once, and
 * the outbox outlives the store until the loop has emptied its mailbox.
 */
#include "db.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/mem.h"

#define THREAD_READS_US	   2000	 /* a slice for reads */
#define THREAD_REST_MS	   1000	 /* without work, before what is free of the memory is given back */
#define THREAD_PATIENCE_US 10000 /* what a read waits for batches at most */

/* Requests in the order asked, linked by the mail in each; the kind is told by how its answer is delivered. */
struct requests {
	struct mail *first, **last;
};

struct outbox {
	struct mail mail;
	struct store *store; /* NULL: closed */
	bool posted;	     /* guarded by store->lock while there is a store */
};

struct store {
	struct sq_db db; /* the thread's from its start to its end */
	struct loop *loop;
	pthread_t thread;
	bool untidy; /* the thread's: it has worked since memory was last given back */
	struct outbox *outbox;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct store_batch *batch; /* waits */
	struct requests reads;	   /* wait */
	struct requests answers;   /* wait for the loop */
	uint64_t begun;		   /* batches handed over so far */
	int64_t reads_since_us;	   /* when the oldest waiting read began to wait; 0: none waits */
	bool closing;
};

/* ---- requests --------------------------------------------------------------------------------------------- */

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static void
requests_init(struct requests *requests)
{
	requests->first = NULL;
	requests->last = &requests->first;
}

static void
requests_push(struct requests *requests, struct mail *mail)
{
	mail->next = NULL;
	*requests->last = mail;
	requests->last = &mail->next;
}

static struct mail *
requests_pop(struct requests *requests)
{
	struct mail *mail = requests->first;

	requests->first = mail->next;
	if (requests->first == NULL)
		requests->last = &requests->first;
	return mail;
}

static void
deliver_batch(struct mail *mail)
{
	struct store_batch *batch = CONTAINER(mail, struct store_batch, mail);

	batch->done(batch, batch->arg);
}

static void
deliver_read(struct mail *mail)
{
	struct store_read *read = CONTAINER(mail, struct store_read, mail);

	read->done(read, read->arg);
}

static void
deliver_survey(struct mail *mail)
{
	struct store_survey *survey = CONTAINER(mail, struct store_survey, mail);

	survey->done(survey, survey->arg);
}

static void
deliver_expired(struct mail *mail)
{
	struct store_expired *expired = CONTAINER(mail, struct store_expired, mail);

	expired->done(expired, expired->arg);
}

static void
deliver_webhooks(struct mail *mail)
{
	struct store_webhooks *webhooks = CONTAINER(mail, struct store_webhooks, mail);

	webhooks->done(webhooks, webhooks->arg);
}

/* The batches that must be committed before it. */
static uint64_t
request_after(const struct mail *mail)
{
	if (mail->deliver == deliver_read)
		return CONTAINER(mail, struct store_read, mail)->after;
	if (mail->deliver == deliver_survey)
		return CONTAINER(mail, struct store_survey, mail)->after;
	if (mail->deliver == deliver_webhooks)
		return CONTAINER(mail, struct store_webhooks, mail)->after;
	assert(mail->deliver == deliver_expired);
	return CONTAINER(mail, struct store_expired, mail)->after;
}

static void
request_run(struct sq_db *db, struct mail *mail)
{
	struct store_read *read = CONTAINER(mail, struct store_read, mail);

	if (mail->deliver == deliver_read && read->tallies)
		sq_tally(db, read);
	else if (mail->deliver == deliver_read)
		sq_scan(db, read);
	else if (mail->deliver == deliver_survey)
		sq_survey(db, CONTAINER(mail, struct store_survey, mail));
	else if (mail->deliver == deliver_webhooks)
		sq_webhooks(db, CONTAINER(mail, struct store_webhooks, mail));
	else
		sq_expired(db, CONTAINER(mail, struct store_expired, mail));
}

/* At the end: an answer that has not been delivered. A commit's is not any more; whoever reads is told, or would wait for ever. */
static void
request_settle(struct mail *mail)
{
	if (mail->deliver == deliver_batch)
		sq_batch_drop_rows(CONTAINER(mail, struct store_batch, mail));
	else
		mail->deliver(mail);
}

/* At the end: a read that has not been begun. */
static void
request_refuse(struct mail *mail)
{
	if (mail->deliver == deliver_read) {
		struct store_read *read = CONTAINER(mail, struct store_read, mail);

		read->error = -1;
		snprintf(read->reason, sizeof(read->reason), "the daemon is ending");
	} else if (mail->deliver == deliver_expired) {
		CONTAINER(mail, struct store_expired, mail)->error = -1;
	} else if (mail->deliver == deliver_webhooks) {
		CONTAINER(mail, struct store_webhooks, mail)->error = -1;
	} else {
		CONTAINER(mail, struct store_survey, mail)->error = -1;
	}
	mail->deliver(mail);
}

/* ---- the way back ----------------------------------------------------------------------------------------- */

/* On the loop. The callbacks may ask for more; they do not close the store. */
static void
outbox_deliver(struct mail *mail)
{
	struct outbox *outbox = CONTAINER(mail, struct outbox, mail);
	struct store *store = outbox->store;

	if (store == NULL) {
		free(outbox);
		return;
	}
	pthread_mutex_lock(&store->lock);
	outbox->posted = false;
	while (store->answers.first != NULL) {
		struct mail *answer = requests_pop(&store->answers);

		pthread_mutex_unlock(&store->lock);
		answer->deliver(answer);
		pthread_mutex_lock(&store->lock);
	}
	pthread_mutex_unlock(&store->lock);
}

/* On the thread. */
static void
thread_answer(struct store *store, struct mail *mail)
{
	bool post;

	pthread_mutex_lock(&store->lock);
	requests_push(&store->answers, mail);
	post = !store->outbox->posted;
	store->outbox->posted = true;
	pthread_mutex_unlock(&store->lock);
	if (post)
		loop_post(store->loop, &store->outbox->mail);
}

/* ---- the thread ------------------------------------------------------------------------------------------- */

static void
thread_commit(struct store *store, struct store_batch *batch)
{
	sq_commit(&store->db, batch);
	thread_answer(store, &batch->mail);
	if (sq_checkpoint_due(&store->db))
		sq_checkpoint(&store->db);
}

/* One read that may come now, or NULL. With the lock held. */
static struct mail *
thread_take_read(struct store *store)
{
	struct mail *first = store->reads.first;

	if (first == NULL || store->closing || (store->batch != NULL && request_after(first) >= store->batch->number))
		return NULL;
	requests_pop(&store->reads);
	if (store->reads.first == NULL)
		store->reads_since_us = 0;
	return first;
}

/* Reads while no batch waits; or, because one has waited long, for a slice in spite of it. With the lock held. */
static void
thread_read(struct store *store)
{
	int64_t end_us = clock_mono_us() + THREAD_READS_US;
	struct mail *mail;

	while ((mail = thread_take_read(store)) != NULL) {
		pthread_mutex_unlock(&store->lock);
		request_run(&store->db, mail);
		thread_answer(store, mail);
		pthread_mutex_lock(&store->lock);
		if (store->batch != NULL && clock_mono_us() >= end_us)
			break;
	}
	if (store->reads.first != NULL)
		store->reads_since_us = clock_mono_us();
}

static bool
thread_reads_are_due(const struct store *store)
{
	if (store->reads.first == NULL)
		return false;
	return store->batch == NULL || clock_mono_us() - store->reads_since_us > THREAD_PATIENCE_US;
}

/* With the lock held; false when the time came before work. */
static bool
thread_wait(struct store *store, int timeout_ms)
{
	struct timespec until;
	int rc = 0;

	if (timeout_ms >= 0) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += timeout_ms / 1000;
		until.tv_nsec += (timeout_ms % 1000) * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
	}
	while (store->batch == NULL && store->reads.first == NULL && !store->closing && rc != ETIMEDOUT)
		rc = timeout_ms >= 0 ? pthread_cond_timedwait(&store->wake, &store->lock, &until)
				     : pthread_cond_wait(&store->wake, &store->lock);
	return rc != ETIMEDOUT;
}

/* How long it waits for more before thread_idle(); -1: for ever. */
static int
thread_patience_ms(const struct store *store)
{
	int ms = sq_checkpoint_idle_ms(&store->db);

	return ms < 0 && store->untidy ? THREAD_REST_MS : ms;
}

/* Nothing came for so long. With the lock held. */
static void
thread_idle(struct store *store, int waited_ms)
{
	pthread_mutex_unlock(&store->lock);
	if (sq_checkpoint_idle_ms(&store->db) >= 0) {
		sq_checkpoint(&store->db);
		sqlite3_db_release_memory(store->db.sqlite);
	}
	if (waited_ms >= THREAD_REST_MS) {
		mem_tidy();
		store->untidy = false;
	}
	pthread_mutex_lock(&store->lock);
}

static void *
thread_main(void *arg)
{
	struct store *store = arg;

	pthread_setname_np(pthread_self(), "journal");
	store->untidy = true; /* since it was opened */
	pthread_mutex_lock(&store->lock);
	while (store->batch != NULL || !store->closing) {
		struct store_batch *batch = store->batch;

		if (thread_reads_are_due(store)) {
			store->untidy = true;
			thread_read(store);
			batch = store->batch;
		}
		if (batch != NULL) {
			store->batch = NULL;
			store->untidy = true;
			pthread_mutex_unlock(&store->lock);
			thread_commit(store, batch);
			pthread_mutex_lock(&store->lock);
		} else {
			int patience_ms = thread_patience_ms(store);

			if (!thread_wait(store, patience_ms))
				thread_idle(store, patience_ms);
		}
	}
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

/* ---- the table -------------------------------------------------------------------------------------------- */

static void
store_sqlite_init(struct store *store, struct loop *loop)
{
	pthread_condattr_t attributes;

	store->loop = loop;
	requests_init(&store->reads);
	requests_init(&store->answers);
	store->outbox = mem_new(sizeof(*store->outbox));
	store->outbox->mail.deliver = outbox_deliver;
	store->outbox->store = store;
	pthread_mutex_init(&store->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&store->wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

static void
store_sqlite_done(struct store *store)
{
	store->outbox->store = NULL;
	if (!store->outbox->posted)
		free(store->outbox);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

/* Signals are the loop thread's. */
static int
store_sqlite_begin(struct store *store)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&store->thread, NULL, thread_main, store);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static enum store_open_result
store_sqlite_open(struct loop *loop, const struct store_open_config *config, struct store **ret_store,
    struct store_opened *ret_opened, char **ret_reason)
{
	struct store *store = mem_new(sizeof(*store));
	enum store_open_result result;
	int rc;

	store_sqlite_init(store, loop);
	result = sq_schema_open(&store->db, config, ret_reason);
	if (result != STORE_OPEN_OK)
		goto out;
	if (sq_recover(&store->db, config, ret_opened) < 0) {
		result = sq_schema_explain(&store->db, "cannot be recovered", ret_reason);
		sq_schema_close(&store->db);
		goto out;
	}
	sq_schema_trust(&store->db, config->synchronous);
	rc = store_sqlite_begin(store);
	if (rc != 0) {
		*ret_reason = mem_format("no thread for the store: %s", strerror(rc));
		result = STORE_OPEN_FAILED;
		sq_schema_close(&store->db);
		store_opened_done(ret_opened);
		goto out;
	}
	*ret_store = store;
	return STORE_OPEN_OK;
out:
	store_sqlite_done(store);
	return result;
}

static void
store_sqlite_commit(struct store *store, struct store_batch *batch)
{
	pthread_mutex_lock(&store->lock);
	assert(store->batch == NULL);
	batch->mail.deliver = deliver_batch;
	batch->number = ++store->begun;
	store->batch = batch;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
}

/* With the lock held. */
static void
store_sqlite_ask(struct store *store, struct mail *mail, void (*deliver)(struct mail *mail))
{
	mail->deliver = deliver;
	if (store->reads.first == NULL)
		store->reads_since_us = clock_mono_us();
	requests_push(&store->reads, mail);
	pthread_cond_signal(&store->wake);
}

static void
store_sqlite_read(struct store *store, struct store_read *read)
{
	pthread_mutex_lock(&store->lock);
	read->after = store->begun;
	store_sqlite_ask(store, &read->mail, deliver_read);
	pthread_mutex_unlock(&store->lock);
}

static void
store_sqlite_survey(struct store *store, struct store_survey *survey)
{
	pthread_mutex_lock(&store->lock);
	survey->after = store->begun;
	store_sqlite_ask(store, &survey->mail, deliver_survey);
	pthread_mutex_unlock(&store->lock);
}

static void
store_sqlite_expired(struct store *store, struct store_expired *expired)
{
	pthread_mutex_lock(&store->lock);
	expired->after = store->begun;
	store_sqlite_ask(store, &expired->mail, deliver_expired);
	pthread_mutex_unlock(&store->lock);
}

static void
store_sqlite_webhooks(struct store *store, struct store_webhooks *webhooks)
{
	pthread_mutex_lock(&store->lock);
	webhooks->after = store->begun;
	store_sqlite_ask(store, &webhooks->mail, deliver_webhooks);
	pthread_mutex_unlock(&store->lock);
}

static void
store_sqlite_close(struct store *store)
{
	if (store == NULL)
		return;
	pthread_mutex_lock(&store->lock);
	store->closing = true;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->thread, NULL);
	while (store->answers.first != NULL)
		request_settle(requests_pop(&store->answers));
	while (store->reads.first != NULL)
		request_refuse(requests_pop(&store->reads));
	sq_schema_close(&store->db);
	store_sqlite_done(store);
}

const struct store_ops store_sqlite = {
    .open = store_sqlite_open,
    .commit = store_sqlite_commit,
    .read = store_sqlite_read,
    .survey = store_sqlite_survey,
    .expired = store_sqlite_expired,
    .webhooks = store_sqlite_webhooks,
    .close = store_sqlite_close,
};
