/*
 * watch: see watch.h.
 *
 * In the order of finishing: `seq` is the place up to which it has told, `behind` how many jobs of its roster have ended behind it. While that is 0 and
 * the client reads, an end is told from the row that came with it; else the store is read on from `seq`. In the order of id: `id` is the last that it
 * has told, `next` the job that it waits for (0: the store must be asked which that is, and whether it has ended). What the store has no more when its
 * turn comes (forgotten) is left out.
 */
#include "daemon/watch.h"

#include <stdlib.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/log.h"
#include "daemon/mem.h"
#include "daemon/roster.h"
#include "daemon/server.h"

#define WATCH_ROWS_MIN 16
#define WATCH_ROWS_MAX 512
#define WATCH_BYTES ((size_t)256 << 10)

struct watch {
	struct request *request; /* until it is answered */
	struct peer *peer;
	int64_t number; /* on its connection */
	struct roster roster;
	struct peer_wait peer_wait;
	struct peer_turn turn;
	struct reply_hook hook;
	struct store_read *read; /* under way, or waiting for room */
	struct room room;        /* for what it reads */
	enum watch_order order;
	unsigned events;
	render_fields fields;
	unsigned rows;   /* of the next read in the order of id */
	size_t large;    /* bytes of the job that is to be read next, if it needs room; or 0 */
	bool started;    /* the reply is on its way: events may follow */
	bool stopped;    /* by unwatch, before it was answered */
	bool gone;       /* to be freed when the read has come back */
	bool at_end;     /* order of id: all are told */
	bool missed;     /* changes of running jobs, behind `change` */
	uint64_t change; /* the last that was told */
	int64_t seq, behind;
	int64_t id, next;
};

static void watch_go(struct watch *watch);

/* ---- end ------------------------------------------------------------------------------------------------------------------- */

static void
watch_free(void *arg)
{
	struct watch *watch = arg;

	if (watch->read != NULL) {
		watch->gone = true;
		return;
	}
	roster_done(&watch->roster);
	free(watch);
}

static void
watch_leave(struct watch *watch)
{
	reply_hook_drop(&watch->hook);
	peer_give_up_turn(watch->peer, &watch->turn);
	if (watch->room.waiting) {
		free(watch->read);
		watch->read = NULL;
	}
	room_leave(&watch->room);
	roster_leave(&watch->roster, watch_free, watch);
}

static void
watch_peer_closed(struct peer_wait *wait)
{
	struct watch *watch = (struct watch *)((char *)wait - offsetof(struct watch, peer_wait));

	if (watch->request != NULL)
		request_drop(watch->request);
	watch->peer->n_bulk -= watch->read != NULL;
	watch_leave(watch);
}

static void
watch_end(struct watch *watch)
{
	struct peer *peer = watch->peer;
	bool reading = watch->read != NULL;

	peer_remove_wait(peer, &watch->peer_wait);
	watch_leave(watch);
	if (reading)
		peer_end_bulk(peer);
}

/* ---- events ---------------------------------------------------------------------------------------------------------------- */

static void
watch_begin_event(const struct watch *watch, struct text *text, const char *event)
{
	text_printf(text, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"watch\":%lld,\"event\":\"%s\"", (long long)watch->number, event);
}

static void
watch_write_row(const struct watch *watch, struct text *text, const struct store_row *row)
{
	watch_begin_event(watch, text, "finished");
	text_add_lit(text, ",\"job\":");
	render_job(text, watch->roster.server->dispatch, row, watch->fields);
	text_add_lit(text, "}}\n");
}

static void
watch_write_running(const struct watch *watch, struct text *text, const struct job *job, const char *event)
{
	watch_begin_event(watch, text, event);
	text_add_lit(text, ",\"job\":");
	render_running(text, watch->roster.server->dispatch, job, watch->fields);
	text_add_lit(text, "}}\n");
}

