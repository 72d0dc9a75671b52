/*
 * dispatch: see dispatch.h. This file: what requests ask: submissions, cancels, reads. Each goes into the open batch.
 */
#include <stdlib.h>

#include "daemon/dispatch_private.h"
#include "daemon/mem.h"
#include "daemon/text.h"

/* ---- submissions ----------------------------------------------------------------------------------------------------------- */

static const char *
dispatch_limit_reached(struct dispatch *dispatch, const struct spec *from, int64_t count)
{
	if (dispatch->queues.pending + count > dispatch->config.pending)
		return "[limits] pending";
	if (queues_owner_pending(&dispatch->queues, from->owner) + count > dispatch->config.pending_per_owner)
		return "[limits] pending_per_owner";
	return dispatch_why_no_queue(dispatch, from->queue, from->restricted ? from->owner : NULL);
}

/* The job is added and started in one. */
static void
dispatch_put_running(struct dispatch *dispatch, struct job *job, struct store_put *put)
{
	dispatch_loosen(dispatch, job, false);
	put->place = STORE_RUNNING;
	put->token = job->token;
	put->end = (struct store_end){.attempt = job->attempts, .started_ms = job->started_ms};
	job->recorded_in = dispatch->number;
}

/*
 * Whether its queue may start a job and nothing must go before it: nothing of its pool is ready, nothing of its line is in the store alone or (a pure job's order cannot be told) on
 * its way there.
 */
static bool
dispatch_is_first(const struct dispatch *dispatch, const struct job *job)
{
	uint8_t pool = job->spec->pool;
	const struct line *line;

	if (queue_is_paused(job->queue) || queue_is_at_limit(job->queue))
		return false;
	if (queues_head(&dispatch->queues, pool) != NULL || (job->queue->lanes[pool].adding > 0 && !job->spec->pure))
		return false;
	line = queues_find_line(job->queue, pool, job->spec->owner);
	return line == NULL || line->complete;
}

void
dispatch_send_early(struct dispatch *dispatch, struct job *job)
{
	dispatch_begin_attempt(dispatch, job);
	dispatch_loosen(dispatch, job, true);
	if (job->put_at > 0)
		dispatch->n_early++;
	dispatch_send(dispatch, job);
}

/*
 * Whether it may begin before the store has it: nobody can tell when it ran, and what it is told with (that the key is new, that it is not too late) is not in question.
 */
static bool
dispatch_may_go_early(const struct spec *spec)
{
	return spec->pure && spec->key == NULL && spec->timeout_ms == SPEC_NONE && spec->expires_ms == SPEC_NONE;
}

/* It starts in the same commit that adds it, if nothing must go before it and there is a place. */
static void
dispatch_try_at_once(struct dispatch *dispatch, struct job *job, struct store_put *put)
{
	if (dispatch->no_room || (job->spec->pure && job->spec->key != NULL) || !dispatch_is_first(dispatch, job) ||
	    !dispatch_place(dispatch, job))
		return;
	if (dispatch_may_go_early(job->spec)) {
		dispatch_send_early(dispatch, job);
		return;
	}
	dispatch_begin_attempt(dispatch, job);
	dispatch_put_running(dispatch, job, put);
}

static void
dispatch_submit_one(struct dispatch *dispatch, struct spec *spec, const struct task *task, struct store_put *put,
    dispatch_submit_cb cb, void *ctx)
{
	struct job *job = job_new(&dispatch->jobs, spec, task);

	job->dispatch = dispatch;
	job->state = FSM_ADDING;
	job->queue = queues_get(&dispatch->queues, spec->queue);
	job->submit_cb = cb;
	job->submit_ctx = ctx;
	job->put_at = dispatch->open->n_put;
	put->ctx = job;
	queues_count_pending(&dispatch->queues, job->queue, spec->owner, 1);
	if (put->place == STORE_READY)
		dispatch_try_at_once(dispatch, job, put);
	job->adding = (put->place == STORE_READY || put->place == STORE_WAITING) && !job->loose;
	job->queue->lanes[spec->pool].adding += job->adding;
	if (put->place == STORE_READY && !job->loose && dispatch_may_go_early(spec))
		dispatch_stand_in_line(dispatch, job);
}

static void
dispatch_submit_map(struct dispatch *dispatch, struct spec *spec, struct store_put *put, dispatch_submit_cb cb, void *ctx)
{
	struct map_submission *map = mem_new(sizeof(*map));

	*map = (struct map_submission){.spec = spec, .count = put->count, .cb = cb, .ctx = ctx};
	map->queue = queues_get(&dispatch->queues, spec->queue);
	map->queue->lanes[spec->pool].adding++;
	put->ctx = map;
	queues_count_pending(&dispatch->queues, map->queue, spec->owner, map->count);
}

