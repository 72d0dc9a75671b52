/*
 * await: see await.h.
 *
 * Born, it registers with the waiters, then reads the selection's states from the store: what ended before is in the rows, what ends
 * after is told by the waiters, and what is in both counts once (a bit for each id). When it is satisfied, or its time is over, it reads the jobs
 * for the reply. A connection that closes ends it in any of these.
 */
#include "daemon/await.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/gather.h"
#include "daemon/mem.h"
#include "daemon/server.h"
#include "daemon/waiters.h"

/* An ended job's object in the text of the reply. */
struct await_done {
	int64_t seq;
	size_t at, len;
};

struct await {
	struct request *request;
	struct server *server;
	struct await_what what;
	bool run; /* answer with the one object */
	struct waiter waiter;
	struct peer_wait peer_wait;
	struct peer_turn turn; /* to read for the reply */
	struct gather *gather; /* under way */
	struct event *timer;
	bool timed_out;
	bool surveyed;
	bool collecting;
	bool too_large;
	char *owner;          /* filter of the reads */

	/* The ids, by their number within the ranges. */
	size_t *offsets;      /* of each range's first id */
	uint8_t *found, *ended;
	int64_t n_found, n_ended;

	struct id_range *resolved; /* of a filter */
	size_t n_resolved, resolved_capacity;

	int64_t counts[JOB_STATE_COUNT];
	struct text jobs;
	struct await_done *done;
	size_t n_done, done_capacity;
	struct text not_done;
};

static void await_collect(struct await *await);

/* ---- end ------------------------------------------------------------------------------------------------------------------- */

static void
await_free(void *arg)
{
	struct await *await = arg;

	selection_done(&await->what.selection);
	if (await->timer != NULL)
		event_free(await->timer);
	free(await->owner);
	free(await->offsets);
	free(await->found);
	free(await->ended);
	free(await->resolved);
	text_done(&await->jobs);
	text_done(&await->not_done);
	free(await->done);
	free(await);
}

/* Leaves everything; the request must have been answered, or its connection closed. */
static void
await_leave(struct await *await, bool peer_open)
{
	waiters_remove(await->server->waiters, &await->waiter);
	if (peer_open)
		peer_remove_wait(await->request->peer, &await->peer_wait);
	if (await->timer != NULL)
		event_del(await->timer);
}

static void
await_peer_closed(struct peer_wait *wait)
{
	struct await *await = (struct await *)((char *)wait - offsetof(struct await, peer_wait));

	await_leave(await, false);
	peer_give_up_turn(await->request->peer, &await->turn);
	request_drop(await->request);
	if (await->gather != NULL)
		gather_abandon(await->gather, await_free, await);
	else
		await_free(await);
}

static void
await_reply(struct await *await, struct text *result)
{
	struct request *request = await->request;

	await_leave(await, true);
	request_reply(request, result);
	await_free(await);
}

static void
await_fail(struct await *await, int code, const char *message)
{
	struct request *request = await->request;

	await_leave(await, true);
	request_fail(request, code, "%s", message);
	await_free(await);
}

/* ---- the ids ---------------------------------------------------------------------------------------------------------------- */

/* The number of id within the ranges; false when it is in none. */
static bool
await_number(const struct await *await, int64_t id, size_t *ret_number)
{
	size_t low = 0, high = await->waiter.n_ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (await->waiter.ranges[middle].last < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == await->waiter.n_ranges || await->waiter.ranges[low].first > id)
		return false;
	*ret_number = await->offsets[low] + (size_t)(id - await->waiter.ranges[low].first);
	return true;
}

/* True when it was not set yet. */
static bool
await_mark(uint8_t *bits, size_t number)
{
	uint8_t bit = (uint8_t)(1u << (number & 7));
	bool was = (bits[number >> 3] & bit) != 0;

	bits[number >> 3] |= bit;
	return !was;
}

static bool
await_has(const uint8_t *bits, size_t number)
{
	return (bits[number >> 3] & (1u << (number & 7))) != 0;
}

