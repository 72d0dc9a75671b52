/*
 * request: see request.h. This file: peers, their requests as they come in, and the replies; not the parameters.
 */
#include "daemon/request.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/mem.h"
#include "daemon/server.h"
#include "daemon/store.h"

#define BATCH_MAX 1000
#define VALUES_MAX 100000
#define REPLY_SHORT 1024 /* a result that finds room in any batch: it tells what was accepted, or the number of a watch */

/* The replies of one batch, gathered until the last is there. */
struct reply_batch {
	struct peer *peer;
	size_t left;
	struct text text;
	struct reply_hook_list hooks;
};

/* ---- the peer -------------------------------------------------------------------------------------------------------------- */

void
peer_unref(struct peer *peer)
{
	if (--peer->refs == 0)
		peer->calls->free(peer);
	else if (peer->refs == 1 && peer->leaving)
		peer->calls->idle(peer);
}

int
peer_add_wait(struct peer *peer, struct peer_wait *wait)
{
	if (peer->n_waits >= (unsigned)peer->server->config->limit_waits_per_connection)
		return -1;
	peer->n_waits++;
	TAILQ_INSERT_TAIL(&peer->waits, wait, link);
	return 0;
}

void
peer_remove_wait(struct peer *peer, struct peer_wait *wait)
{
	peer->n_waits--;
	TAILQ_REMOVE(&peer->waits, wait, link);
}

int
peer_reserve_wait(struct peer *peer)
{
	if (peer->n_waits >= (unsigned)peer->server->config->limit_waits_per_connection)
		return -1;
	peer->n_waits++;
	return 0;
}

void
peer_unreserve_wait(struct peer *peer)
{
	peer->n_waits--;
}

void
peer_take_turn(struct peer *peer, struct peer_turn *turn)
{
	if (TAILQ_EMPTY(&peer->turns) && !peer->calls->is_clogged(peer)) {
		turn->go(turn);
		return;
	}
	turn->queued = true;
	TAILQ_INSERT_TAIL(&peer->turns, turn, link);
}

void
peer_give_up_turn(struct peer *peer, struct peer_turn *turn)
{
	if (!turn->queued)
		return;
	turn->queued = false;
	TAILQ_REMOVE(&peer->turns, turn, link);
}

void
peer_next_turns(struct peer *peer)
{
	struct peer_turn *turn;

	while ((turn = TAILQ_FIRST(&peer->turns)) != NULL && !peer->calls->is_clogged(peer)) {
		peer_give_up_turn(peer, turn);
		turn->go(turn);
	}
}

bool
peer_may_be_told(const struct peer *peer, const struct store_row *row)
{
	return !peer->calls->is_clogged(peer) && rooms_have(&peer->server->rooms, row->spec.args.len + row->json.len);
}

void
peer_end_waits(struct peer *peer)
{
	struct peer_wait *wait;

	while ((wait = TAILQ_FIRST(&peer->waits)) != NULL) {
		peer_remove_wait(peer, wait);
		wait->closed(wait);
	}
}

void
peer_begin_bulk(struct peer *peer)
{
	peer->n_bulk++;
}

void
peer_end_bulk(struct peer *peer)
{
	peer->n_bulk--;
	peer_next_turns(peer);
	peer->calls->resume(peer);
}

/* ---- replies --------------------------------------------------------------------------------------------------------------- */

static void
batch_settle(struct reply_batch *batch)
{
	struct reply_hook *hook;

	if (--batch->left > 0)
		return;
	if (batch->text.len > 0 && !batch->peer->closed) {
		text_add_lit(&batch->text, "]\n");
		batch->peer->calls->send(batch->peer, batch->text.at, batch->text.len);
	}
	while ((hook = LIST_FIRST(&batch->hooks)) != NULL) {
		reply_hook_drop(hook);
		hook->sent(hook);
	}
	peer_unref(batch->peer);
	text_done(&batch->text);
	free(batch);
}

static void
request_free(struct request *request)
{
	struct reply_batch *batch = request->batch;
	struct peer *peer = request->peer;

	room_leave(&request->room);
	request_is_no_bulk(request);
	if (request->id != request->id_room)
		free(request->id);
	peer_unref(peer);
	free(request);
	if (batch != NULL)
		batch_settle(batch);
}

static void
request_begin(const struct request *request, struct text *text)
{
	text_add_lit(text, "{\"jsonrpc\":\"2.0\",\"id\":");
	text_add(text, request->id, request->id_len);
}

