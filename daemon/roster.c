/*
 * roster: see roster.h.
 */
#include "daemon/roster.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/hash.h"
#include "daemon/mem.h"
#include "daemon/server.h"

#define ROSTER_CONNECTIONS 16 /* all owners together may keep as many ranges as so many connections may */

/* A bit for each id of the ranges. */
struct roster_naming {
	size_t *offsets; /* of each range's first id */
	uint8_t *found;
};

/* ---- ids that were named one by one -------------------------------------------------------------------------------------- */

static void
naming_free(struct roster_naming *naming)
{
	if (naming == NULL)
		return;
	free(naming->offsets);
	free(naming->found);
	free(naming);
}

/* NULL when all came as ranges. */
static struct roster_naming *
naming_new(const struct selection *selection)
{
	struct roster_naming *naming;
	size_t total = 0, named = 0;

	for (size_t i = 0; i < selection->n_asked; i++)
		named += !selection->is_range[i];
	if (named == 0)
		return NULL;
	naming = mem_new(sizeof(*naming));
	naming->offsets = mem_new_array(selection->n_ranges, sizeof(*naming->offsets));
	for (size_t i = 0; i < selection->n_ranges; i++) {
		naming->offsets[i] = total;
		total += (size_t)(selection->ranges[i].last - selection->ranges[i].first + 1);
	}
	naming->found = mem_new(total / 8 + 1);
	return naming;
}

/* The range that id is in, or n. */
static size_t
roster_find_range(const struct id_range *ranges, size_t n, int64_t id)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges[middle].last < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && ranges[low].first <= id ? low : n;
}

static uint8_t *
naming_at(const struct roster *roster, int64_t id, uint8_t *ret_bit)
{
	const struct selection *selection = &roster->selection;
	size_t range = roster_find_range(selection->ranges, selection->n_ranges, id), number;

	number = roster->naming->offsets[range] + (size_t)(id - selection->ranges[range].first);
	*ret_bit = (uint8_t)(1u << (number & 7));
	return &roster->naming->found[number >> 3];
}

/* Those that are not there, malloc'ed; NULL: all are. */
static int64_t *
naming_unknown(const struct roster *roster, size_t *ret_n)
{
	const struct selection *selection = &roster->selection;
	int64_t *unknown = NULL;
	size_t n = 0, capacity = 0;
	uint8_t bit;

	for (size_t i = 0; roster->naming != NULL && i < selection->n_asked; i++) {
		int64_t id = selection->asked[i].first;

		if (selection->is_range[i] || (*naming_at(roster, id, &bit) & bit) != 0)
			continue;
		unknown = mem_room(unknown, n, &capacity, sizeof(*unknown));
		unknown[n++] = id;
	}
	*ret_n = n;
	return unknown;
}

/* ---- what it keeps --------------------------------------------------------------------------------------------------------- */

/* What all rosters of an owner keep; there while that is something. */
struct roster_owner {
	size_t n_ranges;
	UT_hash_handle hh;
	char name[];
};

static struct roster_owner *
roster_get_owner(struct server *server, const char *name)
{
	struct roster_owner *owner;
	size_t len = strlen(name);

	HASH_FIND(hh, server->range_owners, name, len, owner);
	if (owner == NULL) {
		owner = mem_new(sizeof(*owner) + len);
		memcpy(owner->name, name, len);
		HASH_ADD_KEYPTR(hh, server->range_owners, owner->name, len, owner);
	}
	return owner;
}

static void
roster_put_owner(struct server *server, struct roster_owner *owner)
{
	if (owner->n_ranges > 0)
		return;
	HASH_DEL(server->range_owners, owner);
	free(owner);
}

/* n ranges are kept now: false, and nothing is changed, when that is too much. An owner may keep as many as it leaves free to others. */
static bool
roster_charge(struct roster *roster, size_t n)
{
	struct server *server = roster->server;
	size_t max = (size_t)server->config->limit_ranges_per_connection, joint = max * ROSTER_CONNECTIONS;
	size_t charge = n > 0 ? n - 1 : 0, connection = roster->peer->n_ranges - roster->charged + charge;
	struct roster_owner *owner;
	size_t own, all;
	bool fits;

	if (charge == roster->charged)
		return true;
	owner = roster->charged > 0 ? roster->range_owner : roster_get_owner(server, roster->peer->owner);
	own = owner->n_ranges - roster->charged + charge;
	all = server->n_ranges - roster->charged + charge;
	fits = charge < roster->charged || (connection <= max && all <= joint && own <= joint - all);
	if (fits) {
		roster->peer->n_ranges = connection;
		server->n_ranges = all;
		owner->n_ranges = own;
		roster->charged = charge;
		roster->range_owner = owner;
	}
	roster_put_owner(server, owner);
	return fits;
}

