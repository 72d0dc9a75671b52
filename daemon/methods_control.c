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
	enum store_verdict verdict;
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
	text_printf(text, "{\"id\":%lld,\"cancelled\":%s,\"was\":\"%s\"}", (long long)job->id, job->done ? "true" : "false",
	    job_state_name(job->was));
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
		job->done = true;
		job->was = JOB_PENDING;
		break;
	case STORE_REQUESTED:
		job->done = true;
		job->was = JOB_RUNNING;
		break;
	case STORE_FENCED:
		cancel->verdict = verdict;
		snprintf(cancel->reason, sizeof(cancel->reason), "%s", reason);
		break;
	default:
		cancel->raced = true; /* it has ended meanwhile */
		break;
	}
	if (!cancel->asking)
		cancel_ask(cancel);
}

static void
cancel_fail(struct cancel *cancel)
{
	struct request *request = cancel->picked.request;

	if (cancel->verdict == STORE_FULL)
		request_fail(request, RPC_STORAGE_FULL, "there is no room to write the cancel down: %s", cancel->reason);
	else if (cancel->verdict == STORE_UNKNOWN)
		request_fail(request, RPC_OUTCOME_UNKNOWN, "it is not known whether the cancel was kept: %s", cancel->reason);
	else
		request_fail(request, RPC_BUSY, "the store cannot take the cancel now: %s", cancel->reason);
	cancel_release(&cancel->picked);
}

static void
cancel_ask(struct cancel *cancel)
{
	struct picked *picked = &cancel->picked;

	cancel->asking = true;
	while (cancel->next < picked->n && cancel->in_flight < CANCEL_AT_ONCE && cancel->verdict == STORE_COMMITTED) {
		struct picked_job *job = &picked->jobs[cancel->next++];

		if (picked_has_ended(job))
			continue;
		cancel->in_flight++;
		dispatch_cancel(picked->request->server->dispatch, job->id, picked->owner, picked->request->peer->owner, cancel->why,
		    cancel->grace_ms, cancel_answered, cancel);
	}
	cancel->asking = false;
	if (cancel->in_flight > 0)
		return;
	if (cancel->verdict != STORE_COMMITTED)
		cancel_fail(cancel);
	else if (cancel->raced)
		picked_look_again(picked, cancel_reply);
	else
		cancel_reply(picked);
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