/* A whole reply object goes out, or into its batch. */
static void
request_send(struct request *request, struct text *text)
{
	struct reply_batch *batch = request->batch;
	struct reply_hook *hook = request->hook;

	if (!request->notification && !request->peer->closed) {
		if (batch != NULL) {
			text_add_char(&batch->text, batch->text.len == 0 ? '[' : ',');
			text_add(&batch->text, text->at, text->len);
		} else {
			text_add_char(text, '\n');
			request->peer->calls->send(request->peer, text->at, text->len);
		}
	}
	text_done(text);
	if (hook != NULL && batch != NULL) {
		LIST_INSERT_HEAD(&batch->hooks, hook, link);
		hook->listed = true;
	}
	request_free(request);
	if (hook != NULL && batch == NULL)
		hook->sent(hook);
}

void
request_fail_too_large(struct request *request)
{
	long long max = (long long)request->server->config->limit_message;
	struct text data = {0};
	char message[192];

	if (request->changed) {
		request_fail(request, RPC_OUTCOME_UNKNOWN, "it was done, but what came of each job does not fit beside the rest of the batch: ask for their status");
		return;
	}
	if (request->accepted == 0) {
		request_fail(request, RPC_TOO_LARGE, "the reply is longer than [limits] message (%lld bytes): ask for fewer jobs or with `fields`", max);
		return;
	}
	snprintf(message, sizeof(message),
	    "job %lld was accepted, but its object does not fit into [limits] message (%lld bytes): ask for it with `fields`",
	    (long long)request->accepted, max);
	text_printf(&data, ",\"id\":%lld", (long long)request->accepted);
	request_fail_data(request, RPC_OUTCOME_UNKNOWN, message, text_span(&data));
	text_done(&data);
}

size_t
request_room(const struct request *request)
{
	size_t max = (size_t)request->server->config->limit_message;
	size_t used = request->batch != NULL ? request->batch->text.len : 0;

	return max > used && max - used > REPLY_SHORT ? max - used : REPLY_SHORT;
}

void
request_reply(struct request *request, struct text *result)
{
	struct text text = {0};

	if (result->len > request_room(request)) {
		text_done(result);
		request_fail_too_large(request);
		return;
	}
	text_room(&text, result->len + 64);
	request_begin(request, &text);
	text_add_lit(&text, ",\"result\":");
	text_add(&text, result->at, result->len);
	text_add_char(&text, '}');
	text_done(result);
	request_send(request, &text);
}

void
request_reply_hooked(struct request *request, struct text *result, struct reply_hook *hook)
{
	assert(result->len <= REPLY_SHORT); /* else an error would go out in its place, and the hook be called all the same */
	request->hook = hook;
	request_reply(request, result);
}

void
reply_hook_drop(struct reply_hook *hook)
{
	if (!hook->listed)
		return;
	hook->listed = false;
	LIST_REMOVE(hook, link);
}

void
request_drop(struct request *request)
{
	request_free(request);
}

void
request_reply_lit(struct request *request, const char *json)
{
	struct text text = {0};

	text_add_cstr(&text, json);
	request_reply(request, &text);
}

void
request_fail_data(struct request *request, int code, const char *message, struct span data)
{
	struct text text = {0};

	request_begin(request, &text);
	text_printf(&text, ",\"error\":{\"code\":%d,\"message\":", code);
	text_add_quoted(&text, message);
	text_printf(&text, ",\"data\":{\"code\":\"%s\"", rpc_error_word(code));
	text_add_span(&text, data);
	text_add_lit(&text, "}}}");
	request_send(request, &text);
}

void
request_fail(struct request *request, int code, const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	request_fail_data(request, code, message, code == RPC_BUSY ? SPAN_LIT(",\"retry_after\":1") : SPAN_NONE);
}

void
request_fail_param(struct request *request, const char *param, const char *format, ...)
{
	struct text data = {0};
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	text_add_lit(&data, ",\"param\":");
	text_add_quoted(&data, param);
	request_fail_data(request, RPC_BAD_PARAMS, message, text_span(&data));
	text_done(&data);
}

void
request_fail_ids(struct request *request, const int64_t *ids, size_t n)
{
	struct text data = {0};
	char message[96];

	text_add_lit(&data, ",\"ids\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			text_add_char(&data, ',');
		text_add_integer(&data, ids[i]);
	}
	text_add_char(&data, ']');
	if (n == 1)
		snprintf(message, sizeof(message), "there is no job %lld", (long long)ids[0]);
	else
		snprintf(message, sizeof(message), "%zu of the jobs named do not exist: %lld, %lld%s", n, (long long)ids[0],
		    (long long)ids[1], n > 2 ? ", …" : "");
	request_fail_data(request, RPC_NOT_FOUND, message, text_span(&data));
	text_done(&data);
}