/* ---- counting -------------------------------------------------------------------------------------------------------------- */

static void
roster_count_end(struct roster *roster, const struct store_row *row)
{
	roster->n_ended++;
	roster->n_failed += row->state == JOB_FAILED;
	if (row->seq < roster->first_seq)
		roster->first_seq = row->seq;
}

static void
roster_job_ended(struct waiter *waiter, const struct store_row *row)
{
	struct roster *roster = (struct roster *)((char *)waiter - offsetof(struct roster, waiter));

	if (row->id > roster->position) /* it is still to be read, or it came after the asking */
		return;
	roster_count_end(roster, row);
	roster->calls->ended(roster, row);
}

static void
roster_keep(struct roster *roster, int64_t id)
{
	size_t n = roster->n_kept;

	if (n > 0 && roster->kept[n - 1].last + 1 == id) {
		roster->kept[n - 1].last = id;
		return;
	}
	if (!roster_charge(roster, n + 1 + roster->selection.n_ranges)) {
		roster->over = true;
		return;
	}
	roster->kept = mem_room(roster->kept, n, &roster->kept_capacity, sizeof(*roster->kept));
	roster->kept[n] = (struct id_range){id, id};
	roster->n_kept = n + 1;
	roster->waiter.ranges = roster->kept;
	roster->waiter.n_ranges = n + 1;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

static bool
roster_row(const struct store_row *row, void *arg)
{
	struct roster *roster = arg;
	uint8_t bit, *at;

	if (roster->over)
		return false;
	roster->position = row->id;
	roster->n_found++;
	if (roster->exact)
		roster_keep(roster, row->id);
	if (roster->naming != NULL) {
		at = naming_at(roster, row->id, &bit);
		*at |= bit;
	}
	if (row->place == STORE_DONE)
		roster_count_end(roster, row);
	return !roster->over && roster->n_found <= roster->server->config->limit_selection;
}

static void
roster_tally(const struct store_tally *tally, void *arg)
{
	struct roster *roster = arg;

	if (tally->n > 0)
		roster->position = tally->last;
	roster->n_found += tally->n;
	for (int state = 0; state < JOB_STATE_COUNT; state++)
		roster->n_ended += tally->ended[state];
	roster->n_failed += tally->ended[JOB_FAILED];
	if (tally->first_seq < roster->first_seq)
		roster->first_seq = tally->first_seq;
}

static void
roster_fail(struct roster *roster, int code, const char *message, const int64_t *ids, size_t n_ids)
{
	const struct roster_failure failure = {code, message, ids, n_ids};

	roster->calls->failed(roster, &failure);
}

/* What lies behind the last job came after the asking, or is not there. */
static void
roster_settle(struct roster *roster)
{
	struct selection *selection = &roster->selection;
	size_t n;

	if (roster->exact) {
		free(selection->ranges);
		selection->ranges = roster->kept;
		selection->n_ranges = roster->n_kept;
		roster->kept = NULL;
	}
	n = selection->n_ranges;
	while (n > 0 && selection->ranges[n - 1].first > roster->position)
		n--;
	if (n > 0 && selection->ranges[n - 1].last > roster->position)
		selection->ranges[n - 1].last = roster->position;
	selection->n_ranges = roster->waiter.n_ranges = n;
	roster->waiter.ranges = selection->ranges;
	(void)roster_charge(roster, n); /* never more than before */
	free(selection->asked);
	free(selection->is_range);
	selection->asked = NULL;
	selection->is_range = NULL;
	selection->n_asked = 0;
	naming_free(roster->naming);
	roster->naming = NULL;
}

static void
roster_read_done(int error, const char *reason, void *arg)
{
	struct roster *roster = arg;
	int64_t *unknown;
	size_t n;

	roster->gather = NULL;
	if (error != 0) {
		roster_fail(roster, RPC_INTERNAL, reason, NULL, 0);
		return;
	}
	if (roster->over) {
		roster_fail(roster, RPC_BUSY, "[limits] ranges_per_connection is reached: the jobs are too scattered to wait for more of them", NULL, 0);
		return;
	}
	if (roster->n_found > roster->server->config->limit_selection) {
		roster_fail(roster, RPC_TOO_LARGE, "the filter fits more jobs than [limits] selection", NULL, 0);
		return;
	}
	unknown = naming_unknown(roster, &n);
	if (n > 0) {
		roster_fail(roster, RPC_NOT_FOUND, NULL, unknown, n);
		free(unknown);
		return;
	}
	if (roster->n_found == 0 && !roster->selection.filtered) {
		roster_fail(roster, RPC_NOT_FOUND, "none of the jobs named exists", NULL, 0);
		return;
	}
	roster_settle(roster);
	roster->ready = true;
	roster->calls->ready(roster);
}

void
roster_read(struct roster *roster, unsigned fields, struct room *room, bool (*row)(const struct store_row *, void *),
    void (*done)(int, const char *, void *), void *arg)
{
	const struct selection *selection = &roster->selection;
	struct gather_what what = {.ranges = selection->ranges, .n_ranges = selection->n_ranges, .owner = roster->owner};

	what.fields = fields;
	what.room = room;
	what.most = (size_t)roster->server->config->limit_message;
	what.row = row;
	what.done = done;
	what.arg = arg;
	roster->gather = gather_start(roster->server->dispatch, &what);
}

bool
roster_count(struct roster *roster, void (*tally)(const struct store_tally *, void *), void (*done)(int, const char *, void *), void *arg)
{
	const struct selection *selection = &roster->selection;
	struct gather_what what = {.ranges = selection->ranges, .n_ranges = selection->n_ranges, .tally = tally, .done = done, .arg = arg};

	if (roster->owner != NULL)
		return false;
	roster->gather = gather_start(roster->server->dispatch, &what);
	return true;
}

static void
roster_read_filter(struct roster *roster)
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	struct gather_what what = {.ranges = &all, .n_ranges = 1, .owner = roster->owner, .row = roster_row, .done = roster_read_done};

	what.filter = &roster->selection.filter;
	what.arg = roster;
	roster->gather = gather_start(roster->server->dispatch, &what);
}

