/*
 * methods_ended: what may be done with jobs that have ended: retry (a new job that does the same) and forget.
 *
 * Both know first which jobs there are (picked.h). retry reads the submissions of those that failed or were cancelled, a share at a time, and submits
 * them anew; it answers when all are durable. forget, too, goes by shares: first the rows and then the files, so that
 * what the store spares keeps its output; what is gone it learns by looking again, behind the commit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/gather.h"
#include "daemon/mem.h"
#include "daemon/methods.h"
#include "daemon/outfile.h"
#include "daemon/picked.h"
#include "daemon/server.h"

#define ENDED_AT_ONCE 512              /* jobs of a share */
#define ENDED_BYTES ((size_t)4 << 20)  /* of their arguments */
#define FORGET_AT_ONCE 4096            /* jobs of one commit: nobody feels it */

struct selection_params {
	struct span id, ids, filter;
};

static const struct param selection_table[] = {
    {"id", PARAM_SPAN, PARAM_AT(selection_params, id), 0, 0, 0},
    {"ids", PARAM_SPAN, PARAM_AT(selection_params, ids), 0, 0, 0},
    {"filter", PARAM_SPAN, PARAM_AT(selection_params, filter), 0, 0, 0},
    {0},
};

static bool
ended_read_selection(struct request *request, struct span raw, struct selection *ret_selection)
{
	struct selection_params params = {.id = SPAN_NONE};

	return request_params(request, raw, selection_table, &params) &&
	    methods_read_selection(request, params.id, params.ids, params.filter, ret_selection);
}

static void
ended_release(struct picked *picked)
{
	picked_done(picked);
	free(picked);
}

/* ---- retry ----------------------------------------------------------------------------------------------------------------- */

/* One call. */
struct retry {
	struct picked picked; /* first: a picked is its retry */
	size_t next;          /* of its jobs: the first that no share has had */
	struct id_range ranges[ENDED_AT_ONCE]; /* the share */
	size_t n_ranges;
	int64_t read_to;      /* the last of the share that was submitted */
	size_t bytes;
	size_t in_flight;
	bool reading;
	int failed;           /* an RPC code: no more is tried */
	int refused;          /* the last code of a job that could not be submitted again, and why */
	char reason[256];
};

/* A submission under way. */
struct retry_one {
	struct retry *retry;
	int64_t id; /* of the job that it does again */
};

static void
retry_write(struct text *text, const struct picked_job *job)
{
	text_printf(text, "{\"id\":%lld,\"retried\":%s", (long long)job->id, job->done ? "true" : "false");
	if (job->done)
		text_printf(text, ",\"new\":%lld", (long long)job->made);
	else if (job->refused != 0)
		text_printf(text, ",\"refused\":\"%s\"", rpc_error_word(job->refused));
	text_add_char(text, '}');
}

static bool
retry_is_wanted(const struct picked_job *job)
{
	return job->was == JOB_FAILED || job->was == JOB_CANCELLED;
}

static void retry_share(struct retry *retry);

static void
retry_refuse(struct retry *retry, struct picked_job *job, int code, const char *reason)
{
	job->refused = retry->refused = code;
	snprintf(retry->reason, sizeof(retry->reason), "%s", reason);
}

/* The only job is refused as a submit would be; of several each is told. */
static void
retry_end(struct retry *retry)
{
	struct picked *picked = &retry->picked;

	if (retry->refused != 0 && picked->n == 1) {
		request_fail(picked->request, retry->refused, "job %lld cannot be submitted again: %s", (long long)picked->jobs[0].id,
		    retry->reason);
		ended_release(picked);
		return;
	}
	for (size_t i = 0; i < picked->n; i++) { /* those that were not come to any more */
		if (retry_is_wanted(&picked->jobs[i]) && !picked->jobs[i].done && picked->jobs[i].refused == 0)
			picked->jobs[i].refused = retry->failed;
	}
	picked_reply(picked, retry_write);
}

static void
retry_go_on(struct retry *retry)
{
	if (!retry->reading && retry->in_flight == 0)
		retry_share(retry);
}

static void
retry_answered(enum dispatch_answer answer, int64_t first, int64_t count, const char *reason, void *ctx)
{
	struct retry_one *one = ctx;
	struct retry *retry = one->retry;
	struct picked_job *job = picked_find(&retry->picked, one->id);

	(void)count;
	free(one);
	retry->in_flight--;
	if (answer == DISPATCH_ADDED) {
		job->done = true;
		job->made = first;
	} else {
		retry->failed = answer == DISPATCH_STORAGE_FULL ? RPC_STORAGE_FULL : answer == DISPATCH_UNAVAILABLE ? RPC_BUSY : RPC_OUTCOME_UNKNOWN;
		retry_refuse(retry, job, retry->failed, reason != NULL ? reason : "the store did not take it");
	}
	retry_go_on(retry);
}

