/*
 * envelope: one JSON-RPC 2.0 request, as spans into the line it came in.
 *
 * Takes validated spans alone. Pure; owns nothing: the spans live as long as the line.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stdbool.h>

#include "jsonspan.h"

struct envelope {
	struct span id;     /* the raw id (integer, string or null); SPAN_NONE for a notification */
	struct span method; /* string with quotes */
	struct span params; /* object; SPAN_NONE when absent */
};

/*
 * Reads one request object. 0, or an enum rpc_error (RPC_INVALID_REQUEST: no object, "jsonrpc" is not "2.0", no string
 * method, an id of another type, a member it does not know; RPC_BAD_PARAMS: params is an array or a scalar) with *ret_what a static phrase.
 * ret_envelope->id is set whenever a usable id was found, also on failure; else it is SPAN_LIT("null").
 */
int envelope_read(struct span value, struct envelope *ret_envelope, const char **ret_what);

/* How many JSON values stand in a request (or batch) without what is inside params.args and params.items. */
size_t envelope_count_values(struct span value);

#endif