static void
await_take_ranges(struct await *await, const struct id_range *ranges, size_t n)
{
	size_t total = 0;

	await->waiter.ranges = ranges;
	await->waiter.n_ranges = n;
	await->offsets = mem_new_array(n, sizeof(*await->offsets));
	for (size_t i = 0; i < n; i++) {
		await->offsets[i] = total;
		total += (size_t)(ranges[i].last - ranges[i].first + 1);
	}
	await->found = mem_new(total / 8 + 1);
	await->ended = mem_new(total / 8 + 1);
}

/* ---- waiting ---------------------------------------------------------------------------------------------------------------- */

static bool
await_is_satisfied(const struct await *await)
{
	return await->n_ended == await->n_found || (await->what.until == AWAIT_ANY && await->n_ended > 0);
}

/* It counts once it has been found: a job that came after the asking is none of the selection's. */
static void
await_note_ended(struct await *await, int64_t id)
{
	size_t number;

	if (await_number(await, id, &number) && await_mark(await->ended, number) && await_has(await->found, number))
		await->n_ended++;
}

/* The one job that is waited for has just ended, and its row is whole: no need to read it. */
static void
await_answer_one(struct await *await, const struct store_row *row)
{
	struct text result = {0};

	if (await->run) {
		render_job(&result, await->server->dispatch, row, await->what.fields);
	} else {
		text_add_lit(&result, "{\"timed_out\":false,\"counts\":{");
		for (int i = 0; i < JOB_STATE_COUNT; i++)
			text_printf(&result, "%s\"%s\":%d", i > 0 ? "," : "", job_state_name((enum job_state)i), row->state == (enum job_state)i);
		text_add_char(&result, '}');
		if (await->what.jobs) {
			text_add_lit(&result, ",\"done\":[");
			render_job(&result, await->server->dispatch, row, await->what.fields);
			text_add_lit(&result, "],\"not_done\":[]");
		}
		text_add_char(&result, '}');
	}
	await_reply(await, &result);
}

static void
await_job_ended(struct waiter *waiter, const struct store_row *row)
{
	struct await *await = (struct await *)((char *)waiter - offsetof(struct await, waiter));

	await_note_ended(await, row->id);
	if (!await->surveyed || await->collecting || !await_is_satisfied(await))
		return;
	if (await->n_found == 1 && await->what.selection.count <= 1 && row->spec.task != NULL &&
	    !await->request->peer->is_clogged(await->request->peer))
		await_answer_one(await, row);
	else
		await_collect(await);
}

static void
await_time_cb(evutil_socket_t fd, short events, void *arg)
{
	struct await *await = arg;

	(void)fd;
	(void)events;
	await->timed_out = true;
	if (await->surveyed && !await->collecting)
		await_collect(await);
}

