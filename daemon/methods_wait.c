/*
 * methods_wait: await, watch and output: parameters to await.h, watch.h and outfile.h, where the waiting is done.
 */
#include <string.h>

#include "daemon/await.h"
#include "daemon/config.h"
#include "daemon/methods.h"
#include "daemon/outfile.h"
#include "daemon/server.h"
#include "daemon/spec.h"
#include "daemon/watch.h"

#define OUTPUT_LIMIT (64 * 1024)
#define OUTPUT_LIMIT_MAX (1024 * 1024)

struct await_params {
	struct span id, ids, filter, fields;
	char return_when[16];
	int64_t wait_ms;
	bool jobs;
};

static const struct param await_table[] = {
    {"id", PARAM_SPAN, PARAM_AT(await_params, id), 0, 0, 0},
    {"ids", PARAM_SPAN, PARAM_AT(await_params, ids), 0, 0, 0},
    {"filter", PARAM_SPAN, PARAM_AT(await_params, filter), 0, 0, 0},
    {"fields", PARAM_SPAN, PARAM_AT(await_params, fields), 0, 0, 0},
    {"return_when", PARAM_TEXT_OF(await_params, return_when)},
    {"wait", PARAM_DURATION, PARAM_AT(await_params, wait_ms), 0, 0, 0},
    {"jobs", PARAM_BOOL, PARAM_AT(await_params, jobs), 0, 0, 0},
    {0},
};

static void
method_await(struct request *request, struct span raw)
{
	struct await_params params = {.return_when = "all", .wait_ms = SPEC_NONE, .jobs = true};
	struct await_what what = {.fields = RENDER_ALL};

	if (!request_params(request, raw, await_table, &params))
		return;
	if (strcmp(params.return_when, "any") == 0) {
		what.until = AWAIT_ANY;
	} else if (strcmp(params.return_when, "first_failure") == 0) {
		what.until = AWAIT_FIRST_FAILURE;
	} else if (strcmp(params.return_when, "all") != 0) {
		request_fail_param(request, "return_when", "return_when must be \"all\", \"any\" or \"first_failure\"");
		return;
	}
	if (!methods_read_fields(request, params.fields, &what.fields) ||
	    !methods_read_selection(request, params.id, params.ids, params.filter, &what.selection))
		return;
	what.wait_ms = params.wait_ms;
	what.jobs = params.jobs;
	await_start(request, &what);
}

struct watch_params {
	struct span id, ids, filter, fields, events;
	char order[16];
};

static const struct param watch_table[] = {
    {"id", PARAM_SPAN, PARAM_AT(watch_params, id), 0, 0, 0},
    {"ids", PARAM_SPAN, PARAM_AT(watch_params, ids), 0, 0, 0},
    {"filter", PARAM_SPAN, PARAM_AT(watch_params, filter), 0, 0, 0},
    {"fields", PARAM_SPAN, PARAM_AT(watch_params, fields), 0, 0, 0},
    {"order", PARAM_TEXT_OF(watch_params, order)},
    {"events", PARAM_SPAN, PARAM_AT(watch_params, events), 0, 0, 0},
    {0},
};

/* 0: it is none. */
static unsigned
watch_read_event(struct span name)
{
	if (jsonspan_type(name) != JSONSPAN_STRING)
		return 0;
	if (jsonspan_is(name, "finished"))
		return WATCH_E_FINISHED;
	if (jsonspan_is(name, "running"))
		return WATCH_E_RUNNING;
	return jsonspan_is(name, "progress") ? WATCH_E_PROGRESS : 0;
}

static bool
watch_read_events(struct request *request, struct span events, unsigned *ret_events)
{
	struct jsonspan_iter iter;
	unsigned found = 0, one = 1;
	struct span name;

	if (events.len == 0)
		return true;
	if (jsonspan_type(events) == JSONSPAN_ARRAY) {
		jsonspan_iter_init(&iter, events);
		while (one != 0 && jsonspan_next(&iter, &name))
			found |= one = watch_read_event(name);
	}
	if (found == 0 || one == 0) {
		request_fail_param(request, "events", "events must be an array of one or more of \"finished\", \"running\" and \"progress\"");
		return false;
	}
	*ret_events = found;
	return true;
}

static void
method_watch(struct request *request, struct span raw)
{
	struct watch_params params = {.order = "finished"};
	struct watch_what what = {.events = WATCH_E_FINISHED, .fields = RENDER_ALL};

	if (!request_params(request, raw, watch_table, &params))
		return;
	if (strcmp(params.order, "id") == 0) {
		what.order = WATCH_ID;
	} else if (strcmp(params.order, "finished") != 0) {
		request_fail_param(request, "order", "order must be \"finished\" or \"id\"");
		return;
	}
	if (!watch_read_events(request, params.events, &what.events) || !methods_read_fields(request, params.fields, &what.fields) ||
	    !methods_read_selection(request, params.id, params.ids, params.filter, &what.selection))
		return;
	watch_start(request, &what);
}

struct unwatch_params {
	int64_t watch;
};

static const struct param unwatch_table[] = {
    {"watch", PARAM_INTEGER, PARAM_AT(unwatch_params, watch), 0, 1, INT64_MAX},
    {0},
};

static void
method_unwatch(struct request *request, struct span raw)
{
	struct unwatch_params params = {0};

	if (!request_params(request, raw, unwatch_table, &params))
		return;
	if (params.watch == 0)
		request_fail_param(request, "watch", "watch is needed");
	else if (watch_stop(request->peer, params.watch) < 0)
		request_fail(request, RPC_NOT_FOUND, "this connection has no watch %lld", (long long)params.watch);
	else
		request_reply_lit(request, "true");
}

struct output_params {
	int64_t id, offset, limit, wait_ms;
	char stream[16];
};

static const struct param output_table[] = {
    {"id", PARAM_INTEGER, PARAM_AT(output_params, id), 0, 1, SELECTION_ID_MAX},
    {"stream", PARAM_TEXT_OF(output_params, stream)},
    {"offset", PARAM_INTEGER, PARAM_AT(output_params, offset), 0, 0, INT64_MAX / 2},
    {"limit", PARAM_INTEGER, PARAM_AT(output_params, limit), 0, 1, OUTPUT_LIMIT_MAX},
    {"wait", PARAM_DURATION, PARAM_AT(output_params, wait_ms), 0, 0, 0},
    {0},
};

static void
method_output(struct request *request, struct span raw)
{
	struct output_params params = {.limit = OUTPUT_LIMIT, .stream = "stdout"};
	struct outfile_what what;

	if (!request_params(request, raw, output_table, &params))
		return;
	what = (struct outfile_what){params.id, STREAM_STDOUT, params.offset, params.limit, params.wait_ms};
	if (params.id == 0) {
		request_fail_param(request, "id", "id is needed");
		return;
	}
	if (strcmp(params.stream, "stderr") == 0) {
		what.stream = STREAM_STDERR;
	} else if (strcmp(params.stream, "stdout") != 0) {
		request_fail_param(request, "stream", "stream must be \"stdout\" or \"stderr\"");
		return;
	}
	outfiles_read(request->server->outfiles, request, &what);
}

const struct method methods_wait[] = {
    {"await", ROLE_READER, method_await},
    {"watch", ROLE_READER, method_watch},
    {"unwatch", ROLE_READER, method_unwatch},
    {"output", ROLE_READER, method_output},
    {0},
};
