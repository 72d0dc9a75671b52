/*
 * Watches as programs see them: a queue of events, which a callback or fut_watch_next empties.
 *
 * A watch lives until it is freed, also beyond its client; then client is NULL.
 */
#include "internal.h"

#include <stdlib.h>

struct watch_event {
	struct ring ring;
	enum fut_event event;
	struct fut_job *job;
};

struct fut_watch {
	struct fut_client *client;
	struct ring ring; /* in client->watches */
	struct watching watching;
	struct ring events; /* of struct watch_event, not taken yet */
	struct due due;
	fut_watch_cb callback;
	void *arg;
	bool over; /* nothing more comes into events */
	bool told; /* the callback knows of the end */
	struct failure failure;
};

static void watch_event_free(struct watch_event *event)
{
	fut_job_free(event->job);
	free(event);
}

static void watch_set_due(struct fut_watch *watch)
{
	if (watch->callback != NULL && !watch->told && (watch->over || !ring_is_empty(&watch->events)))
		due_add(watch->client, &watch->due);
}

static void watch_over(struct fut_client *client, struct watching *watching, int code, struct span error)
{
	struct fut_watch *watch = RING_OF(watching, struct fut_watch, watching);

	watch->over = true;
	client_explain(client, code, error, &watch->failure);
	watch_set_due(watch);
}

static void watch_event(struct fut_client *client, struct watching *watching, enum fut_event event, struct span job)
{
	struct fut_watch *watch = RING_OF(watching, struct fut_watch, watching);
	struct watch_event *kept = calloc(1, sizeof(*kept));
	int r = kept == NULL ? FUT_E_MEMORY : job_parse(job, &kept->job);

	if (r < 0) {
		free(kept);
		watching_stop(client, watching);
		watch_over(client, watching, r, SPAN_NONE);
		return;
	}
	kept->event = event;
	ring_init(&kept->ring);
	ring_add(&watch->events, &kept->ring);
	watch_set_due(watch);
}

/* Takes the first event off, or NULL. */
static struct watch_event *watch_take(struct fut_watch *watch)
{
	struct watch_event *event;

	if (ring_is_empty(&watch->events))
		return NULL;
	event = RING_OF(ring_first(&watch->events), struct watch_event, ring);
	ring_remove(&event->ring);
	return event;
}

/* One event a call; the callback may free the watch. */
static void watch_call(struct fut_client *client, struct due *due)
{
	struct fut_watch *watch = RING_OF(due, struct fut_watch, due);
	struct watch_event *event = watch_take(watch);

	if (event == NULL) {
		watch->told = true;
		if (watch->failure.code != 0)
			(void)client_fail_copy(client, &watch->failure);
		watch->callback(watch, FUT_EVENT_END, NULL, watch->arg);
		return;
	}
	watch_set_due(watch);
	watch->callback(watch, event->event, event->job, watch->arg);
	watch_event_free(event);
}

int fut_watch(struct fut_client *client, const struct fut_params *params, fut_watch_cb callback, void *arg,
	      struct fut_watch **ret_watch)
{
	struct fut_watch *watch;
	int r = requests_room(client);

	if (r < 0)
		return r;
	watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		return client_fail(client, FUT_E_MEMORY, "out of memory for a watch");
	watching_init(&watch->watching);
	watch->watching.event = watch_event;
	watch->watching.over = watch_over;
	r = watching_start(client, &watch->watching, params);
	if (r < 0) {
		free(watch);
		return r;
	}
	watch->client = client;
	watch->callback = callback;
	watch->arg = arg;
	ring_init(&watch->events);
	due_init(&watch->due, watch_call);
	ring_init(&watch->ring);
	ring_add(&client->watches, &watch->ring);
	*ret_watch = watch;
	return 0;
}

int fut_watch_next(struct fut_watch *watch, double wait_s, enum fut_event *ret_event, struct fut_job **ret_job)
{
	int64_t deadline_ms = client_deadline(wait_s);
	struct watch_event *event;
	int r = 0;

	while (ring_is_empty(&watch->events) && !watch->over && watch->client != NULL && r != FUT_E_TIMED_OUT)
		r = client_turn(watch->client, deadline_ms);
	event = watch_take(watch);
	if (event != NULL) {
		*ret_event = event->event;
		*ret_job = event->job;
		free(event);
		return 1;
	}
	if (watch->client == NULL)
		return watch->over ? watch->failure.code : FUT_E_DISCONNECTED;
	if (!watch->over)
		return client_fail(watch->client, FUT_E_TIMED_OUT, "no event came within %g s", wait_s);
	return watch->failure.code == 0 ? 0 : client_fail_copy(watch->client, &watch->failure);
}

int64_t fut_watch_count(const struct fut_watch *watch)
{
	return watch->watching.count;
}

int fut_watch_code(const struct fut_watch *watch)
{
	return watch->failure.code;
}

void fut_watch_free(struct fut_watch *watch)
{
	struct watch_event *event;

	if (watch == NULL)
		return;
	if (watch->client != NULL)
		watching_stop(watch->client, &watch->watching);
	while ((event = watch_take(watch)) != NULL)
		watch_event_free(event);
	ring_remove(&watch->ring);
	ring_remove(&watch->due.ring);
	failure_clear(&watch->failure);
	free(watch);
}

void watches_detach(struct fut_client *client)
{
	struct fut_watch *watch;

	while (!ring_is_empty(&client->watches)) {
		watch = RING_OF(ring_first(&client->watches), struct fut_watch, ring);
		watching_stop(client, &watch->watching);
		if (!watch->over)
			failure_set_code(&watch->failure, FUT_E_DISCONNECTED);
		watch->over = true;
		watch->client = NULL;
		ring_remove(&watch->ring);
		ring_remove(&watch->due.ring);
	}
}