/* The same work, as if it were submitted now; what a user asks for runs with a user's rights, whoever asked for it before. */
static struct spec
retry_spec(const struct request *request, const struct store_row *row)
{
	struct spec spec = row->spec;

	spec.submitted_ms = loop_wall_ms();
	if (spec.expires_ms != SPEC_NONE)
		spec.expires_ms += spec.submitted_ms - row->spec.submitted_ms;
	spec.not_before_ms = SPEC_NONE;
	spec.after = SPAN_NONE;
	spec.after_policy = AFTER_SUCCEEDED;
	spec.key = NULL;
	spec.retry_of = row->id;
	spec.restricted = spec.restricted || request->peer->role != ROLE_OPERATOR;
	return spec;
}

/* False: it is refused for what it is. */
static bool
retry_check(struct retry *retry, struct picked_job *job, const struct store_row *row, const struct task *task)
{
	char *why;

	if (task == NULL) {
		why = mem_format("this daemon has no task %s", row->spec.task);
		retry_refuse(retry, job, RPC_NO_SUCH_TASK, why);
	} else {
		why = methods_why_forbidden(retry->picked.request, row->spec.owner, task, row->spec.args);
		if (why != NULL)
			retry_refuse(retry, job, RPC_FORBIDDEN, why);
	}
	free(why);
	return job->refused == 0;
}

static void
retry_submit(struct retry *retry, struct picked_job *job, const struct store_row *row)
{
	struct request *request = retry->picked.request;
	const struct task *task = task_find_name(request->server->tasks, row->spec.task);
	struct spec spec = retry_spec(request, row);
	struct retry_one *one;
	const char *what = NULL;
	char *why;
	int error;

	if (!retry_check(retry, job, row, task))
		return;
	one = mem_new(sizeof(*one));
	one->retry = retry;
	one->id = row->id;
	error = dispatch_submit(request->server->dispatch, &spec, task, SPAN_NONE, 1, retry_answered, one, NULL, &what);
	if (error == 0) {
		retry->in_flight++;
		return;
	}
	free(one);
	retry->failed = error;
	why = error == RPC_BUSY ? mem_format("%s is reached", what) : mem_text("the daemon is ending and takes nothing more");
	retry_refuse(retry, job, error, why);
	free(why);
}

static bool
retry_row(const struct store_row *row, void *arg)
{
	struct retry *retry = arg;
	struct picked_job *job = picked_find(&retry->picked, row->id);

	retry_submit(retry, job, row);
	retry->read_to = row->id;
	retry->bytes += row->spec.args.len;
	return retry->failed == 0 && retry->bytes < ENDED_BYTES;
}

static void
retry_read(int error, const char *reason, void *arg)
{
	struct retry *retry = arg;

	retry->reading = false;
	if (error != 0) {
		retry->failed = retry->refused = RPC_INTERNAL;
		snprintf(retry->reason, sizeof(retry->reason), "%s", reason);
	}
	/* Those behind the last that was submitted are for the next share. */
	while (retry->next > 0 && retry->bytes >= ENDED_BYTES && retry->picked.jobs[retry->next - 1].id > retry->read_to)
		retry->next--;
	retry_go_on(retry);
}

/* The next few; at the end the reply. */
static void
retry_share(struct retry *retry)
{
	struct picked *picked = &retry->picked;
	struct gather_what what = {.ranges = retry->ranges, .fields = STORE_FIELD_SPEC | STORE_FIELD_ARGS};

	retry->n_ranges = retry->bytes = 0;
	for (; retry->failed == 0 && retry->next < picked->n && retry->n_ranges < ENDED_AT_ONCE; retry->next++) {
		const struct picked_job *job = &picked->jobs[retry->next];

		if (retry_is_wanted(job))
			retry->ranges[retry->n_ranges++] = (struct id_range){job->id, job->id};
	}
	if (retry->n_ranges == 0) {
		retry_end(retry);
		return;
	}
	retry->reading = true;
	what.n_ranges = retry->n_ranges;
	what.owner = picked->owner;
	what.row = retry_row;
	what.done = retry_read;
	what.arg = retry;
	gather_start(picked->request->server->dispatch, &what);
}

static void
retry_ready(struct picked *picked)
{
	retry_share((struct retry *)picked);
}

static void
method_retry(struct request *request, struct span raw)
{
	struct selection selection;
	struct retry *retry;

	if (!ended_read_selection(request, raw, &selection))
		return;
	retry = mem_new(sizeof(*retry));
	retry->picked.ready = retry_ready;
	retry->picked.release = ended_release;
	picked_start(&retry->picked, request, &selection);
}

/* ---- forget ---------------------------------------------------------------------------------------------------------------- */

