/*
 * methods_control: cancel. Two steps: which of the selected jobs are there and have not ended (a read), then a request for each to the store, a
 * few thousand at a time. The reply is sent when all requests are durable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/gather.h"
#include "daemon/mem.h"
#include "daemon/methods.h"
#include "daemon/server.h"

#define CANCEL_AT_ONCE 4096
#define CANCEL_REPLY_BYTES 64 /* of one job in the reply, about */

struct cancel_job {
	int64_t id;
	enum job_state was;
	bool cancelled;
};

struct cancel {
	struct request *request;
	struct selection selection;
	char *owner; /* filter, or NULL */
	char *why;   /* or NULL */
	int64_t grace_ms;
	struct cancel_job *jobs; /* by id */
	size_t n, capacity;
	size_t next;             /* to be asked for */
	size_t in_flight;
	bool asking;
	bool raced;              /* some ended between the two steps: how is read again */
	enum store_verdict verdict;
	char reason[256];
};

static void
cancel_free(struct cancel *cancel)
{
	selection_done(&cancel->selection);
	free(cancel->owner);
	free(cancel->why);
	free(cancel->jobs);
	free(cancel);
}

static struct cancel_job *
cancel_find(const struct cancel *cancel, int64_t id)
{
	size_t low = 0, high = cancel->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cancel->jobs[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < cancel->n ? &cancel->jobs[low] : NULL;
}

static void
cancel_add_reply(struct text *result, const struct cancel_job *job)
{
	text_printf(result, "%s{\"id\":%lld,\"cancelled\":%s,\"was\":\"%s\"}", result->len > 1 ? "," : "", (long long)job->id,
	    job->cancelled ? "true" : "false", job_state_name(job->was));
}

/* All of the selection that the caller may see. */
static void
cancel_read(struct cancel *cancel, bool (*row)(const struct store_row *, void *), void (*done)(int, const char *, void *))
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	struct gather_what what = {.ranges = cancel->selection.ranges, .n_ranges = cancel->selection.n_ranges};

	if (cancel->selection.filtered) {
		what.ranges = &all;
		what.n_ranges = 1;
		what.filter = cancel->raced ? NULL : &cancel->selection.filter;
	}
	what.owner = cancel->owner;
	what.row = row;
	what.done = done;
	what.arg = cancel;
	gather_start(cancel->request->server->dispatch, &what);
}

static void
cancel_reply(struct cancel *cancel)
{
	const struct selection *selection = &cancel->selection;
	size_t max = (size_t)cancel->request->server->config->limit_message;
	struct text result = {0};

	text_add_char(&result, '[');
	if (selection->filtered) {
		for (size_t i = 0; i < cancel->n; i++)
			cancel_add_reply(&result, &cancel->jobs[i]);
	}
	for (size_t i = 0; i < selection->n_asked && result.len <= max; i++) {
		const struct cancel_job *job = cancel_find(cancel, selection->asked[i].first);

		for (; job != NULL && job < cancel->jobs + cancel->n && job->id <= selection->asked[i].last; job++)
			cancel_add_reply(&result, job);
	}
	text_add_char(&result, ']');
	if (selection->single) {
		memmove(result.at, result.at + 1, result.len - 2);
		result.len -= 2;
	}
	request_reply(cancel->request, &result);
	cancel_free(cancel);
}

static void cancel_ask(struct cancel *cancel);

