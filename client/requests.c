/*
 * What was asked and not yet used: a table by id, those that wait for an answer, and the replies in the order in which
 * they came.
 *
 * A reply is kept as the line it came in, with spans into it; no tree is built of what may be 16 MiB of a job's result.
 * Replies to requests that are not known (any more) are ignored, as are notifications but those of watches. An error
 * without an id cannot be tied to a request: it becomes the reason for which the connection ended.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define REQUESTS_UNSENT_MAX (1u << 20) /* with more than that unsent the next request waits, or is refused */

void requests_init(struct requests *requests)
{
	ring_init(&requests->waiting);
	ring_init(&requests->arrived);
}

static void requests_call(struct fut_client *client, struct due *due);

static struct request *requests_find(const struct requests *requests, int64_t id)
{
	struct ids_node *node = ids_find(&requests->table, id);

	return node != NULL ? RING_OF(node, struct request, node) : NULL;
}

/* Whether fut_receive is to fetch it. */
static bool requests_is_open(const struct request *request)
{
	return request->take == NULL && request->callback == NULL && !request->dropped;
}

static void requests_remove(struct requests *requests, struct request *request)
{
	requests->n_open -= requests_is_open(request);
	ids_remove(&requests->table, &request->node);
	ring_remove(&request->ring);
	ring_remove(&request->due.ring);
	free(request->line);
	free(request);
}

static int requests_code(struct span error)
{
	struct span code;
	int64_t number;

	if (!jsonspan_get(error, "code", &code) || jsonspan_integer(code, &number) < 0 || number >= 0 ||
	    number < INT32_MIN)
		return FUT_E_BAD_REPLY;
	return (int)number;
}

/* The reply is copied: the wire's buffer goes on to the next line. */
static void requests_keep(struct fut_client *client, struct request *request, struct span line, struct span result,
			  struct span error)
{
	char *copy = malloc(line.len + 1);

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
	if (request->callback == NULL) {
		ring_add(&client->requests.arrived, &request->ring);
	} else {
		ring_remove(&request->ring);
		due_add(client, &request->due);
	}
}

static void requests_arrive(struct fut_client *client, struct request *request, struct span line, struct span result,
			    struct span error)
{
	request_take take = request->take;
	void *arg = request->arg;

	if (!request->dropped && take == NULL) {
		requests_keep(client, request, line, result, error);
		return;
	}
	requests_remove(&client->requests, request);
	if (take != NULL)
		take(client, arg, error.at != NULL ? requests_code(error) : 0, result, error);
}

void requests_end(struct fut_client *client)
{
	struct ring rest;
	struct request *request;
	request_take take;
	void *arg;

	/* Each is taken off first, since whoever is told may send (in vain) or drop others. */
	ring_init(&rest);
	while (!ring_is_empty(&client->requests.waiting)) {
		request = RING_OF(ring_first(&client->requests.waiting), struct request, ring);
		take = request->take;
		arg = request->arg;
		if (request->callback != NULL) {
			ring_remove(&request->ring);
			due_add(client, &request->due);
		} else if (requests_is_open(request)) {
			ring_add(&rest, &request->ring);
		} else {
			requests_remove(&client->requests, request);
			if (take != NULL)
				take(client, arg, client->ended.code, SPAN_NONE, SPAN_NONE);
		}
	}
	while (!ring_is_empty(&rest))
		ring_add(&client->requests.waiting, ring_first(&rest));
}

static void requests_forget_list(struct requests *requests, struct ring *list)
{
	while (!ring_is_empty(list))
		requests_remove(requests, RING_OF(ring_first(list), struct request, ring));
}

void requests_forget(struct fut_client *client, bool all)
{
	struct requests *requests = &client->requests;
	struct ring *link, *next;
	struct due *due;

	requests_forget_list(requests, &requests->waiting);
	requests_forget_list(requests, &requests->arrived);
	if (!all)
		return;
	for (link = client->due.behind; link != &client->due; link = next) {
		next = link->behind;
		due = RING_OF(link, struct due, ring);
		if (due->call == requests_call)
			requests_remove(requests, RING_OF(due, struct request, due));
	}
	ids_done(&requests->table);
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
	struct span text = {line, len}, value, member, params, result = SPAN_NONE, error = SPAN_NONE;
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
	if (!jsonspan_get(value, "id", &member)) {
		if (jsonspan_get(value, "method", &member) && jsonspan_is(member, "event") &&
		    jsonspan_get(value, "params", &params))
			watching_take(client, params);
		return;
	}
	if (!jsonspan_get(value, "result", &result))
		result = SPAN_NONE;
	if (!jsonspan_get(value, "error", &error))
		error = SPAN_NONE;
	if (result.at == NULL && error.at == NULL)
		return;
	if (jsonspan_type(member) == JSONSPAN_NULL && error.at != NULL) {
		wire_end_reply(client, error);
		return;
	}
	if (jsonspan_integer(member, &id) < 0)
		return;
	request = requests_find(&client->requests, id);
	if (request != NULL && !request->arrived)
		requests_arrive(client, request, text, result, error);
}