static void
watch_send(const struct watch *watch, struct text *text)
{
	if (text->len > 0)
		watch->peer->calls->send(watch->peer, text->at, text->len);
	text_done(text);
}

/* Whether the end of a job may be told as it happens. */
static bool
watch_is_free(const struct watch *watch, const struct store_row *row)
{
	return watch->started && !watch->turn.queued && watch->read == NULL && row->spec.task != NULL && peer_may_be_told(watch->peer, row);
}

/* ---- changes of running jobs ----------------------------------------------------------------------------------------------- */

static unsigned
watch_event_of(enum dispatch_change what)
{
	switch (what) {
	case DISPATCH_RUNNING:
		return WATCH_E_RUNNING;
	case DISPATCH_PROGRESS:
		return WATCH_E_PROGRESS;
	}
	return 0;
}

static bool
watch_tell_changed(const struct job *job, void *arg)
{
	struct watch *watch = arg;
	struct text text = {0};
	uint64_t last = watch->change;

	if (watch->peer->calls->is_clogged(watch->peer))
		return false;
	for (int what = DISPATCH_RUNNING; what <= DISPATCH_PROGRESS; what++) {
		if (job->changes[what] <= watch->change)
			continue;
		last = job->changes[what] > last ? job->changes[what] : last;
		if ((watch->events & watch_event_of((enum dispatch_change)what)) != 0 && roster_has(&watch->roster, job->spec->id))
			watch_write_running(watch, &text, job, what == DISPATCH_RUNNING ? "running" : "progress");
	}
	watch->change = last;
	watch_send(watch, &text);
	return true;
}

static void
watch_tell_missed(struct watch *watch)
{
	const struct dispatch *dispatch = watch->roster.server->dispatch;

	dispatch_each_changed(dispatch, watch->change, watch_tell_changed, watch);
	if (watch->peer->calls->is_clogged(watch->peer))
		return;
	watch->missed = false;
	watch->change = dispatch_last_change(dispatch);
}

static void
watch_job_changed(struct waiter *waiter, int64_t id, enum dispatch_change what)
{
	struct roster *roster = (struct roster *)((char *)waiter - offsetof(struct roster, waiter));
	struct watch *watch = (struct watch *)((char *)roster - offsetof(struct watch, roster));

	(void)id;
	if ((watch->events & watch_event_of(what)) == 0)
		return;
	watch->missed = true;
	watch_go(watch);
}

/* ---- ends: from the store -------------------------------------------------------------------------------------------------- */

/* Nothing is left to be told, now or later. */
static bool
watch_is_over(const struct watch *watch)
{
	if (watch->roster.n_ended < watch->roster.n_found)
		return false;
	if ((watch->events & WATCH_E_FINISHED) == 0)
		return true;
	return watch->order == WATCH_ID ? watch->at_end : watch->behind == 0;
}

static bool
watch_wants_read(const struct watch *watch)
{
	if ((watch->events & WATCH_E_FINISHED) == 0)
		return false;
	return watch->order == WATCH_ID ? watch->next == 0 && !watch->at_end : watch->behind > 0;
}

static void
watch_take_finished(struct watch *watch, const struct store_read *read, struct text *text)
{
	for (size_t i = 0; i < read->n_rows; i++)
		watch_write_row(watch, text, &read->rows[i]);
	watch->seq = read->more || read->n_rows == 0 ? read->next : read->rows[read->n_rows - 1].seq;
	/* Whatever has been told as ended until now, this read has seen: what is missing has been forgotten. */
	watch->behind = read->more && watch->behind > (int64_t)read->n_rows ? watch->behind - (int64_t)read->n_rows : 0;
}

static void
watch_take_ids(struct watch *watch, const struct store_read *read, struct text *text)
{
	for (size_t i = 0; i < read->n_rows; i++) {
		const struct store_row *row = &read->rows[i];

		if (row->place != STORE_DONE) {
			watch->next = row->id;
			watch->rows = WATCH_ROWS_MIN;
			return;
		}
		watch_write_row(watch, text, row);
		watch->id = row->id;
	}
	watch->id = read->next;
	watch->at_end = !read->more;
	watch->rows = watch->rows * 2 < WATCH_ROWS_MAX ? watch->rows * 2 : WATCH_ROWS_MAX;
}