static void
await_arm(struct await *await)
{
	int64_t ms = await->what.wait_ms;
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (ms == SPEC_NONE)
		return;
	await->timer = event_new(loop_base(await->server->loop), -1, 0, await_time_cb, await);
	event_add(await->timer, &tv);
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

static void
await_read(struct await *await, unsigned fields, bool (*row)(const struct store_row *, void *), void (*done)(int, const char *, void *))
{
	struct gather_what what = {.ranges = await->waiter.ranges, .n_ranges = await->waiter.n_ranges, .owner = await->owner};

	what.fields = fields;
	what.row = row;
	what.done = done;
	what.arg = await;
	await->gather = gather_start(await->server->dispatch, &what);
}

static bool
await_survey_row(const struct store_row *row, void *arg)
{
	struct await *await = arg;
	size_t number;

	if (!await_number(await, row->id, &number))
		return true;
	if (await_mark(await->found, number)) {
		await->n_found++;
		await->n_ended += await_has(await->ended, number);
	}
	if (row->place == STORE_DONE)
		await_note_ended(await, row->id);
	return true;
}

/* Ids that were named one by one must exist. */
static bool
await_check_unknown(struct await *await)
{
	const struct selection *selection = &await->what.selection;
	struct request *request = await->request;
	int64_t *unknown = NULL;
	size_t n = 0, capacity = 0, number;

	for (size_t i = 0; i < selection->n_asked; i++) {
		int64_t id = selection->asked[i].first;

		if (!selection->is_range[i] && await_number(await, id, &number) &&
		    !await_has(await->found, number)) {
			unknown = mem_room(unknown, n, &capacity, sizeof(*unknown));
			unknown[n++] = id;
		}
	}
	if (n == 0 && (await->n_found > 0 || selection->filtered))
		return true;
	await_leave(await, true);
	if (n > 0)
		request_fail_ids(request, unknown, n);
	else
		request_fail(request, RPC_NOT_FOUND, "none of the jobs named exists");
	free(unknown);
	await_free(await);
	return false;
}

static void
await_surveyed(int error, const char *reason, void *arg)
{
	struct await *await = arg;

	await->gather = NULL;
	if (error != 0) {
		await_fail(await, RPC_INTERNAL, reason);
		return;
	}
	if (!await->what.selection.filtered && !await_check_unknown(await))
		return;
	await->surveyed = true;
	if (await_is_satisfied(await) || await->timed_out)
		await_collect(await);
}

static void
await_survey(struct await *await)
{
	waiters_add(await->server->waiters, &await->waiter);
	await_read(await, 0, await_survey_row, await_surveyed);
}

static bool
await_resolve_row(const struct store_row *row, void *arg)
{
	struct await *await = arg;
	struct id_range *last = await->n_resolved > 0 ? &await->resolved[await->n_resolved - 1] : NULL;

	if (last != NULL && last->last + 1 == row->id) {
		last->last = row->id;
		return true;
	}
	await->resolved = mem_room(await->resolved, await->n_resolved, &await->resolved_capacity, sizeof(*await->resolved));
	await->resolved[await->n_resolved++] = (struct id_range){row->id, row->id};
	return true;
}

static void
await_resolved(int error, const char *reason, void *arg)
{
	struct await *await = arg;

	await->gather = NULL;
	if (error != 0) {
		await_fail(await, RPC_INTERNAL, reason);
		return;
	}
	await_take_ranges(await, await->resolved, await->n_resolved);
	if (await->n_resolved > 0) {
		await_survey(await);
		return;
	}
	await->surveyed = true;
	await_collect(await);
}

static void
await_resolve(struct await *await)
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	struct gather_what what = {.ranges = &all, .n_ranges = 1, .owner = await->owner, .row = await_resolve_row, .done = await_resolved};

	what.filter = &await->what.selection.filter;
	what.arg = await;
	await->gather = gather_start(await->server->dispatch, &what);
}

/* ---- the reply ------------------------------------------------------------------------------------------------------------- */

static bool
await_collect_row(const struct store_row *row, void *arg)
{
	struct await *await = arg;
	enum job_state state = render_state(await->server->dispatch, row);
	struct await_done *done;

	await->counts[state]++;
	if (!await->what.jobs)
		return true;
	if (row->place == STORE_DONE || await->run) {
		await->done = mem_room(await->done, await->n_done, &await->done_capacity, sizeof(*await->done));
		done = &await->done[await->n_done++];
		done->seq = row->seq;
		done->at = await->jobs.len;
		render_job(&await->jobs, await->server->dispatch, row, await->what.fields);
		done->len = await->jobs.len - done->at;
	} else {
		if (await->not_done.len > 0)
			text_add_char(&await->not_done, ',');
		text_add_integer(&await->not_done, row->id);
	}
	await->too_large = await->jobs.len + await->not_done.len > (size_t)await->server->config->limit_message;
	return !await->too_large;
}

