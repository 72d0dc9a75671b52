/*
 * How the ends of futures are learnt: all that were accepted since the last turn become a group, with one watch.
 *
 * So thousands of futures cost few watches, and none is asked for twice. Where the daemon knows not all of a group's
 * ids it refuses the watch and names them: these settle, the others are asked for again. Where it has too many watches
 * of ours, they wait until one of those has ended.
 */
#include "future.h"

#include <stdlib.h>

#define GROUP_MAX    10000 /* ids in one watch, well below what a message may hold */
#define GROUP_EVENTS "[\"running\",\"finished\"]"
#define GROUP_FIELDS                                                                                                \
	"[\"task\",\"state\",\"attempt\",\"submitted\",\"started\",\"finished\",\"progress\",\"result\",\"error\"," \
	"\"usage\"]"

struct group {
	struct ring ring; /* in futures.groups */
	struct watching watching;
	struct ring futures;
};

static void group_free(struct group *group)
{
	ring_remove(&group->ring);
	free(group);
}

static void group_settle_all(struct fut_client *client, struct ring *list, const struct failure *failure)
{
	while (!ring_is_empty(list))
		future_settle(client, RING_OF(ring_first(list), struct fut_future, ring), NULL, failure);
}

static void group_event(struct fut_client *client, struct watching *watching, enum fut_event event, struct span object)
{
	struct failure failure = {0};
	struct fut_future *future;
	struct ids_node *node, *next;
	struct fut_job *job;
	int64_t id;

	(void)watching;
	if (calls_integer(object, "id", &id) < 0)
		return;
	for (node = ids_find(&client->futures.table, id); node != NULL; node = next) {
		next = ids_find_next(node);
		future = RING_OF(node, struct fut_future, node);
		future->running = event == FUT_EVENT_RUNNING;
		if (event != FUT_EVENT_FINISHED)
			continue;
		failure_set_code(&failure, job_parse(object, &job));
		if (failure.code == 0)
			future_settle(client, future, job, NULL);
		else
			future_settle(client, future, NULL, &failure);
	}
}

/* Settles those whose ids the daemon does not know, by the data of its error; whether there were any. */
static bool group_settle_unknown(struct fut_client *client, struct span error, const struct failure *failure)
{
	struct ids_node *node, *next;
	struct jsonspan_iter iter;
	struct span data, ids, one;
	bool found = false;
	int64_t id;

	if (!jsonspan_get(error, "data", &data) || !jsonspan_get(data, "ids", &ids) ||
	    jsonspan_type(ids) != JSONSPAN_ARRAY)
		return false;
	jsonspan_iter_init(&iter, ids);
	while (jsonspan_next(&iter, &one)) {
		if (jsonspan_integer(one, &id) < 0)
			continue;
		for (node = ids_find(&client->futures.table, id); node != NULL; node = next) {
			next = ids_find_next(node);
			found = true;
			future_settle(client, RING_OF(node, struct fut_future, node), NULL, failure);
		}
	}
	return found;
}

/* Back to those that are to be asked for. */
static void group_return(struct fut_client *client, struct group *group)
{
	struct fut_future *future;

	while (!ring_is_empty(&group->futures)) {
		future = RING_OF(ring_first(&group->futures), struct fut_future, ring);
		future->group = NULL;
		ring_add(&client->futures.fresh, &future->ring);
	}
}

static void group_over(struct fut_client *client, struct watching *watching, int code, struct span error)
{
	struct group *group = RING_OF(watching, struct group, watching);
	struct failure failure = {0};

	client->futures.held = false;
	/* At a good end whoever is left had no job: it was skipped within a range, or forgotten meanwhile. */
	client_explain(client, code < 0 ? code : FUT_E_NOT_FOUND, error, &failure);
	ring_remove(&group->ring);
	if (code == FUT_E_NOT_FOUND && group_settle_unknown(client, error, &failure)) {
		group_return(client, group);
	} else if (code == FUT_E_BUSY && !ring_is_empty(&client->futures.groups)) {
		group_return(client, group);
		client->futures.held = true;
	}
	group_settle_all(client, &group->futures, &failure);
	failure_clear(&failure);
	group_free(group);
	if (!ring_is_empty(&client->futures.fresh))
		poll_wake(&client->poll);
}

/* Adds what begins at link to the selection: a future, or several whose ids follow one another. The last of them. */
static struct ring *group_put_range(const struct ring *list, struct ring *link, struct text *ids)
{
	struct fut_future *future = RING_OF(link, struct fut_future, ring), *next;
	int64_t first = future->node.id, last = first;

	while (!future->named && link->behind != list) {
		next = RING_OF(link->behind, struct fut_future, ring);
		if (next->named || next->node.id != last + 1)
			break;
		last++;
		link = link->behind;
	}
	if (ids->len > 1)
		text_add(ids, ",", 1);
	if (first == last)
		text_add_format(ids, "%lld", (long long)first);
	else
		text_add_format(ids, "\"%lld-%lld\"", (long long)first, (long long)last);
	return link;
}

/* Asks for all of a group; negative where nothing was sent. */
static int group_start(struct fut_client *client, struct group *group)
{
	struct fut_params *params = fut_params_new();
	struct text ids = {0};
	struct ring *link;
	int r;

	if (params == NULL)
		return FUT_E_MEMORY;
	text_add(&ids, "[", 1);
	for (link = group->futures.behind; link != &group->futures; link = link->behind)
		link = group_put_range(&group->futures, link, &ids);
	text_add(&ids, "]", 1);
	fut_params_json(params, "ids", text_string(&ids), ids.failed ? 0 : ids.len);
	fut_params_json(params, "events", GROUP_EVENTS, SIZE_MAX);
	fut_params_json(params, "fields", GROUP_FIELDS, SIZE_MAX);
	r = ids.failed ? FUT_E_MEMORY : watching_start(client, &group->watching, params);
	text_done(&ids);
	fut_params_free(params);
	return r;
}

void futures_ask(struct fut_client *client)
{
	struct futures *futures = &client->futures;
	struct failure failure = {0};
	struct fut_future *future;
	struct group *group;

	failure_set_code(&failure, FUT_E_MEMORY);
	while (client->wire.fd >= 0 && !futures->held && !ring_is_empty(&futures->fresh)) {
		group = calloc(1, sizeof(*group));
		if (group == NULL) {
			group_settle_all(client, &futures->fresh, &failure);
			return;
		}
		watching_init(&group->watching);
		group->watching.event = group_event;
		group->watching.over = group_over;
		ring_init(&group->futures);
		ring_init(&group->ring);
		for (size_t i = 0; i < GROUP_MAX && !ring_is_empty(&futures->fresh); i++) {
			future = RING_OF(ring_first(&futures->fresh), struct fut_future, ring);
			future->group = group;
			ring_add(&group->futures, &future->ring);
		}
		ring_add(&futures->groups, &group->ring);
		if (group_start(client, group) < 0) {
			group_settle_all(client, &group->futures, &failure);
			group_free(group);
			return;
		}
	}
}

void future_leave(struct fut_client *client, struct fut_future *future)
{
	struct group *group = future->group;

	ring_remove(&future->ring);
	future->group = NULL;
	if (group == NULL || !ring_is_empty(&group->futures))
		return;
	watching_stop(client, &group->watching);
	group_free(group);
	client->futures.held = false;
}
