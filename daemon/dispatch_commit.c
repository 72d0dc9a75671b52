/*
 * dispatch_commit: the part of dispatch that gathers changes and sends them to the store. One batch is open, at most one is flying.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/dispatch_private.h"
#include "daemon/mem.h"

#define RECORD_AFTER_MS 20 /* a pure job that runs longer than this gets its start written */
#define RETRY_MS 1000      /* how long to wait for room on the disk */
#define HOLD_US 100        /* how long a commit waits for the ends of pure jobs that are being run */
#define HOLD_MAX 16        /* but not a larger one */
#define PROMOTE_MAX 1024   /* delayed jobs that become ready in one commit */

/* ---- the open batch -------------------------------------------------------------------------------------------------------- */

struct store_put *
dispatch_add_put(struct dispatch *dispatch)
{
	struct store_put *put = DISPATCH_ADD(dispatch->open, put);

	*put = (struct store_put){0};
	return put;
}

void
dispatch_add_start(struct dispatch *dispatch, struct job *job)
{
	struct store_start *start = DISPATCH_ADD(dispatch->open, start);

	*start = (struct store_start){
	    .spec = job->spec, .token = job->token, .attempt = job->attempts, .now_ms = job->started_ms, .ctx = job};
	job->recorded_in = dispatch->number;
}

void
dispatch_add_cancel(struct dispatch *dispatch, struct cancel_request *request)
{
	struct store_cancel *cancel = DISPATCH_ADD(dispatch->open, cancel);

	*cancel = (struct store_cancel){.id = request->id, .owner = request->owner, .ctx = request};
	cancel->error = (struct span){request->error, strlen(request->error)};
	cancel->now_ms = loop_wall_ms();
}

void
dispatch_do_later(struct dispatch *dispatch, struct job *job, struct cancel_request *cancel)
{
	dispatch->later = mem_room(dispatch->later, dispatch->n_later, &dispatch->later_capacity, sizeof(*dispatch->later));
	dispatch->later[dispatch->n_later++] = (struct later){cancel, job};
}

void
dispatch_cancel_request_free(struct cancel_request *request)
{
	free(request->owner);
	free(request->error);
	free(request);
}

/* ---- coming and going ------------------------------------------------------------------------------------------------------ */

void
dispatch_tell_commit(struct dispatch *dispatch, dispatch_commit_cb cb, void *ctx)
{
	dispatch->told = mem_room(dispatch->told, dispatch->n_told, &dispatch->told_capacity, sizeof(*dispatch->told));
	dispatch->told[dispatch->n_told++] = (struct commit_told){dispatch->number, cb, ctx};
}

/* Those of the batches up to that number; they may ask for more. */
static void
commit_tell(struct dispatch *dispatch, uint64_t number, enum store_verdict verdict, const char *reason)
{
	while (dispatch->n_told > 0 && dispatch->told[0].number <= number) {
		struct commit_told told = dispatch->told[0];

		memmove(dispatch->told, dispatch->told + 1, --dispatch->n_told * sizeof(*dispatch->told));
		told.cb(verdict, reason, told.ctx);
	}
}

static void
commit_done(struct store_batch *batch, void *arg)
{
	struct dispatch *dispatch = arg;
	int64_t took_us = clock_mono_us() - dispatch->flying_since_us;

	dispatch->flying = NULL;
	dispatch->stats.commits++;
	if (took_us > dispatch->stats.commit_max_us)
		dispatch->stats.commit_max_us = took_us;
	switch (batch->verdict) {
	case STORE_COMMITTED:
		dispatch_answer_committed(dispatch, batch);
		break;
	case STORE_FULL:
	case STORE_UNAVAILABLE:
		dispatch_answer_refused(dispatch, batch);
		break;
	case STORE_UNKNOWN:
		dispatch_answer_unknown(dispatch, batch);
		commit_tell(dispatch, UINT64_MAX, STORE_UNKNOWN, batch->reason);
		return;
	}
	commit_tell(dispatch, dispatch->number - 1, batch->verdict, batch->reason);
	store_batch_clear(batch);
	if (store_batch_empty(dispatch->open)) { /* nothing came meanwhile: no flood */
		store_batch_rest(batch);
		store_batch_rest(dispatch->open);
	}
}

static void
commit_arm(struct event *event, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	event_add(event, &tv);
}