static void
cancel_answered(int64_t id, enum store_answer answer, enum store_verdict verdict, const char *reason, void *ctx)
{
	struct cancel *cancel = ctx;
	struct cancel_job *job = cancel_find(cancel, id);

	cancel->in_flight--;
	switch (answer) {
	case STORE_CANCELLED:
		job->cancelled = true;
		job->was = JOB_PENDING;
		break;
	case STORE_REQUESTED:
		job->cancelled = true;
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
	struct request *request = cancel->request;

	if (cancel->verdict == STORE_FULL)
		request_fail(request, RPC_STORAGE_FULL, "there is no room to write the cancel down: %s", cancel->reason);
	else if (cancel->verdict == STORE_UNKNOWN)
		request_fail(request, RPC_OUTCOME_UNKNOWN, "it is not known whether the cancel was kept: %s", cancel->reason);
	else
		request_fail(request, RPC_BUSY, "the store cannot take the cancel now: %s", cancel->reason);
	cancel_free(cancel);
}

static bool
cancel_has_ended(enum job_state state)
{
	return state == JOB_SUCCEEDED || state == JOB_FAILED || state == JOB_CANCELLED;
}

static bool
cancel_row_again(const struct store_row *row, void *arg)
{
	struct cancel_job *job = cancel_find(arg, row->id);

	if (job != NULL && job->id == row->id && !job->cancelled)
		job->was = row->state;
	return true;
}

static void
cancel_read_again(int error, const char *reason, void *arg)
{
	(void)error; /* then what was read first must do */
	(void)reason;
	cancel_reply(arg);
}

static void
cancel_ask(struct cancel *cancel)
{
	cancel->asking = true;
	while (cancel->next < cancel->n && cancel->in_flight < CANCEL_AT_ONCE && cancel->verdict == STORE_COMMITTED) {
		struct cancel_job *job = &cancel->jobs[cancel->next++];

		if (cancel_has_ended(job->was))
			continue;
		cancel->in_flight++;
		dispatch_cancel(cancel->request->server->dispatch, job->id, cancel->owner, cancel->request->peer->owner, cancel->why,
		    cancel->grace_ms, cancel_answered, cancel);
	}
	cancel->asking = false;
	if (cancel->in_flight > 0)
		return;
	if (cancel->verdict != STORE_COMMITTED)
		cancel_fail(cancel);
	else if (cancel->raced)
		cancel_read(cancel, cancel_row_again, cancel_read_again);
	else
		cancel_reply(cancel);
}

static bool
cancel_row(const struct store_row *row, void *arg)
{
	struct cancel *cancel = arg;

	cancel->jobs = mem_room(cancel->jobs, cancel->n, &cancel->capacity, sizeof(*cancel->jobs));
	cancel->jobs[cancel->n++] = (struct cancel_job){row->id, row->state, false};
	return cancel->n * CANCEL_REPLY_BYTES <= (size_t)cancel->request->server->config->limit_message;
}

/* Ids that were named one by one must exist. */
static bool
cancel_check_unknown(struct cancel *cancel)
{
	const struct selection *selection = &cancel->selection;
	int64_t *unknown = NULL;
	size_t n = 0, capacity = 0;

	for (size_t i = 0; i < selection->n_asked; i++) {
		const struct cancel_job *job = cancel_find(cancel, selection->asked[i].first);

		if (!selection->is_range[i] && (job == NULL || job->id != selection->asked[i].first)) {
			unknown = mem_room(unknown, n, &capacity, sizeof(*unknown));
			unknown[n++] = selection->asked[i].first;
		}
	}
	if (n == 0 && (cancel->n > 0 || selection->filtered))
		return true;
	if (n > 0)
		request_fail_ids(cancel->request, unknown, n);
	else
		request_fail(cancel->request, RPC_NOT_FOUND, "none of the jobs named exists");
	free(unknown);
	cancel_free(cancel);
	return false;
}

static void
cancel_surveyed(int error, const char *reason, void *arg)
{
	struct cancel *cancel = arg;
	size_t max = (size_t)cancel->request->server->config->limit_message;

	if (error != 0) {
		request_fail(cancel->request, RPC_INTERNAL, "%s", reason);
		cancel_free(cancel);
	} else if (cancel->n * CANCEL_REPLY_BYTES > max) {
		request_fail(cancel->request, RPC_TOO_LARGE, "the reply would be longer than [limits] message: cancel fewer jobs at a time");
		cancel_free(cancel);
	} else if (cancel_check_unknown(cancel)) {
		cancel_ask(cancel);
	}
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
	const char *owner = request_owner_filter(request);
	struct selection selection;
	struct cancel *cancel;

	if (!request_params(request, raw, cancel_table, &params) ||
	    !methods_read_selection(request, params.id, params.ids, params.filter, &selection))
		return;
	if (selection.count > 1 || selection.filtered)
		request_is_bulk(request);
	cancel = mem_new(sizeof(*cancel));
	cancel->request = request;
	cancel->selection = selection;
	cancel->owner = owner != NULL ? mem_text(owner) : NULL;
	cancel->why = params.reason[0] != '\0' ? mem_text(params.reason) : NULL;
	cancel->grace_ms = params.grace_ms;
	cancel_read(cancel, cancel_row, cancel_surveyed);
}

const struct method methods_control[] = {
    {"cancel", ROLE_USER, method_cancel},
    {0},
};