/* The store cannot be read: it ends, and says why. */
static void
watch_fail(struct watch *watch, const char *reason)
{
	struct text text = {0};

	log_warning("a watch ends early: %s", reason);
	watch_begin_event(watch, &text, "end");
	text_add_lit(&text, ",\"error\":");
	text_add_quoted(&text, reason);
	text_add_lit(&text, "}}\n");
	watch_send(watch, &text);
	watch_end(watch);
}

static void
watch_read_done(struct store_read *read, void *arg)
{
	struct watch *watch = arg;
	struct peer *peer = watch->peer;
	struct text text = {0};

	watch->read = NULL;
	if (watch->gone) {
		watch_free(watch);
	} else if (read->error != 0) {
		watch_fail(watch, read->reason);
		peer_end_bulk(peer);
	} else {
		if (watch->order == WATCH_ID)
			watch_take_ids(watch, read, &text);
		else
			watch_take_finished(watch, read, &text);
		watch->large = read->n_rows == 0 ? read->large : 0;
		watch_send(watch, &text);
		room_leave(&watch->room);
		watch_go(watch);
		peer_end_bulk(peer);
	}
	if (read->error == 0)
		store_read_done(read);
	free(read);
}

static void
watch_read(void *arg)
{
	struct watch *watch = arg;

	dispatch_read(watch->roster.server->dispatch, watch->read);
}

/* A large job is read by itself, when there is room for it. */
static void
watch_begin_read(struct watch *watch)
{
	size_t most = (size_t)watch->roster.server->config->limit_message;
	struct store_read *read = mem_new(sizeof(*read));
	const struct roster *roster = &watch->roster;

	read->ranges = roster->waiter.ranges;
	read->n_ranges = roster->waiter.n_ranges;
	read->owner = roster->owner;
	read->by_end = watch->order == WATCH_FINISHED;
	read->cursor = read->by_end ? watch->seq : watch->id;
	read->max_rows = watch->large > 0 ? 1 : read->by_end ? WATCH_ROWS_MAX : watch->rows;
	read->max_bytes = WATCH_BYTES;
	read->strict = watch->large == 0;
	read->fields = render_store_fields(watch->fields);
	read->done = watch_read_done;
	read->arg = watch;
	watch->read = read;
	peer_begin_bulk(watch->peer);
	room_take(&watch->room, watch->large < most ? watch->large : most, watch_read, watch);
}

/* ---- the next thing to do -------------------------------------------------------------------------------------------------- */

static void
watch_turn(struct peer_turn *turn)
{
	struct watch *watch = (struct watch *)((char *)turn - offsetof(struct watch, turn));
	struct text text = {0};

	if (watch->missed)
		watch_tell_missed(watch);
	if (watch->missed) {
		watch_go(watch); /* when the client has read more */
	} else if (watch_is_over(watch)) {
		watch_begin_event(watch, &text, "end");
		text_add_lit(&text, "}}\n");
		watch_send(watch, &text);
		watch_end(watch);
	} else if (watch_wants_read(watch)) {
		watch_begin_read(watch);
	}
}

/* May end it. */
static void
watch_go(struct watch *watch)
{
	if (!watch->started || watch->read != NULL || watch->turn.queued)
		return;
	if (watch->missed || watch_is_over(watch) || watch_wants_read(watch))
		peer_take_turn(watch->peer, &watch->turn);
}

static void
watch_tell_row(const struct watch *watch, const struct store_row *row)
{
	struct text text = {0};

	watch_write_row(watch, &text, row);
	watch_send(watch, &text);
}

