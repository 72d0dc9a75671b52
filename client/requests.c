/*
 * What was asked and not yet fetched: a table by id, and the replies in the order in which they came.
 *
 * A reply is kept as the line it came in, with spans into it; no tree is built of what may be 16 MiB of a job's result.
 * Notifications, and replies to requests that are not known (any more), are ignored. An error without an id cannot be
 * tied to a request: it becomes the reason for which the connection ended.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUESTS_FIRST_BUCKETS 16
#define REQUESTS_UNSENT_MAX    (1u << 20) /* more than that is written by the send itself, which may then wait */

static struct request **requests_bucket(const struct requests *requests, int64_t id)
{
	return &requests->buckets[(size_t)id & (requests->n_buckets - 1)];
}

struct request *requests_find(const struct requests *requests, int64_t id)
{
	struct request *request;

	if (requests->n_buckets == 0)
		return NULL;
	for (request = *requests_bucket(requests, id); request != NULL; request = request->next)
		if (request->id == id)
			break;
	return request;
}

static int requests_grow(struct requests *requests)
{
	struct requests old = *requests;
	struct request *request, *next;

	requests->n_buckets = old.n_buckets == 0 ? REQUESTS_FIRST_BUCKETS : old.n_buckets * 2;
	requests->buckets = calloc(requests->n_buckets, sizeof(*requests->buckets));
	if (requests->buckets == NULL) {
		requests->buckets = old.buckets;
		requests->n_buckets = old.n_buckets;
		return FUT_E_MEMORY;
	}
	for (size_t i = 0; i < old.n_buckets; i++) {
		for (request = old.buckets[i]; request != NULL; request = next) {
			next = request->next;
			request->next = *requests_bucket(requests, request->id);
			*requests_bucket(requests, request->id) = request;
		}
	}
	free(old.buckets);
	return 0;
}

struct request *requests_add(struct requests *requests)
{
	struct request *request;

	if (requests->count >= requests->n_buckets && requests_grow(requests) < 0)
		return NULL;
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		return NULL;
	request->id = ++requests->next_id;
	request->next = *requests_bucket(requests, request->id);
	*requests_bucket(requests, request->id) = request;
	requests->count++;
	return request;
}

void requests_remove(struct requests *requests, struct request *request)
{
	struct request **at = requests_bucket(requests, request->id);

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
	requests->n_dropped -= request->dropped;
	if (request->arrived) {
		if (request->before != NULL)
			request->before->behind = request->behind;
		else
			requests->first = request->behind;
		if (request->behind != NULL)
			request->behind->before = request->before;
		else
			requests->last = request->before;
	}
	requests->count--;
	free(request->line);
	free(request);
}

void requests_clear(struct requests *requests)
{
	for (size_t i = 0; i < requests->n_buckets; i++)
		while (requests->buckets[i] != NULL)
			requests_remove(requests, requests->buckets[i]);
	free(requests->buckets);
	*requests = (struct requests){.next_id = requests->next_id};
}

/* The reply is copied: the wire's buffer goes on to the next line. */
static void requests_arrive(struct fut_client *client, struct request *request, struct span line, struct span result,
    struct span error)
{
	struct requests *requests = &client->requests;
	char *copy;

	if (request->dropped) {
		requests_remove(requests, request);
		return;
	}
	copy = malloc(line.len + 1);
	if (copy == NULL) {
		wire_end(client, FUT_E_MEMORY, "out of memory for a reply of %zu bytes", line.len);
		return;
	}
	memcpy(copy, line.at, line.len);
	copy[line.len] = '\0';
	request->line = copy;
	request->arrived = true;
	request->result = result.at == NULL ? SPAN_NONE : (struct span){copy + (result.at - line.at), result.len};
	request->error = error.at == NULL ? SPAN_NONE : (struct span){copy + (error.at - line.at), error.len};
	request->before = requests->last;
	if (requests->last != NULL)
		requests->last->behind = request;
	else
		requests->first = request;
	requests->last = request;
}

static bool requests_is_blank(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if (strchr(" \t\r", line.at[i]) == NULL || line.at[i] == '\0')
			return false;
	return true;
}

void requests_take(struct fut_client *client, const char *line, size_t len)
{
	struct span text = {line, len}, value, member, result = SPAN_NONE, error = SPAN_NONE;
	struct jsonspan_error wrong = {.what = "a reply is no object"};
	struct request *request;
	int64_t id;

	if (requests_is_blank(text))
		return;
	if (jsonspan_validate_reply(text, &value, &wrong) < 0 || jsonspan_type(value) != JSONSPAN_OBJECT) {
		wire_end(client, FUT_E_BAD_REPLY, "what answers at %s does not speak the protocol: %s", client->place,
		    wrong.what);
		return;
	}
	if (!jsonspan_get(value, "id", &member))
		return;
	if (!jsonspan_get(value, "result", &result))
		result = SPAN_NONE;
	if (!jsonspan_get(value, "error", &error))
		error = SPAN_NONE;
	if (result.at == NULL && error.at == NULL)
		return;
	if (jsonspan_type(member) == JSONSPAN_NULL && error.at != NULL) {
		failure_set_reply(&client->ended, error);
		wire_close(client);
		return;
	}
	if (jsonspan_integer(member, &id) < 0)
		return;
	request = requests_find(&client->requests, id);
	if (request != NULL && !request->arrived)
		requests_arrive(client, request, text, result, error);
}