int requests_room(struct fut_client *client)
{
	if (wire_unsent(&client->wire) > REQUESTS_UNSENT_MAX) {
		if (client->nonblocking)
			wire_push(client);
		else if (wire_flush(client) < 0)
			return client_fail_ended(client);
	}
	if (wire_unsent(&client->wire) > REQUESTS_UNSENT_MAX)
		return client_fail(client, FUT_E_WOULD_BLOCK, "%zu bytes are still to be written",
				   wire_unsent(&client->wire));
	return 0;
}

static int requests_not_connected(struct fut_client *client)
{
	if (client->ended.code != 0)
		return client_fail_ended(client);
	return client_fail(client, FUT_E_DISCONNECTED, "the client is not connected");
}

/* A new request that waits, or NULL and as client_fail. */
static struct request *requests_add(struct fut_client *client)
{
	struct requests *requests = &client->requests;
	struct request *request = calloc(1, sizeof(*request));

	if (request != NULL) {
		request->node.id = requests->next_id + 1;
		if (ids_add(&requests->table, &request->node) < 0) {
			free(request);
			request = NULL;
		}
	}
	if (request == NULL) {
		client_fail(client, FUT_E_MEMORY, "out of memory for a request");
		return NULL;
	}
	requests->next_id++;
	requests->n_open++;
	ring_init(&request->ring);
	ring_add(&requests->waiting, &request->ring);
	due_init(&request->due, requests_call);
	return request;
}

/* A request to be fetched, written into the buffer, or NULL and as client_fail. */
static struct request *requests_write(struct fut_client *client, const char *method, const struct fut_params *params)
{
	struct text *out = &client->wire.out;
	struct request *request;
	const char *what;
	size_t before = out->len;
	int r;

	if (client->wire.fd < 0) {
		requests_not_connected(client);
		return NULL;
	}
	r = params_check(params, &what);
	if (r < 0) {
		client_fail(client, r, "%s", what);
		return NULL;
	}
	request = requests_add(client);
	if (request == NULL)
		return NULL;
	text_add_format(out, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":", (long long)request->node.id);
	if (text_add_quoted(out, method, strlen(method)) < 0) {
		requests_remove(&client->requests, request);
		out->len = before;
		client_fail(client, FUT_E_ARGUMENT, "the name of the method is not UTF-8");
		return NULL;
	}
	text_add_string(out, ",\"params\":");
	params_write(params, out);
	text_add_string(out, "}\n");
	if (out->failed) {
		requests_remove(&client->requests, request);
		wire_end(client, FUT_E_MEMORY, "out of memory for a request");
		client_fail_ended(client);
		return NULL;
	}
	poll_arm(&client->poll, client->wire.fd, true);
	return request;
}

int requests_send(struct fut_client *client, const char *method, const struct fut_params *params, request_take take,
		  void *arg, int64_t *ret_id)
{
	struct request *request = requests_write(client, method, params);

	if (request == NULL)
		return client->failure.code;
	client->requests.n_open--;
	request->take = take;
	request->arg = arg;
	request->dropped = take == NULL;
	if (ret_id != NULL)
		*ret_id = request->node.id;
	return 0;
}

void requests_retake(struct fut_client *client, int64_t id, request_take take, void *arg)
{
	struct request *request = requests_find(&client->requests, id);

	request->take = take;
	request->arg = arg;
}

/* As requests_write, where there is room for it. */
static struct request *requests_write_public(
    struct fut_client *client, const char *method, const struct fut_params *params)
{
	return requests_room(client) < 0 ? NULL : requests_write(client, method, params);
}

int fut_send(struct fut_client *client, const char *method, const struct fut_params *params, int64_t *ret_request)
{
	struct request *request = requests_write_public(client, method, params);

	if (request == NULL)
		return client->failure.code;
	*ret_request = request->node.id;
	return 0;
}

int fut_ask(struct fut_client *client, const char *method, const struct fut_params *params, fut_reply_cb callback,
	    void *arg, int64_t *ret_request)
{
	struct request *request = requests_write_public(client, method, params);

	if (request == NULL)
		return client->failure.code;
	client->requests.n_open--;
	request->callback = callback;
	request->arg = arg;
	if (ret_request != NULL)
		*ret_request = request->node.id;
	return 0;
}

