/*
 * await: see await.h.
 *
 * A roster counts the jobs and those of them that have ended. When that satisfies, or the time is over, the jobs are read for the reply; what that
 * needs is made only then. A connection that closes ends it in any of these.
 */
#include "daemon/await.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/mem.h"
#include "daemon/roster.h"
#include "daemon/server.h"

/* An ended job's object in the text of the reply. */
struct await_done {
	int64_t seq;
	size_t at, len;
};

/* What is gathered for the reply. */
struct await_reply {
	struct await *await;
	struct peer_turn turn; /* to read for it */
	int64_t counts[JOB_STATE_COUNT];
	struct text jobs;
	struct await_done *done;
	size_t n_done, done_capacity;
	struct text not_done;
	bool too_large;
};

struct await {
	struct request *request;
	struct roster roster;
	struct peer_wait peer_wait;
	struct event *timer;   /* with a limit */
	struct await_reply *reply; /* once it is collecting */
	render_fields fields;
	enum await_until until;
	bool jobs;
	bool run; /* answer with the one object */
	bool timed_out;
};

static void await_collect(struct await *await);

/* ---- end ------------------------------------------------------------------------------------------------------------------- */

static void
await_free(void *arg)
{
	struct await *await = arg;
	struct await_reply *reply = await->reply;

	if (await->timer != NULL)
		event_free(await->timer);
	roster_done(&await->roster);
	if (reply != NULL) {
		text_done(&reply->jobs);
		text_done(&reply->not_done);
		free(reply->done);
		free(reply);
	}
	free(await);
}

/* Leaves everything, and is freed when nothing is under way; the request must have been answered, or its connection closed. */
static void
await_leave(struct await *await)
{
	if (await->timer != NULL)
		event_del(await->timer);
	roster_leave(&await->roster, await_free, await);
}

static void
await_peer_closed(struct peer_wait *wait)
{
	struct await *await = (struct await *)((char *)wait - offsetof(struct await, peer_wait));

	if (await->reply != NULL)
		peer_give_up_turn(await->request->peer, &await->reply->turn);
	request_drop(await->request);
	await_leave(await);
}

/* The request, which is to be answered next: the await is gone. */
static struct request *
await_end(struct await *await)
{
	struct request *request = await->request;

	peer_remove_wait(request->peer, &await->peer_wait);
	await_leave(await);
	return request;
}

/* ---- waiting ---------------------------------------------------------------------------------------------------------------- */

static bool
await_is_satisfied(const struct await *await)
{
	const struct roster *roster = &await->roster;

	switch (await->until) {
	case AWAIT_ALL:
		break;
	case AWAIT_ANY:
		if (roster->n_ended > 0)
			return true;
		break;
	case AWAIT_FIRST_FAILURE:
		if (roster->n_failed > 0)
			return true;
		break;
	}
	return roster->n_ended == roster->n_found;
}

/* The one job that is waited for has just ended, and its row is whole: no need to read it. */
static void
await_answer_one(struct await *await, const struct store_row *row)
{
	const struct dispatch *dispatch = await->roster.server->dispatch;
	struct text result = {0};

	if (await->run) {
		render_job(&result, dispatch, row, await->fields);
	} else {
		text_add_lit(&result, "{\"timed_out\":false,\"counts\":{");
		for (int i = 0; i < JOB_STATE_COUNT; i++)
			text_printf(&result, "%s\"%s\":%d", i > 0 ? "," : "", job_state_name((enum job_state)i), row->state == (enum job_state)i);
		text_add_char(&result, '}');
		if (await->jobs) {
			text_add_lit(&result, ",\"done\":[");
			render_job(&result, dispatch, row, await->fields);
			text_add_lit(&result, "],\"not_done\":[]");
		}
		text_add_char(&result, '}');
	}
	request_reply(await_end(await), &result);
}

static void
await_job_ended(struct roster *roster, const struct store_row *row)
{
	struct await *await = (struct await *)((char *)roster - offsetof(struct await, roster));

	if (!roster->ready || await->reply != NULL || !await_is_satisfied(await))
		return;
	if (roster->n_found == 1 && row->spec.task != NULL && peer_may_be_told(await->request->peer, row))
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
	if (await->roster.ready && await->reply == NULL)
		await_collect(await);
}

static void
await_arm(struct await *await, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (ms == SPEC_NONE)
		return;
	await->timer = event_new(loop_base(await->request->server->loop), -1, 0, await_time_cb, await);
	event_add(await->timer, &tv);
}

static void
await_ready(struct roster *roster)
{
	struct await *await = (struct await *)((char *)roster - offsetof(struct await, roster));

	if (await_is_satisfied(await) || await->timed_out)
		await_collect(await);
}

static void
await_failed(struct roster *roster, const struct roster_failure *failure)
{
	struct await *await = (struct await *)((char *)roster - offsetof(struct await, roster));

	roster_refuse(await_end(await), failure);
}

static const struct roster_calls await_calls = {await_ready, await_failed, await_job_ended};

/* ---- the reply ------------------------------------------------------------------------------------------------------------- */