/* ---- birth and end --------------------------------------------------------------------------------------------------------- */

static void
roster_init(struct roster *roster, const struct roster_calls *calls, struct request *request)
{
	const char *owner = request_owner_filter(request);

	roster->calls = calls;
	roster->server = request->server;
	roster->peer = request->peer;
	roster->owner = owner != NULL ? mem_text(owner) : NULL;
	roster->waiter.ended = roster_job_ended;
	roster->first_seq = INT64_MAX;
}

void
roster_start(struct roster *roster, const struct roster_calls *calls, struct request *request, struct selection *selection)
{
	roster_init(roster, calls, request);
	roster->selection = *selection;
	roster->naming = naming_new(selection);
	roster->exact = selection->filtered || (roster->owner != NULL && selection->count > 1);
	roster->over = !roster_charge(roster, selection->n_asked > selection->n_ranges ? selection->n_asked : selection->n_ranges);
	if (!roster->exact) {
		roster->waiter.ranges = selection->ranges;
		roster->waiter.n_ranges = selection->n_ranges;
	}
	waiters_add(roster->server->waiters, &roster->waiter);
	if (selection->filtered)
		roster_read_filter(roster);
	else if (roster->naming != NULL || !roster_count(roster, roster_tally, roster_read_done, roster))
		roster_read(roster, 0, NULL, roster_row, roster_read_done, roster);
}

void
roster_start_fresh(struct roster *roster, const struct roster_calls *calls, struct request *request, int64_t id)
{
	roster_init(roster, calls, request);
	roster->selection.ranges = mem_new(sizeof(*roster->selection.ranges));
	roster->selection.ranges[0] = (struct id_range){id, id};
	roster->selection.n_ranges = roster->waiter.n_ranges = 1;
	roster->waiter.ranges = roster->selection.ranges;
	roster->position = id;
	roster->n_found = 1;
	roster->ready = true;
	waiters_add(roster->server->waiters, &roster->waiter);
}

bool
roster_has(const struct roster *roster, int64_t id)
{
	return id <= roster->position && roster_find_range(roster->waiter.ranges, roster->waiter.n_ranges, id) < roster->waiter.n_ranges;
}

void
roster_leave(struct roster *roster, void (*release)(void *arg), void *arg)
{
	waiters_remove(roster->server->waiters, &roster->waiter);
	(void)roster_charge(roster, 0);
	if (roster->gather != NULL)
		gather_abandon(roster->gather, release, arg);
	else
		release(arg);
}

void
roster_done(struct roster *roster)
{
	naming_free(roster->naming);
	selection_done(&roster->selection);
	free(roster->kept);
	free(roster->owner);
}

void
roster_refuse(struct request *request, const struct roster_failure *failure)
{
	if (failure->n_ids > 0)
		request_fail_ids(request, failure->ids, failure->n_ids);
	else
		request_fail(request, failure->code, "%s", failure->message);
}
