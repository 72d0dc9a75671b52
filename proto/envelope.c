/*
 * envelope: see envelope.h. All members are looked at before anything is judged, so that a refusal still finds its id.
 */
#include "envelope.h"

#include "errors.h"

/* Whether the spans of a request's members are what JSON-RPC wants; 0 or an enum rpc_error. */
static int
envelope_check(const struct envelope *envelope, struct span version, const char **ret_what)
{
	if (version.at == NULL || !jsonspan_is(version, "2.0")) {
		*ret_what = "\"jsonrpc\" must be \"2.0\"";
		return RPC_INVALID_REQUEST;
	}
	if (envelope->method.at == NULL || jsonspan_type(envelope->method) != JSONSPAN_STRING) {
		*ret_what = "\"method\" must be a string";
		return RPC_INVALID_REQUEST;
	}
	if (envelope->params.at != NULL && jsonspan_type(envelope->params) != JSONSPAN_OBJECT) {
		*ret_what = "\"params\" must be an object: parameters go by name";
		return RPC_BAD_PARAMS;
	}
	return 0;
}

/* Puts one member where it belongs; -1 when there is no such member. */
static int
envelope_take(struct envelope *envelope, struct span *version, struct span key, struct span value)
{
	if (jsonspan_is(key, "method"))
		envelope->method = value;
	else if (jsonspan_is(key, "params"))
		envelope->params = value;
	else if (jsonspan_is(key, "id"))
		envelope->id = value;
	else if (jsonspan_is(key, "jsonrpc"))
		*version = value;
	else
		return -1;
	return 0;
}

static bool
envelope_id_fits(struct span id)
{
	enum jsonspan_type type = jsonspan_type(id);

	return type == JSONSPAN_INTEGER || type == JSONSPAN_STRING || type == JSONSPAN_NULL;
}

int
envelope_read(struct span value, struct envelope *ret_envelope, const char **ret_what)
{
	struct envelope envelope = {SPAN_NONE, SPAN_NONE, SPAN_NONE};
	struct span version = SPAN_NONE, key, member;
	struct jsonspan_iter iter;
	int result = 0;

	if (jsonspan_type(value) != JSONSPAN_OBJECT) {
		*ret_what = "a request must be an object";
		result = RPC_INVALID_REQUEST;
		goto out;
	}
	jsonspan_iter_init(&iter, value);
	while (jsonspan_next_member(&iter, &key, &member)) {
		if (envelope_take(&envelope, &version, key, member) < 0) {
			*ret_what = "a request has the members jsonrpc, method, params and id, and no others";
			result = RPC_INVALID_REQUEST;
		}
	}
	if (envelope.id.at != NULL && !envelope_id_fits(envelope.id)) {
		*ret_what = "\"id\" must be an integer, a string or null";
		result = RPC_INVALID_REQUEST;
		envelope.id = SPAN_NONE;
	}
	if (result == 0)
		result = envelope_check(&envelope, version, ret_what);
out:
	if (result == RPC_INVALID_REQUEST && envelope.id.at == NULL)
		envelope.id = SPAN_LIT("null");
	*ret_envelope = envelope;
	return result;
}

/* The values in params, itself included; args and items count as one each. */
static size_t
params_count_values(struct span params)
{
	struct jsonspan_iter iter;
	struct span key, value;
	size_t n = 1;

	if (jsonspan_type(params) != JSONSPAN_OBJECT)
		return jsonspan_count(params);
	jsonspan_iter_init(&iter, params);
	while (jsonspan_next_member(&iter, &key, &value))
		n += jsonspan_is(key, "args") || jsonspan_is(key, "items") ? 1 : jsonspan_count(value);
	return n;
}

static size_t
request_count_values(struct span request)
{
	struct jsonspan_iter iter;
	struct span key, value;
	size_t n = 1;

	if (jsonspan_type(request) != JSONSPAN_OBJECT)
		return jsonspan_count(request);
	jsonspan_iter_init(&iter, request);
	while (jsonspan_next_member(&iter, &key, &value))
		n += jsonspan_is(key, "params") ? params_count_values(value) : jsonspan_count(value);
	return n;
}

size_t
envelope_count_values(struct span value)
{
	struct jsonspan_iter iter;
	struct span request;
	size_t n = 1;

	if (jsonspan_type(value) != JSONSPAN_ARRAY)
		return request_count_values(value);
	jsonspan_iter_init(&iter, value);
	while (jsonspan_next(&iter, &request))
		n += request_count_values(request);
	return n;
}
