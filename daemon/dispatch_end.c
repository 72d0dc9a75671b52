/*
 * dispatch_end: the part of dispatch that knows how attempts end: what the outcome, a time-out or a promised cancel make of it, whether
 * there is another attempt, and what is written.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/dispatch_private.h"
#include "daemon/log.h"
#include "daemon/mem.h"

#define BACKOFF_MAX_MS (3600 * INT64_C(1000))
#define LATER_MS       2000 /* until a job that could not be begun for now is tried again */

/* It could not be begun for now: that attempt does not count. */
static bool
end_is_for_later(const struct job *job)
{
	return job->outcome.later && job->cause == CAUSE_NONE;
}

static bool
end_may_try_again(const struct job *job)
{
	if (job->cancel_error == NULL && end_is_for_later(job))
		return true;
	if (job->cancel_error != NULL || job->attempts >= job->spec->max_attempts)
		return false;
	if (job->cause == CAUSE_TIMEOUT)
		return job->spec->attempts_given;
	switch (job->outcome.error) {
	case JOB_ERROR_WORKER_DIED:
	case JOB_ERROR_LOST:
		return true;
	case JOB_ERROR_TASK_ERROR:
	case JOB_ERROR_EXIT_STATUS:
	case JOB_ERROR_SIGNAL:
	case JOB_ERROR_TIMED_OUT:
	case JOB_ERROR_OUT_OF_MEMORY:
		return job->spec->attempts_given;
	case JOB_ERROR_NONE:
	case JOB_ERROR_BAD_ARGUMENTS:
	case JOB_ERROR_RESULT_TOO_LARGE:
	case JOB_ERROR_EXPIRED:
	case JOB_ERROR_DEPENDENCY_FAILED:
	case JOB_ERROR_CANCELLED:
	case JOB_ERROR_COUNT:
		break;
	}
	return false;
}

/* What is known of how a stopped command went, into the error that says why it was stopped. */
static void
end_copy_details(struct outcome *to, const struct outcome *from)
{
	static const char *const names[] = {"exit_status", "signal", "stderr_tail", "stderr_tail_encoding"};
	struct span value;

	if (from->json == NULL || from->error == JOB_ERROR_NONE)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (jsonspan_get((struct span){from->json, from->len}, names[i], &value))
			outcome_add_json(to, names[i], value);
	}
}

/* Makes job->outcome final. */
static enum job_state
end_settle(struct job *job)
{
	struct outcome settled = {0};

	if (job->cancel_error != NULL && !(job->settled && job->outcome.error == JOB_ERROR_CANCELLED)) {
		settled.error = JOB_ERROR_CANCELLED;
		settled.json = mem_text(job->cancel_error);
		settled.len = strlen(settled.json);
	} else if (job->cause == CAUSE_TIMEOUT && job->outcome.error != JOB_ERROR_TIMED_OUT) {
		outcome_set_error(&settled, JOB_ERROR_TIMED_OUT, "it ran longer than its time-out of %g s",
		    (double)job->spec->timeout_ms / 1000);
	}
	if (settled.json != NULL) {
		settled.usage = job->outcome.usage;
		end_copy_details(&settled, &job->outcome);
		outcome_done(&job->outcome);
		job->outcome = settled;
		job->settled = false;
	}
	if (job->outcome.error == JOB_ERROR_NONE)
		return JOB_SUCCEEDED;
	if (!job->settled)
		outcome_add_integer(&job->outcome, "attempt", job->attempts);
	job->settled = true;
	return job->outcome.error == JOB_ERROR_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
}

struct store_end
dispatch_end(struct job *job)
{
	struct store_end end = {.state = end_settle(job), .attempt = job->attempts, .worker = job->worker};

	end.json = (struct span){job->outcome.json, job->outcome.len};
	end.usage = job->outcome.usage;
	end.started_ms = job->started_ms;
	end.finished_ms = loop_wall_ms();
	end.until_ms = job->spec->retain_ms != SPEC_NONE ? end.finished_ms + job->spec->retain_ms : SPEC_NONE;
	end.output = job->out_bytes[0] > 0 || job->out_bytes[1] > 0;
	return end;
}

bool
dispatch_fold_end(struct dispatch *dispatch, struct job *job)
{
	struct store_put *put = &dispatch->open->put[job->put_at - 1];

	if (!job->loose || end_may_try_again(job))
		return false;
	dispatch_loosen(dispatch, job, false);
	dispatch->n_early--;
	dispatch->n_folded++;
	put->place = STORE_DONE;
	put->token = job->token;
	put->end = dispatch_end(job);
	return true;
}

char *
dispatch_dependency_error(int64_t parent, enum job_state state)
{
	return mem_format("{\"type\":\"%s\",\"message\":\"job %lld, which it was to come after, %s %s\",\"data\":{\"parent\":%lld,\"state\":\"%s\"}}",
	    job_error_name(JOB_ERROR_DEPENDENCY_FAILED), (long long)parent, state == JOB_CANCELLED ? "was" : "has", job_state_name(state),
	    (long long)parent, job_state_name(state));
}

int64_t
dispatch_backoff(int64_t first_ms, int attempt)
{
	int64_t ms = first_ms;

	for (int i = 1; i < attempt && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	return ms - (ms > 1 ? random() % (ms / 2 + 1) : 0);
}

static struct store_release *
end_add_release(struct dispatch *dispatch, struct job *job, int64_t run_at_ms)
{
	struct store_release *release = DISPATCH_ADD(dispatch->open, release);

	*release = (struct store_release){
	    .spec = job->spec, .token = job->token, .run_at_ms = run_at_ms, .attempt = job->attempts, .ctx = job};
	return release;
}

/* Another attempt, when its time has come. */
static void
end_try_again(struct dispatch *dispatch, struct job *job)
{
	bool later = end_is_for_later(job);
	int64_t ms = later ? LATER_MS : dispatch_backoff(job->spec->backoff_ms, job->attempts);
	struct store_release *release = end_add_release(dispatch, job, loop_wall_ms() + ms);

	dispatch->stats.retried += !later;
	if (!later)
		return;
	release->attempt--;
	log_warning("job=%lld cannot be begun for now, and is tried again: %.*s", (long long)job->spec->id, (int)job->outcome.len, job->outcome.json);
}

void
dispatch_write_back(struct dispatch *dispatch, struct job *job)
{
	job->going_back = true;
	if (job->recorded_in == dispatch->number) /* its start goes with the open batch, this must come after it */
		dispatch_do_later(dispatch, job, NULL);
	else
		end_add_release(dispatch, job, SPEC_NONE);
}

void
dispatch_write_end(struct dispatch *dispatch, struct job *job)
{
	bool again = end_may_try_again(job);
	struct store_finish *finish;

	if (job->going_back) { /* it was held */
		dispatch_write_back(dispatch, job);
		return;
	}
	if (job->loose && again) {
		dispatch_loosen(dispatch, job, false);
		dispatch_add_start(dispatch, job);
	}
	if (job->recorded_in == dispatch->number) { /* its start goes with the open batch, its end must come after it */
		dispatch_do_later(dispatch, job, NULL);
		return;
	}
	if (again) {
		end_try_again(dispatch, job);
		return;
	}
	finish = DISPATCH_ADD(dispatch->open, finish);
	*finish = (struct store_finish){.spec = job->spec, .token = job->token, .from_ready = job->loose, .ctx = job};
	dispatch_loosen(dispatch, job, false);
	finish->end = dispatch_end(job);
	job->finish_at = dispatch->open->n_finish;
}
