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
 * method, an id of another type, a member it does not know; RPC_BAD_PARAMS: params is an array or a scalar) with
 * *ret_what a static phrase. *ret_envelope is filled also on failure, so that the refusal can be answered: its id is
 * the one that was found; without one it is SPAN_LIT("null") after RPC_INVALID_REQUEST, and SPAN_NONE after
 * RPC_BAD_PARAMS, which was a notification and gets no answer.
 */
int envelope_read(struct span value, struct envelope *ret_envelope, const char **ret_what);

/*
 * How many JSON values stand in a request (or batch) without what is inside params.args and params.items. As little as
 * jsonspan_count need it be asked of short lines.
 */
size_t envelope_count_values(struct span value);

#endif
