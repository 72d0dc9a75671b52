/*
 * Watches as they go over the wire: asked for, open under the daemon's number, over.
 *
 * The daemon's reply comes before the first event, and both are taken in as they come, so an event always finds its
 * watch; what comes for one that was given up is ignored.
 */
#include "internal.h"

#include <string.h>

void watching_init(struct watching *watching)
{
	memset(watching, 0, sizeof(*watching));
	ring_init(&watching->ring);
	watching->count = -1;
}

static void watching_close(struct fut_client *client, struct watching *watching)
{
	if (watching->open)
		ids_remove(&client->watchings, &watching->node);
	ring_remove(&watching->ring);
	watching->open = false;
	watching->request = 0;
}

static void watching_unwatch(struct fut_client *client, int64_t number)
{
	struct fut_params *params = fut_params_new();

	/* Without memory the events go on, and are ignored. */
	if (params == NULL)
		return;
	fut_params_integer(params, "watch", number);
	if (client->wire.fd >= 0)
		(void)requests_send(client, "unwatch", params, NULL, NULL, NULL);
	fut_params_free(params);
}

/* The reply to a watch that was given up meanwhile. */
static void watching_take_unwanted(struct fut_client *client, void *arg, int code, struct span result,
				   struct span error)
{
	int64_t number;

	(void)arg;
	(void)error;
	if (code == 0 && calls_integer(result, "watch", &number) == 0)
		watching_unwatch(client, number);
}

static void watching_take_reply(struct fut_client *client, void *arg, int code, struct span result, struct span error)
{
	struct watching *watching = arg;

	watching->request = 0;
	if (code < 0) {
		watching->over(client, watching, code, error);
		return;
	}
	if (calls_integer(result, "watch", &watching->node.id) < 0 ||
	    calls_integer(result, "count", &watching->count) < 0) {
		watching->over(client, watching, FUT_E_BAD_REPLY, SPAN_NONE);
		return;
	}
	if (ids_add(&client->watchings, &watching->node) < 0) {
		watching_unwatch(client, watching->node.id);
		watching->over(client, watching, FUT_E_MEMORY, SPAN_NONE);
		return;
	}
	watching->open = true;
	ring_add(&client->all_watchings, &watching->ring);
}

int watching_start(struct fut_client *client, struct watching *watching, const struct fut_params *params)
{
	return requests_send(client, "watch", params, watching_take_reply, watching, &watching->request);
}

void watching_stop(struct fut_client *client, struct watching *watching)
{
	if (watching->request != 0)
		requests_retake(client, watching->request, watching_take_unwanted, NULL);
	else if (watching->open)
		watching_unwatch(client, watching->node.id);
	watching_close(client, watching);
}

void watching_take(struct fut_client *client, struct span params)
{
	struct watching *watching;
	struct ids_node *node;
	struct span event, job, error;
	int64_t number;

	if (calls_integer(params, "watch", &number) < 0 || !jsonspan_get(params, "event", &event))
		return;
	node = ids_find(&client->watchings, number);
	if (node == NULL)
		return;
	watching = RING_OF(node, struct watching, node);
	if (jsonspan_is(event, "end")) {
		/* A text where the daemon cannot read on. */
		if (!jsonspan_get(params, "error", &error) || jsonspan_type(error) != JSONSPAN_STRING)
			error = SPAN_NONE;
		watching_close(client, watching);
		watching->over(client, watching, error.at != NULL ? FUT_E_INTERNAL : 0, error);
		return;
	}
	if (!jsonspan_get(params, "job", &job))
		return;
	if (jsonspan_is(event, "finished"))
		watching->event(client, watching, FUT_EVENT_FINISHED, job);
	else if (jsonspan_is(event, "running"))
		watching->event(client, watching, FUT_EVENT_RUNNING, job);
	else if (jsonspan_is(event, "progress"))
		watching->event(client, watching, FUT_EVENT_PROGRESS, job);
}

void watching_end(struct fut_client *client)
{
	struct watching *watching;

	while (!ring_is_empty(&client->all_watchings)) {
		watching = RING_OF(ring_first(&client->all_watchings), struct watching, ring);
		watching_close(client, watching);
		watching->over(client, watching, client->ended.code, SPAN_NONE);
	}
}