static void
watch_ended_by_end(struct watch *watch, const struct store_row *row)
{
	if (watch->behind == 0 && watch_is_free(watch, row)) {
		watch_tell_row(watch, row);
		watch->seq = row->seq;
		return;
	}
	if (watch->behind == 0 && watch->read == NULL)
		watch->seq = row->seq - 1;
	watch->behind++;
}

static void
watch_ended_by_id(struct watch *watch, const struct store_row *row)
{
	if (row->id != watch->next)
		return;
	watch->next = 0;
	if (watch_is_free(watch, row)) {
		watch_tell_row(watch, row);
		watch->id = row->id;
	}
}

static void
watch_job_ended(struct roster *roster, const struct store_row *row)
{
	struct watch *watch = (struct watch *)((char *)roster - offsetof(struct watch, roster));

	if (!roster->ready) /* it is read later */
		return;
	if ((watch->events & WATCH_E_FINISHED) == 0)
		;
	else if (watch->order == WATCH_ID)
		watch_ended_by_id(watch, row);
	else
		watch_ended_by_end(watch, row);
	watch_go(watch);
}

/* ---- birth ----------------------------------------------------------------------------------------------------------------- */

static void
watch_answered(struct reply_hook *hook)
{
	struct watch *watch = (struct watch *)((char *)hook - offsetof(struct watch, hook));

	watch->started = true;
	if (watch->stopped)
		watch_end(watch);
	else
		watch_go(watch);
}

static void
watch_ready(struct roster *roster)
{
	struct watch *watch = (struct watch *)((char *)roster - offsetof(struct watch, roster));
	struct request *request = watch->request;
	struct text result = {0};

	watch->behind = roster->n_ended;
	watch->seq = roster->first_seq - 1;
	watch->missed = (watch->events & (WATCH_E_RUNNING | WATCH_E_PROGRESS)) != 0;
	watch->request = NULL;
	text_printf(&result, "{\"watch\":%lld,\"count\":%lld}", (long long)watch->number, (long long)roster->n_found);
	request_reply_hooked(request, &result, &watch->hook);
}

static void
watch_failed(struct roster *roster, const struct roster_failure *failure)
{
	struct watch *watch = (struct watch *)((char *)roster - offsetof(struct watch, roster));
	struct request *request = watch->request;

	watch_end(watch);
	roster_refuse(request, failure);
}

static const struct roster_calls watch_calls = {watch_ready, watch_failed, watch_job_ended};

void
watch_start(struct request *request, struct watch_what *what)
{
	struct watch *watch = mem_new(sizeof(*watch));
	struct peer *peer = request->peer;

	watch->peer_wait.closed = watch_peer_closed;
	if (peer_add_wait(peer, &watch->peer_wait) < 0) {
		request_fail(request, RPC_BUSY, "[limits] waits_per_connection is reached");
		selection_done(&what->selection);
		free(watch);
		return;
	}
	watch->request = request;
	watch->peer = peer;
	watch->room.rooms = &peer->server->rooms;
	watch->number = ++peer->n_watches;
	watch->order = what->order;
	watch->events = what->events;
	watch->fields = what->fields;
	watch->rows = WATCH_ROWS_MIN;
	watch->turn.go = watch_turn;
	watch->hook.sent = watch_answered;
	if ((watch->events & (WATCH_E_RUNNING | WATCH_E_PROGRESS)) != 0)
		watch->roster.waiter.changed = watch_job_changed;
	roster_start(&watch->roster, &watch_calls, request, &what->selection);
}

int
watch_stop(struct peer *peer, int64_t number)
{
	struct peer_wait *wait;

	TAILQ_FOREACH(wait, &peer->waits, link) {
		struct watch *watch = (struct watch *)((char *)wait - offsetof(struct watch, peer_wait));

		if (wait->closed != watch_peer_closed || watch->number != number || watch->stopped)
			continue;
		if (watch->started)
			watch_end(watch);
		else
			watch->stopped = true;
		return 0;
	}
	return -1;
}