struct forget {
	struct picked picked; /* first: a picked is its forget */
	size_t next;          /* of its jobs: the first that no share has had */
	int64_t ids[FORGET_AT_ONCE]; /* the share: those that had ended, then those that are gone */
	struct id_range ranges[FORGET_AT_ONCE]; /* the same */
	size_t n, n_ranges;
	bool some;            /* are gone */
	int failed;           /* an RPC code: no more is tried */
	char reason[256];
};

static void
forget_write(struct text *text, const struct picked_job *job)
{
	text_printf(text, "{\"id\":%lld,\"forgotten\":%s", (long long)job->id, job->done ? "true" : "false");
	if (job->refused != 0)
		text_printf(text, ",\"refused\":\"%s\"", rpc_error_word(job->refused));
	text_add_char(text, '}');
}

static void
forget_end(struct forget *forget)
{
	struct picked *picked = &forget->picked;

	if (forget->failed != 0 && !forget->some) {
		request_fail(picked->request, forget->failed, "the jobs cannot be forgotten: %s", forget->reason);
		ended_release(picked);
		return;
	}
	for (size_t i = 0; forget->failed != 0 && i < picked->n; i++) {
		if (picked_has_ended(&picked->jobs[i]) && !picked->jobs[i].done)
			picked->jobs[i].refused = forget->failed;
	}
	picked_reply(picked, forget_write);
}

static void forget_share(struct forget *forget);

static void
forget_files_gone(void *arg)
{
	forget_share(arg);
}

/* A job that is still there was spared: others wait for it. */
static bool
forget_still_there(const struct store_row *row, void *arg)
{
	struct forget *forget = arg;
	struct picked_job *job = picked_find(&forget->picked, row->id);

	if (job != NULL && job->id == row->id)
		job->done = false;
	return true;
}

static void
forget_looked(int error, const char *reason, void *arg)
{
	struct forget *forget = arg;
	struct picked *picked = &forget->picked;
	size_t n = 0;

	if (error != 0) {
		request_fail(picked->request, RPC_OUTCOME_UNKNOWN, "it is not known whether the jobs are gone: %s", reason);
		ended_release(picked);
		return;
	}
	for (size_t i = 0; i < forget->n; i++) {
		if (picked_find(picked, forget->ids[i])->done)
			forget->ids[n++] = forget->ids[i];
	}
	forget->n = n;
	forget->some = forget->some || n > 0;
	if (n == 0)
		forget_share(forget);
	else
		outfiles_delete(picked->request->server->outfiles, forget->ids, n, forget_files_gone, forget);
}

static void
forget_committed(enum store_verdict verdict, const char *reason, void *ctx)
{
	struct forget *forget = ctx;
	struct picked *picked = &forget->picked;
	struct gather_what what = {.ranges = forget->ranges, .n_ranges = forget->n_ranges, .owner = picked->owner};

	if (verdict == STORE_COMMITTED) {
		what.row = forget_still_there;
		what.done = forget_looked;
		what.arg = forget;
		gather_start(picked->request->server->dispatch, &what);
		return;
	}
	for (size_t i = 0; i < forget->n; i++)
		picked_find(picked, forget->ids[i])->done = false;
	forget->failed = methods_verdict_code(verdict);
	snprintf(forget->reason, sizeof(forget->reason), "%s", reason);
	forget_end(forget);
}

static void
forget_add(struct forget *forget, struct picked_job *job)
{
	struct id_range *last = forget->n_ranges > 0 ? &forget->ranges[forget->n_ranges - 1] : NULL;

	job->done = true;
	forget->ids[forget->n++] = job->id;
	if (last != NULL && last->last == job->id - 1)
		last->last++;
	else
		forget->ranges[forget->n_ranges++] = (struct id_range){job->id, job->id};
}

/* The next few that had ended; at the end the reply. */
static void
forget_share(struct forget *forget)
{
	struct picked *picked = &forget->picked;
	struct dispatch *dispatch = picked->request->server->dispatch;

	forget->n = forget->n_ranges = 0;
	for (; forget->next < picked->n && forget->n < FORGET_AT_ONCE; forget->next++) {
		if (picked_has_ended(&picked->jobs[forget->next]))
			forget_add(forget, &picked->jobs[forget->next]);
	}
	if (forget->n == 0) {
		forget_end(forget);
		return;
	}
	dispatch_forget(dispatch, forget->ids, forget->n);
	dispatch_tell_commit(dispatch, forget_committed, forget);
}

static void
forget_ready(struct picked *picked)
{
	forget_share((struct forget *)picked);
}

static void
method_forget(struct request *request, struct span raw)
{
	struct selection selection;
	struct forget *forget;

	if (!ended_read_selection(request, raw, &selection))
		return;
	forget = mem_new(sizeof(*forget));
	forget->picked.ready = forget_ready;
	forget->picked.release = ended_release;
	picked_start(&forget->picked, request, &selection);
}

const struct method methods_ended[] = {
    {"retry", ROLE_USER, method_retry},
    {"forget", ROLE_USER, method_forget},
    {0},
};
