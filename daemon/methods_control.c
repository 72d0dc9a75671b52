/*
 * methods_control: cancel, of jobs, and drain, of the daemon. Cancel goes in two steps: which of the selected jobs are there and have not ended
 * (picked.h), then a request for each to the store, a few thousand at a time. The reply is sent when all requests are durable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dispatch.h"
#include "daemon/mem.h"
#include "daemon/methods.h"
#include "daemon/picked.h"
#include "daemon/server.h"

#define CANCEL_AT_ONCE 4096

struct cancel {
	struct picked picked; /* first: a picked is its cancel */
	char *why;            /* or NULL */
	int64_t grace_ms;
	size_t next;          /* to be asked for */
	size_t in_flight;
	bool asking;
	bool raced;           /* some ended between the two steps: how is read again */
	bool some;            /* are cancelled, or will be */
	int failed;           /* an RPC code: no more is tried */
	char reason[256];
};

static void
cancel_release(struct picked *picked)
{
	struct cancel *cancel = (struct cancel *)picked;

	picked_done(picked);
	free(cancel->why);
	free(cancel);
}

static void
cancel_write(struct text *text, const struct picked_job *job)
{
	text_printf(text, "{\"id\":%lld,\"cancelled\":%s,\"was\":\"%s\"", (long long)job->id, job->done ? "true" : "false",
	    job_state_name(job->was));
	if (job->refused != 0)
		text_printf(text, ",\"refused\":\"%s\"", rpc_error_word(job->refused));
	text_add_char(text, '}');
}

static void
cancel_reply(struct picked *picked)
{
	picked_reply(picked, cancel_write);
}

static void cancel_ask(struct cancel *cancel);

static void
cancel_answered(int64_t id, enum store_answer answer, enum store_verdict verdict, const char *reason, void *ctx)
{
	struct cancel *cancel = ctx;
	struct picked_job *job = picked_find(&cancel->picked, id);

	cancel->in_flight--;
	switch (answer) {
	case STORE_CANCELLED:
	case STORE_REQUESTED:
		job->done = cancel->some = true;
		job->was = answer == STORE_CANCELLED ? JOB_PENDING : JOB_RUNNING;
		break;
	case STORE_FENCED:
		job->refused = cancel->failed = methods_verdict_code(verdict);
		snprintf(cancel->reason, sizeof(cancel->reason), "%s", reason);
		break;
	case STORE_OK:
	case STORE_DUPLICATE:
	case STORE_KEY_CONFLICT:
	case STORE_NO_PARENT:
	case STORE_ENDED:
	case STORE_NOT_FOUND:
		cancel->raced = true; /* it has ended meanwhile, or is gone */
		break;
	}
	if (!cancel->asking)
		cancel_ask(cancel);
}

/* Of several each is told, also those not come to any more; if it is none at all, the whole is refused. */
static void
cancel_end(struct cancel *cancel)
{
	struct picked *picked = &cancel->picked;

	if (cancel->failed != 0 && !cancel->some) {
		request_fail(picked->request, cancel->failed, "the cancel cannot be written down: %s", cancel->reason);
		cancel_release(picked);
		return;
	}
	for (size_t i = cancel->next; i < picked->n; i++) {
		if (!picked_has_ended(&picked->jobs[i]))
			picked->jobs[i].refused = cancel->failed;
	}
	if (cancel->raced)
		picked_look_again(picked, cancel_reply);
	else
		cancel_reply(picked);
}

static void
cancel_ask(struct cancel *cancel)
{
	struct picked *picked = &cancel->picked;

	cancel->asking = true;
	while (cancel->next < picked->n && cancel->in_flight < CANCEL_AT_ONCE && cancel->failed == 0) {
		struct picked_job *job = &picked->jobs[cancel->next++];

		if (picked_has_ended(job))
			continue;
		cancel->in_flight++;
		dispatch_cancel(picked->request->server->dispatch, job->id, picked->owner, picked->request->peer->owner, cancel->why,
		    cancel->grace_ms, cancel_answered, cancel);
	}
	cancel->asking = false;
	if (cancel->in_flight == 0)
		cancel_end(cancel);
}

static void
cancel_ready(struct picked *picked)
{
	cancel_ask((struct cancel *)picked);
}

struct cancel_params {
	struct span id, ids, filter;
	int64_t grace_ms;
	char reason[1024];
};

static const struct param cancel_table[] = {
    {"id", PARAM_SPAN, PARAM_AT(cancel_params, id), 0, 0, 0},
    {"ids", PARAM_SPAN, PARAM_AT(cancel_params, ids), 0, 0, 0},
    {"filter", PARAM_SPAN, PARAM_AT(cancel_params, filter), 0, 0, 0},
    {"grace", PARAM_DURATION, PARAM_AT(cancel_params, grace_ms), 0, 0, 0},
    {"reason", PARAM_TEXT_OF(cancel_params, reason)},
    {0},
};

static void
method_cancel(struct request *request, struct span raw)
{
	struct cancel_params params = {.grace_ms = 5000};
	struct selection selection;
	struct cancel *cancel;

	if (!request_params(request, raw, cancel_table, &params) ||
	    !methods_read_selection(request, params.id, params.ids, params.filter, &selection))
		return;
	cancel = mem_new(sizeof(*cancel));
	cancel->picked.ready = cancel_ready;
	cancel->picked.release = cancel_release;
	cancel->why = params.reason[0] != '\0' ? mem_text(params.reason) : NULL;
	cancel->grace_ms = params.grace_ms;
	picked_start(&cancel->picked, request, &selection);
}

/* ---- drain ----------------------------------------------------------------------------------------------------------------- */

struct drain_params {
	int64_t wait_ms;
};

static const struct param drain_table[] = {{"wait", PARAM_DURATION, PARAM_AT(drain_params, wait_ms), 0, 0, 0}, {0}};

static void
drain_over(bool idle, void *arg)
{
	request_reply_lit(arg, idle ? "{\"drained\":true}" : "{\"drained\":false}");
}

static void
method_drain(struct request *request, struct span raw)
{
	struct drain_params params = {.wait_ms = SPEC_NONE};

	if (request_params(request, raw, drain_table, &params))
		request->server->drain(request->server, params.wait_ms, drain_over, request);
}

const struct method methods_control[] = {
    {"cancel", ROLE_USER, method_cancel},
    {"drain", ROLE_OPERATOR, method_drain},
    {0},
};
