/*
 * A turn of it all: what is to be written and read, and the callbacks that are due.
 *
 * Input is read only while nothing is due, so that what a program has not taken yet stays with the daemon, which sends
 * no faster than it is read. Programs' callbacks are called here and nowhere else.
 */
#include "internal.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#define PROCESS_CALLS_MAX 1024 /* of one fut_process, so that a loop of events has its turn */
#define PROCESS_LONG_S	  1e9  /* thirty years: as good as no limit */

void due_init(struct due *due, void (*call)(struct fut_client *client, struct due *due))
{
	ring_init(&due->ring);
	due->call = call;
}

void due_add(struct fut_client *client, struct due *due)
{
	if (ring_is_empty(&due->ring))
		ring_add(&client->due, &due->ring);
	poll_wake(&client->poll);
}

int64_t client_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t client_deadline(double wait_s)
{
	/* The comparison is false for what is no number, too. */
	if (!(wait_s >= 0 && wait_s < PROCESS_LONG_S))
		return -1;
	return client_now_ms() + (int64_t)(wait_s * 1000 + 0.999);
}

int client_turn(struct fut_client *client, int64_t deadline_ms)
{
	int64_t left = deadline_ms < 0 ? -1 : deadline_ms - client_now_ms();
	bool over = deadline_ms >= 0 && left <= 0;
	int r;

	futures_ask(client);
	if (left > INT_MAX)
		left = INT_MAX;
	r = wire_turn(client, over ? 0 : (int)left);
	if (r < 0)
		return r;
	futures_ask(client);
	return over && r == 0 ? FUT_E_TIMED_OUT : 0;
}

void client_look(struct fut_client *client)
{
	if (client->wire.fd < 0)
		return;
	futures_ask(client);
	if (wire_turn(client, 0) > 0)
		futures_ask(client);
}

void client_over(struct fut_client *client)
{
	requests_end(client);
	watching_end(client);
	futures_end(client);
	poll_wake(&client->poll);
}

/* Calls what is due; how many. The client may be marked as freed after it. */
static int process_call(struct fut_client *client)
{
	struct due *due;
	int called = 0;

	client->processing = true;
	while (called < PROCESS_CALLS_MAX && !client->freed && !ring_is_empty(&client->due)) {
		due = RING_OF(ring_first(&client->due), struct due, ring);
		ring_remove(&due->ring);
		due->call(client, due);
		called++;
	}
	client->processing = false;
	return called;
}

int fut_process(struct fut_client *client, int timeout_ms)
{
	int64_t deadline_ms = timeout_ms < 0 ? -1 : client_now_ms() + timeout_ms;
	int called, r = 0;

	if (client->processing)
		return client_fail(client, FUT_E_ARGUMENT, "fut_process was called by one of its own callbacks");
	do {
		if (ring_is_empty(&client->due))
			r = client_turn(client, deadline_ms);
		else
			wire_push(client);
		called = process_call(client);
		if (client->freed) {
			client->freed = false;
			fut_free(client);
			return called;
		}
	} while (called == 0 && r == 0 && timeout_ms != 0);
	if (!ring_is_empty(&client->due))
		return called;
	poll_rest(&client->poll);
	return client->ended.code != 0 ? client_fail_ended(client) : called;
}

void fut_set_nonblocking(struct fut_client *client, bool on)
{
	client->nonblocking = on;
}