static void
commit_retry_cb(evutil_socket_t fd, short events, void *arg)
{
	struct dispatch *dispatch = arg;
	struct queue *queue, *next;
	struct line *line;
	struct job *job;

	(void)fd;
	(void)events;
	dispatch->retry_on = false;
	if (!dispatch->no_room)
		return;
	dispatch->no_room = false;
	HASH_ITER(hh, dispatch->queues.by_name, queue, next) {
		TAILQ_FOREACH(line, &queue->lines, all)
			dispatch_want_fill(dispatch, line);
	}
	while ((job = TAILQ_FIRST(&dispatch->held)) != NULL) {
		TAILQ_REMOVE(&dispatch->held, job, link);
		dispatch->n_held--;
		dispatch_step(dispatch, job, FSM_E_ROOM);
	}
}

static void
commit_due_cb(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg; /* the turn's flush does what is due */
}

/* Pure jobs that have run for a while: their start is written, so that the store tells the truth of them. */
static void
commit_record_loose(struct dispatch *dispatch)
{
	int64_t now_ms = loop_mono_ms();
	struct job *job, *next;

	for (job = TAILQ_FIRST(&dispatch->loose); job != NULL; job = next) {
		next = TAILQ_NEXT(job, loose_link);
		if (now_ms - job->sent_ms < RECORD_AFTER_MS)
			break;
		if (job->state != FSM_RUNNING && job->state != FSM_STOPPING)
			continue;
		dispatch_loosen(dispatch, job, false);
		dispatch_add_start(dispatch, job);
		dispatch_changed(dispatch, job, DISPATCH_RUNNING);
	}
}

static void
commit_ask_promotion(struct dispatch *dispatch)
{
	int64_t now_ms = loop_wall_ms();

	if (dispatch->next_due_ms == SPEC_NONE || dispatch->draining || dispatch->no_room)
		return;
	if (dispatch->next_due_ms <= now_ms) {
		if (dispatch->flying == NULL)
			dispatch->open->promote = (struct store_promote){.wanted = true, .now_ms = now_ms, .n = PROMOTE_MAX};
		return;
	}
	/* the wall clock may be set: look again at least each minute */
	commit_arm(dispatch->due, dispatch->next_due_ms - now_ms < 60000 ? dispatch->next_due_ms - now_ms : 60000);
}

static void
commit_issue_reads(struct dispatch *dispatch)
{
	for (size_t i = 0; i < dispatch->n_reads; i++) {
		struct read_request *request = &dispatch->reads[i];

		switch (request->kind) {
		case READ_ROWS:
			dispatch->config.ops->read(dispatch->config.store, request->read);
			break;
		case READ_SURVEY:
			dispatch->config.ops->survey(dispatch->config.store, request->read);
			break;
		case READ_EXPIRED:
			dispatch->config.ops->expired(dispatch->config.store, request->read);
			break;
		case READ_WEBHOOKS:
			dispatch->config.ops->webhooks(dispatch->config.store, request->read);
			break;
		}
	}
	dispatch->n_reads = 0;
}

static void
commit_do_later(struct dispatch *dispatch)
{
	size_t n = dispatch->n_later;
	struct later *later = dispatch->later;

	dispatch->later = NULL;
	dispatch->n_later = dispatch->later_capacity = 0;
	for (size_t i = 0; i < n; i++) {
		if (later[i].cancel != NULL)
			dispatch_add_cancel(dispatch, later[i].cancel);
		else
			dispatch_write_end(dispatch, later[i].job);
	}
	free(later);
}

static void
commit_send(struct dispatch *dispatch)
{
	struct store_batch *batch = dispatch->open;

	batch->high_water = dispatch->next_id - 1;
	batch->done = commit_done;
	batch->arg = dispatch;
	dispatch->flying = batch;
	dispatch->flying_since_us = clock_mono_us();
	dispatch->open = batch == &dispatch->batches[0] ? &dispatch->batches[1] : &dispatch->batches[0];
	dispatch->number++;
	dispatch->open_bytes = dispatch->n_early = dispatch->n_folded = 0;
	dispatch->hold_until_us = 0;
	for (size_t i = 0; i < batch->n_put; i++) {
		if (batch->put[i].items.len == 0)
			((struct job *)batch->put[i].ctx)->put_at = 0;
	}
	for (size_t i = 0; i < batch->n_finish; i++)
		((struct job *)batch->finish[i].ctx)->finish_at = 0;
	commit_do_later(dispatch);
	dispatch->config.ops->commit(dispatch->config.store, batch);
}

/*
 * Nothing but pure jobs that are being run this moment: a short pause lets their ends go with their submissions, one durability point for both.
 */