static int
await_compare(const void *a, const void *b)
{
	const struct await_done *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void
await_collected(int error, const char *reason, void *arg)
{
	struct await *await = arg;
	struct text result = {0};

	await->gather = NULL;
	if (error != 0 || await->too_large) {
		await_fail(await, error != 0 ? RPC_INTERNAL : RPC_TOO_LARGE,
		    error != 0 ? reason : "the reply is longer than [limits] message: use fields, or jobs:false");
		return;
	}
	if (await->run) {
		text_add(&result, await->jobs.at, await->jobs.len);
		if (await->n_done == 0) {
			await_fail(await, RPC_NOT_FOUND, "the job has been forgotten");
			return;
		}
		await_reply(await, &result);
		return;
	}
	if (await->n_done > 1)
		qsort(await->done, await->n_done, sizeof(*await->done), await_compare);
	text_printf(&result, "{\"timed_out\":%s,\"counts\":{", await_is_satisfied(await) ? "false" : "true");
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		text_printf(&result, "%s\"%s\":%lld", i > 0 ? "," : "", job_state_name((enum job_state)i), (long long)await->counts[i]);
	text_add_char(&result, '}');
	if (await->what.jobs) {
		text_add_lit(&result, ",\"done\":[");
		for (size_t i = 0; i < await->n_done; i++) {
			if (i > 0)
				text_add_char(&result, ',');
			text_add(&result, await->jobs.at + await->done[i].at, await->done[i].len);
		}
		text_add_lit(&result, "],\"not_done\":[");
		text_add(&result, await->not_done.at, await->not_done.len);
		text_add_char(&result, ']');
	}
	text_add_char(&result, '}');
	await_reply(await, &result);
}

static void
await_collect_now(struct peer_turn *turn)
{
	struct await *await = (struct await *)((char *)turn - offsetof(struct await, turn));

	request_is_bulk(await->request);
	await_read(await, await->what.jobs ? render_store_fields(await->what.fields) : 0, await_collect_row, await_collected);
}

/* The reply may be large: it waits until the client has read those before. */
static void
await_collect(struct await *await)
{
	await->collecting = true;
	await->turn.go = await_collect_now;
	peer_take_turn(await->request->peer, &await->turn);
}

/* ---- birth ----------------------------------------------------------------------------------------------------------------- */

static struct await *
await_new(struct request *request, const struct await_what *what)
{
	struct await *await = mem_new(sizeof(*await));
	const char *owner = request_owner_filter(request);

	await->request = request;
	await->server = request->server;
	await->what = *what;
	await->waiter.ended = await_job_ended;
	await->peer_wait.closed = await_peer_closed;
	await->owner = owner != NULL ? mem_text(owner) : NULL;
	if (peer_add_wait(request->peer, &await->peer_wait) == 0)
		return await;
	request_fail(request, RPC_BUSY, "[limits] waits_per_connection is reached");
	await_free(await);
	return NULL;
}

void
await_start(struct request *request, const struct await_what *what)
{
	struct await *await = await_new(request, what);

	if (await == NULL)
		return;
	await_arm(await);
	if (what->selection.filtered) {
		await_resolve(await);
		return;
	}
	await_take_ranges(await, await->what.selection.ranges, await->what.selection.n_ranges);
	await_survey(await);
}

void
await_run(struct request *request, int64_t id, int64_t wait_ms, bool fresh)
{
	struct await_what what = {.wait_ms = wait_ms, .jobs = true, .fields = RENDER_ALL};
	struct selection *selection = &what.selection;
	struct await *await;

	if (request->peer->leaving || request->peer->closed) { /* its waits have ended already */
		request_drop(request);
		return;
	}
	selection->count = selection->n_ranges = selection->n_asked = 1;
	selection->ranges = mem_new(sizeof(*selection->ranges));
	selection->ranges[0] = (struct id_range){id, id};
	selection->asked = mem_new(sizeof(*selection->asked));
	selection->asked[0] = selection->ranges[0];
	selection->is_range = mem_new(sizeof(*selection->is_range));
	await = await_new(request, &what);
	if (await == NULL)
		return;
	await->run = true;
	await_arm(await);
	await_take_ranges(await, selection->ranges, 1);
	if (!fresh) {
		await_survey(await);
		return;
	}
	await->surveyed = true;
	await->n_found = 1;
	await_mark(await->found, 0);
	waiters_add(await->server->waiters, &await->waiter);
}