static bool
await_collect_row(const struct store_row *row, void *arg)
{
	struct await *await = arg;
	struct await_reply *reply = await->reply;
	const struct server *server = await->roster.server;
	struct await_done *done;

	reply->counts[render_state(server->dispatch, row)]++;
	if (!await->jobs)
		return true;
	if (row->place == STORE_DONE || await->run) {
		reply->done = mem_room(reply->done, reply->n_done, &reply->done_capacity, sizeof(*reply->done));
		done = &reply->done[reply->n_done++];
		done->seq = row->seq;
		done->at = reply->jobs.len;
		render_job(&reply->jobs, server->dispatch, row, await->fields);
		done->len = reply->jobs.len - done->at;
	} else {
		if (reply->not_done.len > 0)
			text_add_char(&reply->not_done, ',');
		text_add_integer(&reply->not_done, row->id);
	}
	reply->too_large = reply->jobs.len + reply->not_done.len > (size_t)server->config->limit_message;
	return !reply->too_large;
}

static int
await_compare(const void *a, const void *b)
{
	const struct await_done *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void
await_write(const struct await *await, struct text *result)
{
	const struct await_reply *reply = await->reply;

	text_printf(result, "{\"timed_out\":%s,\"counts\":{", await_is_satisfied(await) ? "false" : "true");
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		text_printf(result, "%s\"%s\":%lld", i > 0 ? "," : "", job_state_name((enum job_state)i), (long long)reply->counts[i]);
	text_add_char(result, '}');
	if (await->jobs) {
		text_add_lit(result, ",\"done\":[");
		for (size_t i = 0; i < reply->n_done; i++) {
			if (i > 0)
				text_add_char(result, ',');
			text_add(result, reply->jobs.at + reply->done[i].at, reply->done[i].len);
		}
		text_add_lit(result, "],\"not_done\":[");
		text_add(result, reply->not_done.at, reply->not_done.len);
		text_add_char(result, ']');
	}
	text_add_char(result, '}');
}

static void
await_collected(int error, const char *reason, void *arg)
{
	struct await *await = arg;
	struct await_reply *reply = await->reply;
	struct text result = {0};

	await->roster.gather = NULL;
	if (error != 0) {
		request_fail(await_end(await), RPC_INTERNAL, "%s", reason);
	} else if (reply->too_large && await->run) {
		request_fail_too_large(await_end(await));
	} else if (reply->too_large) {
		request_fail(await_end(await), RPC_TOO_LARGE, "the reply is longer than [limits] message: use fields, or jobs:false");
	} else if (await->run && reply->n_done == 0) {
		request_fail(await_end(await), RPC_NOT_FOUND, "the job has been forgotten");
	} else if (await->run) {
		text_add(&result, reply->jobs.at, reply->jobs.len);
		request_reply(await_end(await), &result);
	} else {
		if (reply->n_done > 1)
			qsort(reply->done, reply->n_done, sizeof(*reply->done), await_compare);
		await_write(await, &result);
		request_reply(await_end(await), &result);
	}
}

static void
await_collect_tally(const struct store_tally *tally, void *arg)
{
	const struct await *await = arg;

	for (int i = 0; i < JOB_STATE_COUNT; i++)
		await->reply->counts[i] += tally->ended[i];
}

static void
await_collect_now(struct peer_turn *turn)
{
	struct await *await = ((struct await_reply *)((char *)turn - offsetof(struct await_reply, turn)))->await;
	const struct roster *roster = &await->roster;

	request_is_bulk(await->request);
	if (!await->jobs && roster->n_ended == roster->n_found &&
	    roster_count(&await->roster, await_collect_tally, await_collected, await))
		return;
	roster_read(&await->roster, await->jobs ? render_store_fields(await->fields) : 0, await->jobs ? &await->request->room : NULL,
	    await_collect_row, await_collected, await);
}

/* The reply may be large: it waits until the client has read those before. */
static void
await_collect(struct await *await)
{
	await->reply = mem_new(sizeof(*await->reply));
	await->reply->await = await;
	await->reply->turn.go = await_collect_now;
	peer_take_turn(await->request->peer, &await->reply->turn);
}

/* ---- birth ----------------------------------------------------------------------------------------------------------------- */

static struct await *
await_new(struct request *request, int64_t wait_ms)
{
	struct await *await = mem_new(sizeof(*await));

	await->request = request;
	await->jobs = true;
	await->fields = RENDER_ALL;
	await->peer_wait.closed = await_peer_closed;
	if (peer_add_wait(request->peer, &await->peer_wait) == 0) {
		await_arm(await, wait_ms);
		return await;
	}
	request_fail(request, RPC_BUSY, "[limits] waits_per_connection is reached");
	free(await);
	return NULL;
}

void
await_start(struct request *request, struct await_what *what)
{
	struct await *await = await_new(request, what->wait_ms);

	if (await == NULL) {
		selection_done(&what->selection);
		return;
	}
	await->until = what->until;
	await->jobs = what->jobs;
	await->fields = what->fields;
	roster_start(&await->roster, &await_calls, request, &what->selection);
}

void
await_run(struct request *request, int64_t id, int64_t wait_ms, bool fresh)
{
	struct selection selection = {.single = true, .count = 1, .n_ranges = 1, .n_asked = 1};
	struct await *await;

	if (request->peer->leaving || request->peer->closed) { /* its waits have ended already */
		request_drop(request);
		return;
	}
	await = await_new(request, wait_ms);
	if (await == NULL)
		return;
	await->run = true;
	request->accepted = id;
	if (fresh) {
		roster_start_fresh(&await->roster, &await_calls, request, id);
		return;
	}
	selection.ranges = mem_new(sizeof(*selection.ranges));
	selection.ranges[0] = (struct id_range){id, id};
	selection.asked = mem_new(sizeof(*selection.asked));
	selection.asked[0] = selection.ranges[0];
	selection.is_range = mem_new(sizeof(*selection.is_range));
	roster_start(&await->roster, &await_calls, request, &selection);
}