static bool
commit_must_hold(struct dispatch *dispatch)
{
	const struct store_batch *open = dispatch->open;
	const struct timeval tv = {.tv_usec = HOLD_US};
	int64_t now_us;

	if (dispatch->n_early == 0 || dispatch->n_early + dispatch->n_folded != open->n_put || open->n_put > HOLD_MAX ||
	    open->n_finish + open->n_release + open->n_cancel + open->n_start + open->n_fill + open->n_forget + open->n_webhook +
		open->n_setting > 0 ||
	    open->promote.wanted || dispatch->n_later > 0)
		return false;
	now_us = clock_mono_us();
	if (dispatch->hold_until_us == 0) {
		dispatch->hold_until_us = now_us + HOLD_US;
		event_add(dispatch->hold, &tv);
	}
	return now_us < dispatch->hold_until_us;
}

void
dispatch_flush(struct dispatch *dispatch)
{
	if (dispatch->failed)
		return;
	commit_ask_promotion(dispatch);
	if (!dispatch->no_room && dispatch->flying == NULL)
		commit_record_loose(dispatch); /* only into a batch that goes at once: their ends must come behind */
	if (dispatch->flying == NULL && !store_batch_empty(dispatch->open) && !commit_must_hold(dispatch))
		commit_send(dispatch);
	if (store_batch_empty(dispatch->open))
		commit_issue_reads(dispatch);
	if (!dispatch->retry_on && (!TAILQ_EMPTY(&dispatch->loose) || dispatch->no_room)) {
		dispatch->retry_on = true;
		commit_arm(dispatch->retry, dispatch->no_room ? RETRY_MS : RECORD_AFTER_MS);
	}
}

void
dispatch_commit_open(struct dispatch *dispatch)
{
	dispatch->open = &dispatch->batches[0];
	dispatch->number = 1;
	dispatch->due = event_new(loop_base(dispatch->loop), -1, 0, commit_due_cb, dispatch);
	dispatch->retry = event_new(loop_base(dispatch->loop), -1, 0, commit_retry_cb, dispatch);
	dispatch->hold = event_new(loop_base(dispatch->loop), -1, 0, commit_due_cb, dispatch);
	if (dispatch->due == NULL || dispatch->retry == NULL || dispatch->hold == NULL)
		abort();
}

static void
commit_forget_cancel(struct cancel_request *request)
{
	request->cb(request->id, STORE_FENCED, STORE_UNKNOWN, "the daemon is ending", request->ctx);
	dispatch_cancel_request_free(request);
}

static void
commit_forget_batch(struct dispatch *dispatch, struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_put; i++) {
		if (batch->put[i].items.len > 0) {
			struct map_submission *map = batch->put[i].ctx;

			map->cb(DISPATCH_UNKNOWN, 0, 0, "the daemon is ending", map->ctx);
			spec_unref(map->spec);
			free(map);
		}
	}
	for (size_t i = 0; i < batch->n_cancel; i++)
		commit_forget_cancel(batch->cancel[i].ctx);
	for (size_t i = 0; i < batch->n_setting; i++)
		dispatch_answer_setting(dispatch, &batch->setting[i], STORE_UNKNOWN, "the daemon is ending");
	store_batch_done(batch);
}

/* At the end: whoever still waits to read is told; some ask for more at once. */
static void
commit_refuse_reads(struct dispatch *dispatch)
{
	while (dispatch->n_reads > 0) {
		struct read_request request = dispatch->reads[--dispatch->n_reads];

		switch (request.kind) {
		case READ_ROWS:
			((struct store_read *)request.read)->error = -1;
			((struct store_read *)request.read)->done(request.read, ((struct store_read *)request.read)->arg);
			break;
		case READ_SURVEY:
			((struct store_survey *)request.read)->error = -1;
			((struct store_survey *)request.read)->done(request.read, ((struct store_survey *)request.read)->arg);
			break;
		case READ_EXPIRED:
			((struct store_expired *)request.read)->error = -1;
			((struct store_expired *)request.read)->done(request.read, ((struct store_expired *)request.read)->arg);
			break;
		case READ_WEBHOOKS:
			((struct store_webhooks *)request.read)->error = -1;
			((struct store_webhooks *)request.read)->done(request.read, ((struct store_webhooks *)request.read)->arg);
			break;
		}
	}
}

void
dispatch_commit_close(struct dispatch *dispatch)
{
	for (size_t i = 0; i < dispatch->n_later; i++) {
		if (dispatch->later[i].cancel != NULL)
			commit_forget_cancel(dispatch->later[i].cancel);
	}
	free(dispatch->later);
	commit_refuse_reads(dispatch);
	free(dispatch->reads);
	commit_forget_batch(dispatch, &dispatch->batches[0]);
	commit_forget_batch(dispatch, &dispatch->batches[1]);
	commit_tell(dispatch, UINT64_MAX, STORE_UNKNOWN, "the daemon is ending");
	free(dispatch->told);
	event_free(dispatch->due);
	event_free(dispatch->retry);
	event_free(dispatch->hold);
}