int fut_flush(struct fut_client *client)
{
	futures_ask(client);
	if (client->wire.fd < 0 || wire_flush(client) < 0)
		return requests_not_connected(client);
	return 0;
}

/* Why an answer will not come. Where the client is connected again, that is no longer known in detail. */
static int requests_fail_lost(struct fut_client *client)
{
	if (client->ended.code != 0)
		return client_fail_ended(client);
	return client_fail(client, FUT_E_DISCONNECTED, "the connection ended before the answer came");
}

/* What came of a request that was answered, or whose connection has ended; its result as a string of the caller's. */
static int requests_use(struct fut_client *client, struct request *request, char **ret_result)
{
	if (!request->arrived)
		return requests_fail_lost(client);
	if (request->error.at != NULL)
		return client_fail_reply(client, request->error);
	memmove(request->line, request->result.at, request->result.len);
	request->line[request->result.len] = '\0';
	*ret_result = request->line;
	request->line = NULL;
	return 0;
}

static int requests_fetch(struct fut_client *client, struct request *request, char **ret_result)
{
	char *result = NULL;
	int r = requests_use(client, request, &result);

	if (r == 0 && ret_result != NULL)
		*ret_result = result;
	else if (r == 0)
		free(result);
	requests_remove(&client->requests, request);
	return r;
}

static void requests_call(struct fut_client *client, struct due *due)
{
	struct request *request = RING_OF(due, struct request, due);
	fut_reply_cb callback = request->callback;
	void *arg = request->arg;
	char *result = NULL;
	int r = requests_use(client, request, &result);

	requests_remove(&client->requests, request);
	callback(client, r, result, arg);
	free(result);
}

static int requests_timed_out(struct fut_client *client, int timeout_ms)
{
	return client_fail(client, FUT_E_TIMED_OUT, "no answer came within %d ms", timeout_ms);
}

int fut_receive(struct fut_client *client, int64_t id, int timeout_ms, char **ret_result)
{
	struct request *request = requests_find(&client->requests, id);
	int64_t deadline_ms = timeout_ms < 0 ? -1 : client_now_ms() + timeout_ms;
	int r = 0;

	if (request == NULL || !requests_is_open(request))
		return client_fail(client, FUT_E_ARGUMENT, "no request %lld is under way", (long long)id);
	while (!request->arrived && client->ended.code == 0 && r != FUT_E_TIMED_OUT)
		r = client_turn(client, deadline_ms);
	if (!request->arrived && client->ended.code == 0)
		return requests_timed_out(client, timeout_ms);
	return requests_fetch(client, request, ret_result);
}

/* The first that was answered, else any that still waits; there is one to be fetched. */
static struct request *requests_any(const struct requests *requests)
{
	struct ring *link = ring_first(&requests->arrived);

	if (link == NULL)
		link = ring_first(&requests->waiting);
	return RING_OF(link, struct request, ring);
}

int fut_receive_any(struct fut_client *client, int timeout_ms, int64_t *ret_request, char **ret_result)
{
	struct requests *requests = &client->requests;
	int64_t deadline_ms = timeout_ms < 0 ? -1 : client_now_ms() + timeout_ms;
	struct request *request;
	int r = 0;

	*ret_request = 0;
	if (requests->n_open == 0) {
		/* Even so the end of the connection should be noticed, or who polls the socket would spin. */
		client_look(client);
		return client->ended.code != 0 ? client_fail_ended(client)
					       : client_fail(client, FUT_E_ARGUMENT, "no request is under way");
	}
	while (ring_is_empty(&requests->arrived) && client->ended.code == 0 && r != FUT_E_TIMED_OUT)
		r = client_turn(client, deadline_ms);
	if (ring_is_empty(&requests->arrived) && client->ended.code == 0)
		return requests_timed_out(client, timeout_ms);
	request = requests_any(requests);
	*ret_request = request->node.id;
	return requests_fetch(client, request, ret_result);
}

void fut_drop(struct fut_client *client, int64_t id)
{
	struct request *request = requests_find(&client->requests, id);

	if (request == NULL || request->take != NULL || request->dropped)
		return;
	if (request->arrived || !ring_is_empty(&request->due.ring)) {
		requests_remove(&client->requests, request);
		return;
	}
	client->requests.n_open -= requests_is_open(request);
	request->callback = NULL;
	request->dropped = true;
}

int fut_call(struct fut_client *client, const char *method, const struct fut_params *params, char **ret_result)
{
	int64_t request = 0;
	int r = fut_send(client, method, params, &request);

	return r < 0 ? r : fut_receive(client, request, -1, ret_result);
}