void
request_is_bulk(struct request *request)
{
	if (request->bulk)
		return;
	request->bulk = true;
	peer_begin_bulk(request->peer);
}

void
request_is_no_bulk(struct request *request)
{
	if (!request->bulk)
		return;
	request->bulk = false;
	peer_end_bulk(request->peer);
}

const char *
request_owner_filter(const struct request *request)
{
	return request->peer->role == ROLE_OPERATOR ? NULL : request->peer->owner;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

static struct request *
request_new(struct peer *peer, struct reply_batch *batch, struct span id)
{
	struct request *request = mem_new(sizeof(*request));

	request->peer = peer;
	request->server = peer->server;
	request->room.rooms = &peer->server->rooms;
	request->batch = batch;
	peer->refs++;
	request->notification = id.len == 0;
	request->id_len = id.len;
	request->id = id.len <= sizeof(request->id_room) ? request->id_room : mem_grow(NULL, id.len, 1);
	if (id.len > 0)
		memcpy(request->id, id.at, id.len);
	return request;
}

static const struct method *
request_find_method(const struct server *server, struct span name)
{
	for (const struct method *const *table = server->methods; *table != NULL; table++) {
		for (const struct method *method = *table; method->name != NULL; method++) {
			if (jsonspan_is(name, method->name))
				return method;
		}
	}
	return NULL;
}

static void
request_handle(struct peer *peer, struct reply_batch *batch, struct span value)
{
	struct envelope envelope;
	const struct method *method;
	struct request *request;
	const char *what;
	char name[64];
	int error;

	error = envelope_read(value, &envelope, &what);
	request = request_new(peer, batch, envelope.id);
	if (error != 0) {
		if (error == RPC_BAD_PARAMS)
			request_fail_param(request, "params", "%s", what);
		else
			request_fail(request, error, "%s", what);
		return;
	}
	method = request_find_method(peer->server, envelope.method);
	if (method == NULL) {
		if (jsonspan_string_copy(envelope.method, name, sizeof(name)) < 0)
			snprintf(name, sizeof(name), "%s", "of that name");
		request_fail(request, RPC_METHOD_NOT_FOUND, "there is no method %s in this version", name);
	} else if (method->role != ROLE_NONE && peer->role == ROLE_NONE) {
		request_fail(request, RPC_UNAUTHENTICATED, "say hello with a token first: only hello and ping are answered before");
	} else if (method->role > peer->role) {
		request_fail(request, RPC_FORBIDDEN, "%s is for the role %s, and you are %s", method->name,
		    role_name(method->role), role_name(request->peer->role));
	} else {
		method->handle(request, envelope.params);
	}
}

static void
request_refuse_line(struct peer *peer, struct span id, int code, const char *what, long long offset)
{
	struct request *request = request_new(peer, NULL, id);

	if (offset >= 0)
		request_fail(request, code, "%s (byte %lld of the line)", what, offset);
	else
		request_fail(request, code, "%s", what);
}

static void
request_handle_batch(struct peer *peer, struct span value)
{
	struct reply_batch *batch;
	struct jsonspan_iter iter;
	struct span one;
	size_t n = jsonspan_length(value);

	if (n == 0 || n > BATCH_MAX) {
		request_refuse_line(peer, SPAN_LIT("null"), n == 0 ? RPC_INVALID_REQUEST : RPC_TOO_LARGE,
		    n == 0 ? "a batch must not be empty" : "a batch may have at most 1000 requests", -1);
		return;
	}
	batch = mem_new(sizeof(*batch));
	batch->peer = peer;
	peer->refs++;
	batch->left = n + 1; /* one of our own, until all have been handled */
	jsonspan_iter_init(&iter, value);
	while (jsonspan_next(&iter, &one))
		request_handle(peer, batch, one);
	batch_settle(batch);
}

void
request_handle_line(struct peer *peer, struct span line)
{
	struct jsonspan_error error;
	struct envelope envelope;
	const char *what;
	struct span value;

	if (jsonspan_validate(line, &value, &error) < 0) {
		request_refuse_line(peer, SPAN_LIT("null"), RPC_PARSE_ERROR, error.what, (long long)error.offset);
		return;
	}
	if (value.len > VALUES_MAX && envelope_count_values(value) > VALUES_MAX) {
		if (envelope_read(value, &envelope, &what) != 0 && envelope.id.len == 0)
			envelope.id = SPAN_LIT("null");
		request_refuse_line(peer, envelope.id, RPC_TOO_LARGE,
		    "a request may have at most 100,000 JSON values outside args and items", -1);
		return;
	}
	if (jsonspan_type(value) == JSONSPAN_ARRAY)
		request_handle_batch(peer, value);
	else
		request_handle(peer, NULL, value);
}