int
dispatch_submit(struct dispatch *dispatch, const struct spec *from, const struct task *task, struct span items, int64_t count,
    dispatch_submit_cb cb, void *ctx, int64_t *ret_first, const char **ret_what)
{
	struct store_put *put;
	struct spec *spec;

	if (dispatch->draining || dispatch->failed)
		return RPC_SHUTTING_DOWN;
	*ret_what = dispatch_limit_reached(dispatch, from, count);
	if (*ret_what != NULL)
		return RPC_BUSY;
	spec = spec_new(from);
	spec->id = dispatch->next_id;
	if (ret_first != NULL)
		*ret_first = spec->id;
	dispatch->next_id += count;
	put = dispatch_add_put(dispatch);
	dispatch->open_bytes += spec_size(spec) + items.len;
	put->spec = spec;
	put->items = items;
	put->count = count;
	if (spec->after.len > 0)
		put->place = STORE_WAITING; /* unless the store says otherwise */
	else
		put->place = spec->not_before_ms > loop_wall_ms() ? STORE_DELAYED : STORE_READY;
	put->key_until_ms = spec->submitted_ms + 24 * 3600 * INT64_C(1000);
	if (items.len > 0)
		dispatch_submit_map(dispatch, spec, put, cb, ctx);
	else
		dispatch_submit_one(dispatch, spec, task, put, cb, ctx);
	return 0;
}

/* ---- cancels --------------------------------------------------------------------------------------------------------------- */

static char *
dispatch_cancel_error(const char *by, const char *why)
{
	char *message = why != NULL ? mem_format("cancelled by %s: %s", by, why) : mem_format("cancelled by %s", by);
	struct text text = {0};
	size_t len;

	text_add_lit(&text, "{\"type\":\"Cancelled\",\"message\":");
	text_add_quoted(&text, message);
	free(message);
	text_add_lit(&text, ",\"by\":");
	text_add_quoted(&text, by);
	text_add_lit(&text, "}");
	text_add_char(&text, '\0');
	return text_steal(&text, &len);
}

void
dispatch_cancel(struct dispatch *dispatch, int64_t id, const char *owner, const char *by, const char *why, int64_t grace_ms,
    dispatch_cancel_cb cb, void *ctx)
{
	struct cancel_request *request = mem_new(sizeof(*request));
	struct job *job = job_find(&dispatch->jobs, id);

	request->id = id;
	request->owner = owner != NULL ? mem_text(owner) : NULL;
	request->error = dispatch_cancel_error(by, why);
	request->grace_ms = grace_ms;
	request->cb = cb;
	request->ctx = ctx;
	if (job != NULL)
		job->cancelling++;
	if (job != NULL && job->state == FSM_ADDING && job->line != NULL)
		dispatch_step_out_of_line(dispatch, job); /* it is not sent early any more */
	/* The store thinks that a loose job is ready and would end it at once: its start goes first. */
	if (job != NULL && job->loose && job->put_at > 0) {
		dispatch_put_running(dispatch, job, &dispatch->open->put[job->put_at - 1]);
		dispatch_add_cancel(dispatch, request);
	} else if (job != NULL && job->loose) {
		dispatch_loosen(dispatch, job, false);
		dispatch_add_start(dispatch, job);
		dispatch_changed(dispatch, job, DISPATCH_RUNNING);
		dispatch_do_later(dispatch, NULL, request);
	} else if (job != NULL && job->sent && job->recorded_in == dispatch->number) {
		dispatch_do_later(dispatch, NULL, request); /* its start goes with the open batch */
	} else {
		dispatch_add_cancel(dispatch, request);
	}
}

/* ---- reads ----------------------------------------------------------------------------------------------------------------- */

static void
dispatch_ask(struct dispatch *dispatch, enum read_kind kind, void *read)
{
	dispatch->reads = mem_room(dispatch->reads, dispatch->n_reads, &dispatch->reads_capacity, sizeof(*dispatch->reads));
	dispatch->reads[dispatch->n_reads++] = (struct read_request){kind, read};
	dispatch->n_asked++;
}

void
dispatch_read(struct dispatch *dispatch, struct store_read *read)
{
	dispatch_ask(dispatch, READ_ROWS, read);
}

void
dispatch_survey(struct dispatch *dispatch, struct store_survey *survey)
{
	dispatch_ask(dispatch, READ_SURVEY, survey);
}

void
dispatch_expired(struct dispatch *dispatch, struct store_expired *expired)
{
	dispatch_ask(dispatch, READ_EXPIRED, expired);
}

void
dispatch_webhooks(struct dispatch *dispatch, struct store_webhooks *webhooks)
{
	dispatch_ask(dispatch, READ_WEBHOOKS, webhooks);
}

void
dispatch_settle_webhook(struct dispatch *dispatch, const struct store_webhook *what)
{
	*DISPATCH_ADD(dispatch->open, webhook) = *what;
}

void
dispatch_forget(struct dispatch *dispatch, const int64_t *ids, size_t n)
{
	struct store_batch *open = dispatch->open;

	for (size_t i = 0; i < n; i++) {
		open->forget = mem_room(open->forget, open->n_forget, &open->forget_capacity, sizeof(*open->forget));
		open->forget[open->n_forget++] = ids[i];
	}
}