static int64_t requests_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int fut_send(struct fut_client *client, const char *method, const struct fut_params *params, int64_t *ret_request)
{
	struct text *out = &client->wire.out;
	struct request *request;
	const char *what;
	size_t before = out->len;
	int r;

	if (client->wire.fd < 0)
		return client->ended.code != 0 ? client_fail_ended(client)
					       : client_fail(client, FUT_E_DISCONNECTED, "the client is not connected");
	r = params_check(params, &what);
	if (r < 0)
		return client_fail(client, r, "%s", what);
	request = requests_add(&client->requests);
	if (request == NULL)
		return client_fail(client, FUT_E_MEMORY, "out of memory for a request");
	text_add_format(out, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":", (long long)request->id);
	if (text_add_quoted(out, method, strlen(method)) < 0) {
		requests_remove(&client->requests, request);
		out->len = before;
		return client_fail(client, FUT_E_ARGUMENT, "the name of the method is not UTF-8");
	}
	text_add_string(out, ",\"params\":");
	params_write(params, out);
	text_add_string(out, "}\n");
	if (out->failed) {
		requests_remove(&client->requests, request);
		wire_end(client, FUT_E_MEMORY, "out of memory for a request");
		return client_fail_ended(client);
	}
	*ret_request = request->id;
	/* The request stands also when the connection ends here: fetching it tells so. */
	if (out->len - client->wire.out_done > REQUESTS_UNSENT_MAX)
		(void)wire_flush(client);
	return 0;
}

int fut_flush(struct fut_client *client)
{
	if (client->wire.fd < 0 || wire_flush(client) < 0)
		return client->ended.code != 0 ? client_fail_ended(client)
					       : client_fail(client, FUT_E_DISCONNECTED, "the client is not connected");
	return 0;
}

/* Ends a request that was answered, or whose connection has ended. */
static int requests_fetch(struct fut_client *client, struct request *request, char **ret_result)
{
	int r = 0;

	if (!request->arrived) {
		r = client_fail_ended(client);
	} else if (request->error.at != NULL) {
		r = client_fail_reply(client, request->error);
	} else if (ret_result != NULL) {
		memmove(request->line, request->result.at, request->result.len);
		request->line[request->result.len] = '\0';
		*ret_result = request->line;
		request->line = NULL;
	}
	requests_remove(&client->requests, request);
	return r;
}

/*
 * One turn of the wire, unless deadline_ms (-1: none) is over: then FUT_E_TIMED_OUT, but not before what is there was
 * read.
 */
static int requests_turn(struct fut_client *client, int64_t deadline_ms)
{
	int64_t left = deadline_ms < 0 ? -1 : deadline_ms - requests_now_ms();
	bool over = deadline_ms >= 0 && left <= 0;
	int r = wire_turn(client, over ? 0 : (int)left);

	if (r < 0)
		return r;
	return over && r == 0 ? FUT_E_TIMED_OUT : 0;
}

int fut_receive(struct fut_client *client, int64_t id, int timeout_ms, char **ret_result)
{
	struct request *request = requests_find(&client->requests, id);
	int64_t deadline_ms = timeout_ms < 0 ? -1 : requests_now_ms() + timeout_ms;
	int r = 0;

	if (request == NULL || request->dropped)
		return client_fail(client, FUT_E_ARGUMENT, "no request %lld is under way", (long long)id);
	while (!request->arrived && client->ended.code == 0 && r != FUT_E_TIMED_OUT)
		r = requests_turn(client, deadline_ms);
	if (!request->arrived && client->ended.code == 0)
		return client_fail(client, FUT_E_TIMED_OUT, "no answer came within %d ms", timeout_ms);
	return requests_fetch(client, request, ret_result);
}

/* Any request that still waits for its answer; there is one when count is over 0. */
static struct request *requests_any(const struct requests *requests)
{
	for (size_t i = 0; i < requests->n_buckets; i++)
		if (requests->buckets[i] != NULL)
			return requests->buckets[i];
	return NULL;
}

int fut_receive_any(struct fut_client *client, int timeout_ms, int64_t *ret_request, char **ret_result)
{
	struct requests *requests = &client->requests;
	int64_t deadline_ms = timeout_ms < 0 ? -1 : requests_now_ms() + timeout_ms;
	struct request *request;
	int r = 0;

	*ret_request = 0;
	if (requests->count == requests->n_dropped) {
		/* Even so the end of the connection should be noticed, or who polls the socket would spin. */
		if (client->wire.fd >= 0)
			(void)wire_turn(client, 0);
		return client->ended.code != 0 ? client_fail_ended(client)
					       : client_fail(client, FUT_E_ARGUMENT, "no request is under way");
	}
	while (requests->first == NULL && client->ended.code == 0 && r != FUT_E_TIMED_OUT)
		r = requests_turn(client, deadline_ms);
	if (requests->first == NULL && client->ended.code == 0)
		return client_fail(client, FUT_E_TIMED_OUT, "no answer came within %d ms", timeout_ms);
	request = requests->first != NULL ? requests->first : requests_any(requests);
	*ret_request = request->id;
	return requests_fetch(client, request, ret_result);
}

void fut_drop(struct fut_client *client, int64_t id)
{
	struct request *request = requests_find(&client->requests, id);

	if (request == NULL || request->dropped)
		return;
	if (request->arrived) {
		requests_remove(&client->requests, request);
		return;
	}
	request->dropped = true;
	client->requests.n_dropped++;
}

int fut_call(struct fut_client *client, const char *method, const struct fut_params *params, char **ret_result)
{
	int64_t request;
	int r = fut_send(client, method, params, &request);

	return r < 0 ? r : fut_receive(client, request, -1, ret_result);
}
