/*
 * dispatch_answer: the part of dispatch that takes the store's answers to a batch: what each means for its job and for who asked.
 *
 * A batch that did not go through (no room) leaves jobs as they were: submissions are refused, ends are held and written when there is room.
 * When it is unknown whether one went through, the daemon ends.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dispatch_private.h"
#include "daemon/log.h"
#include "daemon/mem.h"

#define EXIT_STORE 74

static void
answer_tell(struct dispatch *dispatch, struct job *job, const struct store_end *end, int64_t seq)
{
	struct store_row row = {.id = job->spec->id, .place = STORE_DONE, .state = end->state, .attempt = end->attempt, .seq = seq};

	row.started_ms = end->started_ms;
	row.finished_ms = end->finished_ms;
	row.worker = end->worker;
	row.output = end->output;
	row.usage = end->usage;
	row.spec = *job->spec;
	row.json = end->json;
	switch (end->state) {
	case JOB_SUCCEEDED:
		dispatch->stats.succeeded++;
		break;
	case JOB_FAILED:
		dispatch->stats.failed++;
		break;
	case JOB_CANCELLED:
		dispatch->stats.cancelled++;
		break;
	case JOB_PENDING:
	case JOB_RUNNING:
	case JOB_STATE_COUNT:
		break;
	}
	dispatch->callbacks.ended(&row, dispatch->callbacks.arg);
}

/* It leaves its queue's counts. */
static void
answer_uncount(struct dispatch *dispatch, struct job *job)
{
	if (job->counted_running)
		queues_count_running(&dispatch->queues, job->queue, -1);
	else
		queues_count_pending(&dispatch->queues, job->queue, job->spec->owner, -1);
}

static void
answer_ended(struct dispatch *dispatch, struct job *job, const struct store_end *end, int64_t seq, enum fsm_event event)
{
	answer_uncount(dispatch, job);
	dispatch_no_changes(dispatch, job);
	answer_tell(dispatch, job, end, seq);
	dispatch_step(dispatch, job, event);
}

static void
answer_finish(struct dispatch *dispatch, struct store_finish *finish)
{
	struct job *job = finish->ctx;

	if (finish->answer == STORE_OK) {
		answer_ended(dispatch, job, &finish->end, finish->seq, FSM_E_ENDED);
		return;
	}
	log_error("job=%lld: the store does not know the attempt that has come out", (long long)job->spec->id);
	answer_uncount(dispatch, job);
	dispatch_step(dispatch, job, FSM_E_FENCED);
}

/* A job that the store alone has ended as cancelled: whoever wants to know more than that reads its row there. */
static void
answer_tell_cancelled(struct dispatch *dispatch, int64_t id, int64_t finished_ms, int64_t seq)
{
	struct store_row row = {.id = id, .place = STORE_DONE, .state = JOB_CANCELLED, .seq = seq};

	row.finished_ms = finished_ms;
	row.started_ms = row.spec.retain_ms = SPEC_NONE;
	dispatch->stats.cancelled++;
	dispatch->callbacks.ended(&row, dispatch->callbacks.arg);
}

static void
answer_release(struct dispatch *dispatch, struct store_release *release)
{
	struct job *job = release->ctx;

	switch (release->answer) {
	case STORE_OK:
		if (release->run_at_ms != SPEC_NONE) {
			dispatch_count_running(dispatch, job, false);
			dispatch->callbacks.output(job->spec->id, dispatch->callbacks.arg);
			dispatch_step(dispatch, job, FSM_E_RELEASED);
		} else {
			outcome_done(&job->outcome);
			dispatch_step(dispatch, job, FSM_E_STORED);
		}
		return;
	case STORE_CANCELLED:
		answer_uncount(dispatch, job);
		answer_tell_cancelled(dispatch, job->spec->id, loop_wall_ms(), release->seq);
		dispatch_step(dispatch, job, FSM_E_CANCELLED);
		return;
	case STORE_FENCED:
	case STORE_DUPLICATE:
	case STORE_KEY_CONFLICT:
	case STORE_NO_PARENT:
	case STORE_REQUESTED:
	case STORE_ENDED:
	case STORE_NOT_FOUND:
		log_error("job=%lld: the store does not know the attempt that is to be tried again", (long long)job->spec->id);
		answer_uncount(dispatch, job);
		dispatch_step(dispatch, job, FSM_E_FENCED);
	}
}

static enum dispatch_answer
answer_put_answer(const struct store_put *put)
{
	if (put->answer == STORE_DUPLICATE)
		return DISPATCH_EXISTING;
	if (put->answer == STORE_NO_PARENT)
		return DISPATCH_NO_PARENT;
	return put->answer == STORE_KEY_CONFLICT ? DISPATCH_KEY_CONFLICT : DISPATCH_ADDED;
}

/* The ids of a refused submission are given back if nobody took any after them. */
static void
answer_give_ids_back(struct dispatch *dispatch, int64_t first, int64_t count)
{
	if (dispatch->next_id == first + count)
		dispatch->next_id = first;
}

static void
answer_refuse_job(struct dispatch *dispatch, struct job *job, enum dispatch_answer answer, int64_t first, int64_t count,
    const char *reason)
{
	job->submit_cb(answer, first, count, reason, job->submit_ctx);
	job->submit_cb = NULL;
	answer_uncount(dispatch, job);
	if (job->line != NULL)
		dispatch_step_out_of_line(dispatch, job);
	if (job->sent && !job->early_outcome && (job->slot != NULL || job->placed)) {
		job->refused = true; /* its worker has it: it goes when it comes back */
		job->queue = NULL;   /* which may go before */
		return;
	}
	answer_give_ids_back(dispatch, job->spec->id, 1);
	dispatch_loosen(dispatch, job, false);
	dispatch_unplace(dispatch, job);
	dispatch_step(dispatch, job, FSM_E_REFUSED);
}

/* It is on its way to the store no more. */
static void
answer_added(struct job *job)
{
	job->queue->lanes[job->spec->pool].adding -= job->adding;
	job->adding = false;
}

static void
answer_put_one(struct dispatch *dispatch, struct store_put *put)
{
	struct job *job = put->ctx;

	answer_added(job);
	if (put->answer != STORE_OK) {
		answer_refuse_job(dispatch, job, answer_put_answer(put), put->existing_id, put->existing_count, put->unknown);
		free(put->unknown);
		put->unknown = NULL;
		return;
	}
	dispatch->stats.submitted++;
	job->submit_cb(DISPATCH_ADDED, put->spec->id, 1, NULL, job->submit_ctx);
	job->submit_cb = NULL;
	switch (put->place) {
	case STORE_DONE:
		answer_ended(dispatch, job, &put->end, put->seq, FSM_E_STORED_ENDED);
		return;
	case STORE_RUNNING:
		dispatch_step(dispatch, job, FSM_E_STORED_RUNNING);
		return;
	case STORE_DELAYED:
	case STORE_WAITING:
		dispatch_step(dispatch, job, FSM_E_STORED_FAR);
		return;
	case STORE_READY:
		dispatch_step(dispatch, job, job->sent ? FSM_E_STORED_RUNNING : FSM_E_STORED);
		return;
	}
}

static void
answer_map(struct dispatch *dispatch, struct store_put *put, enum dispatch_answer answer, const char *reason)
{
	struct map_submission *map = put->ctx;
	struct store_mark first = {map->spec->priority, map->spec->id};
	struct line *line;
	struct job *job;

	map->queue->lanes[map->spec->pool].adding--;
	if (answer != DISPATCH_ADDED) {
		queues_count_pending(&dispatch->queues, map->queue, map->spec->owner, -map->count);
		answer_give_ids_back(dispatch, map->spec->id, map->count);
		map->cb(answer, put->existing_id, put->existing_count, reason, map->ctx);
	} else {
		dispatch->stats.submitted += map->count;
		map->cb(answer, map->spec->id, map->count, NULL, map->ctx);
		if (put->place == STORE_READY) {
			line = queues_line(&dispatch->queues, map->queue, map->spec->pool, map->spec->owner);
			line_cut(line, &first);
			while ((job = line_behind_mark(line)) != NULL)
				dispatch_leave_window(dispatch, job);
			queues_relist(&dispatch->queues, line);
			dispatch_want_fill(dispatch, line);
		}
	}
	free(put->unknown);
	put->unknown = NULL;
	spec_unref(map->spec);
	free(map);
}

static void
answer_cancel_running(struct dispatch *dispatch, struct job *job, const struct cancel_request *request)
{
	if (job->cancel_error == NULL)
		job->cancel_error = mem_text(request->error);
	job->cause = CAUSE_CANCEL;
	job->grace_ms = request->grace_ms;
	if (job->finish_at > 0)
		dispatch->open->finish[job->finish_at - 1].end = dispatch_end(job);
	dispatch_step(dispatch, job, FSM_E_STOP);
}

static void
answer_cancelled_in_store(struct dispatch *dispatch, const struct store_cancel *cancel)
{
	struct job *job = job_find(&dispatch->jobs, cancel->id);
	struct store_end end = {.state = JOB_CANCELLED, .started_ms = SPEC_NONE, .finished_ms = cancel->now_ms, .json = cancel->error};
	const struct cancel_request *request = cancel->ctx;
	struct line *line;

	if (job == NULL || job->line == NULL) {
		if (job == NULL)
			queues_count_pending(&dispatch->queues, queues_get(&dispatch->queues, cancel->queue), cancel->job_owner, -1);
		else if (job->state == FSM_PICKED)
			dispatch_step(dispatch, job, FSM_E_CANCELLED);
		else /* pure, and sent before its start was written: its outcome will be fenced */
			answer_cancel_running(dispatch, job, request);
		answer_tell_cancelled(dispatch, cancel->id, cancel->now_ms, cancel->seq);
		return;
	}
	end.attempt = job->attempts;
	line = job->line;
	line_remove(line, job);
	queues_relist(&dispatch->queues, line);
	answer_ended(dispatch, job, &end, cancel->seq, FSM_E_CANCELLED);
	dispatch_want_fill(dispatch, line);
	queues_tidy_line(&dispatch->queues, line);
}

/* A cancel of that job is on its way no more. The job, if it is in memory. */
static struct job *
answer_cancelling_over(struct dispatch *dispatch, int64_t id)
{
	struct job *job = job_find(&dispatch->jobs, id);

	if (job != NULL && job->cancelling > 0)
		job->cancelling--;
	return job;
}

static void
answer_cancel(struct dispatch *dispatch, struct store_cancel *cancel)
{
	struct cancel_request *request = cancel->ctx;
	struct job *job = answer_cancelling_over(dispatch, cancel->id);

	request->cb(cancel->id, cancel->answer, STORE_COMMITTED, NULL, request->ctx);
	if (cancel->answer == STORE_CANCELLED) {
		answer_cancelled_in_store(dispatch, cancel);
	} else if (cancel->answer == STORE_REQUESTED) {
		if (job != NULL)
			answer_cancel_running(dispatch, job, request);
	}
	dispatch_cancel_request_free(request);
}

/* Out of its line: it has ended in the store. */
static void
answer_leave_line(struct dispatch *dispatch, struct job *job)
{
	struct line *line = job->line;

	line_remove(line, job);
	queues_relist(&dispatch->queues, line);
	answer_uncount(dispatch, job);
	dispatch_step(dispatch, job, FSM_E_CANCELLED);
	dispatch_want_fill(dispatch, line);
	queues_tidy_line(&dispatch->queues, line);
}

/* The store has ended a job that had not begun. */
static void
answer_gone(struct dispatch *dispatch, const struct store_gone *gone)
{
	struct store_row row = {.id = gone->id, .place = STORE_DONE, .state = JOB_FAILED, .seq = gone->seq};
	struct job *job = job_find(&dispatch->jobs, gone->id);

	row.finished_ms = gone->finished_ms;
	row.started_ms = SPEC_NONE;
	row.spec.retain_ms = gone->retain_ms;
	if (job == NULL)
		queues_count_pending(&dispatch->queues, queues_get(&dispatch->queues, gone->queue), gone->owner, -1);
	else if (job->line != NULL)
		answer_leave_line(dispatch, job);
	else if (job->state == FSM_PICKED)
		dispatch_step(dispatch, job, FSM_E_CANCELLED); /* its start is refused */
	/* else this daemon has not its task: what it writes of that is fenced */
	dispatch->stats.failed++;
	dispatch->callbacks.ended(&row, dispatch->callbacks.arg);
}

static void
answer_start(struct dispatch *dispatch, struct store_start *start)
{
	struct job *job = start->ctx;

	if (job->state != FSM_PICKED) /* it runs already; this only wrote it down */
		return;
	if (start->answer == STORE_OK) {
		dispatch_step(dispatch, job, FSM_E_STARTED);
		return;
	}
	answer_uncount(dispatch, job);
	dispatch_unplace(dispatch, job);
	dispatch_step(dispatch, job, FSM_E_UNSTARTED);
}

static void
answer_promote(struct dispatch *dispatch, struct store_promote *promote)
{
	for (size_t i = 0; i < promote->n_rows; i++) {
		struct job *job = job_find(&dispatch->jobs, promote->rows[i].spec->id);

		assert(job == NULL);
		job = dispatch_adopt(dispatch, &promote->rows[i]);
		job->state = FSM_ENDING; /* as one that comes back from a release */
		dispatch_step(dispatch, job, FSM_E_STORED);
	}
	free(promote->rows);
	promote->rows = NULL;
	promote->n_rows = 0;
}

static void
answer_fill(struct dispatch *dispatch, struct store_fill *fill)
{
	struct line *line = fill->ctx;
	struct store_mark last = {0};
	struct job *job;
	bool fresh;

	for (size_t i = 0; line->missed && i < fill->n_rows; i++)
		spec_unref(fill->rows[i].spec);
	if (line->missed)
		fill->n_rows = 0;
	for (size_t i = 0; i < fill->n_rows; i++) {
		last = (struct store_mark){fill->rows[i].spec->priority, fill->rows[i].spec->id};
		job = job_find(&dispatch->jobs, last.id);
		fresh = job == NULL;
		if (fresh)
			job = dispatch_adopt(dispatch, &fill->rows[i]);
		else
			spec_unref(fill->rows[i].spec);
		if (fresh || job->where == JOB_ASIDE) /* else it is on its way already */
			line_fill_add(line, job);
	}
	if (line->missed)
		line_fill_failed(line);
	else
		line_fill_end(line, fill->end, fill->n_rows > 0 ? &last : NULL);
	free(fill->rows);
	fill->rows = NULL;
	while ((job = line_fill_leftover(line)) != NULL)
		dispatch_stand_in_line(dispatch, job);
	queues_relist(&dispatch->queues, line);
	dispatch_want_fill(dispatch, line);
	queues_tidy_line(&dispatch->queues, line);
}

/* ---- a batch that did not go through --------------------------------------------------------------------------------------- */

static void
answer_hold(struct dispatch *dispatch, struct job *job)
{
	dispatch_step(dispatch, job, FSM_E_NO_ROOM);
	TAILQ_INSERT_TAIL(&dispatch->held, job, link);
	dispatch->n_held++;
}

/* Takes a job's release out of the open batch; false when there is none. */
static bool
answer_take_release(struct store_batch *open, const struct job *job)
{
	for (size_t i = 0; i < open->n_release; i++) {
		if (open->release[i].ctx == job) {
			open->release[i] = open->release[--open->n_release];
			return true;
		}
	}
	return false;
}

static void
answer_refused_starts(struct dispatch *dispatch, struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_start; i++) {
		struct job *job = batch->start[i].ctx;

		if (job->state == FSM_PICKED) {
			dispatch_unplace(dispatch, job);
			job->attempts--;
			dispatch_step(dispatch, job, FSM_E_REFUSED);
		} else { /* it is still to be written down */
			job->recorded_in = 0;
			if (job->finish_at > 0) {
				dispatch->open->finish[job->finish_at - 1].from_ready = true;
			} else if (answer_take_release(dispatch->open, job)) {
				dispatch_add_start(dispatch, job);
				dispatch_do_later(dispatch, job, NULL);
			} else {
				dispatch_loosen(dispatch, job, true);
			}
		}
	}
}

void
dispatch_answer_refused(struct dispatch *dispatch, struct store_batch *batch)
{
	enum dispatch_answer answer = batch->verdict == STORE_FULL ? DISPATCH_STORAGE_FULL : DISPATCH_UNAVAILABLE;
	struct cancel_request *request;

	log_warning("a commit did not go through: %s", batch->reason);
	for (size_t i = 0; i < batch->n_finish; i++) {
		answer_hold(dispatch, batch->finish[i].ctx);
		if (batch->finish[i].from_ready)
			dispatch_loosen(dispatch, batch->finish[i].ctx, true);
	}
	for (size_t i = 0; i < batch->n_release; i++)
		answer_hold(dispatch, batch->release[i].ctx);
	for (size_t i = 0; i < batch->n_put; i++) {
		struct store_put *put = &batch->put[i];

		if (put->items.len > 0) {
			answer_map(dispatch, put, answer, batch->reason);
		} else {
			answer_added(put->ctx);
			answer_refuse_job(dispatch, put->ctx, answer, 0, 0, batch->reason);
		}
	}
	for (size_t i = 0; i < batch->n_cancel; i++) {
		request = batch->cancel[i].ctx;
		answer_cancelling_over(dispatch, request->id);
		request->cb(request->id, STORE_FENCED, batch->verdict, batch->reason, request->ctx);
		dispatch_cancel_request_free(request);
	}
	answer_refused_starts(dispatch, batch);
	for (size_t i = 0; i < batch->n_fill; i++)
		line_fill_failed(batch->fill[i].ctx);
	for (size_t i = 0; i < batch->n_webhook; i++)
		dispatch->callbacks.webhook_settled(batch->webhook[i].ctx, false, dispatch->callbacks.arg);
	for (size_t i = 0; i < batch->n_setting; i++)
		dispatch_answer_setting(dispatch, &batch->setting[i], batch->verdict, batch->reason);
	dispatch->no_room = true;
}

void
dispatch_answer_unknown(struct dispatch *dispatch, struct store_batch *batch)
{
	struct map_submission *map;
	struct job *job;

	log_error("it is not known whether a commit went through: %s; the daemon ends", batch->reason);
	dispatch->failed = true;
	for (size_t i = 0; i < batch->n_put; i++) {
		if (batch->put[i].items.len > 0) {
			map = batch->put[i].ctx;
			map->cb(DISPATCH_UNKNOWN, 0, 0, batch->reason, map->ctx);
			spec_unref(map->spec);
			free(map);
		} else {
			job = batch->put[i].ctx;
			job->submit_cb(DISPATCH_UNKNOWN, 0, 0, batch->reason, job->submit_ctx);
			job->submit_cb = NULL;
		}
	}
	for (size_t i = 0; i < batch->n_cancel; i++) {
		struct cancel_request *request = batch->cancel[i].ctx;

		request->cb(request->id, STORE_FENCED, batch->verdict, batch->reason, request->ctx);
		dispatch_cancel_request_free(request);
	}
	for (size_t i = 0; i < batch->n_setting; i++)
		dispatch_answer_setting(dispatch, &batch->setting[i], batch->verdict, batch->reason);
	batch->n_put = batch->n_cancel = batch->n_setting = 0;
	dispatch->callbacks.fatal(EXIT_STORE, dispatch->callbacks.arg);
}

/* ---- all of a batch ------------------------------------------------------------------------------------------------------ */

void
dispatch_answer_committed(struct dispatch *dispatch, struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_finish; i++)
		answer_finish(dispatch, &batch->finish[i]);
	for (size_t i = 0; i < batch->n_release; i++)
		answer_release(dispatch, &batch->release[i]);
	for (size_t i = 0; i < batch->n_put; i++) {
		if (batch->put[i].items.len > 0)
			answer_map(dispatch, &batch->put[i], answer_put_answer(&batch->put[i]), batch->put[i].unknown);
		else
			answer_put_one(dispatch, &batch->put[i]);
	}
	for (size_t i = 0; i < batch->n_cancel; i++)
		answer_cancel(dispatch, &batch->cancel[i]);
	for (size_t i = 0; i < batch->n_gone; i++)
		answer_gone(dispatch, &batch->gone[i]);
	for (size_t i = 0; i < batch->n_start; i++)
		answer_start(dispatch, &batch->start[i]);
	answer_promote(dispatch, &batch->promote);
	for (size_t i = 0; i < batch->n_fill; i++)
		answer_fill(dispatch, &batch->fill[i]);
	for (size_t i = 0; i < batch->n_webhook; i++)
		dispatch->callbacks.webhook_settled(batch->webhook[i].ctx, true, dispatch->callbacks.arg);
	if (batch->new_webhooks > 0)
		dispatch->callbacks.webhooks(dispatch->callbacks.arg);
	for (size_t i = 0; i < batch->n_setting; i++)
		dispatch_answer_setting(dispatch, &batch->setting[i], STORE_COMMITTED, NULL);
	dispatch->next_due_ms = batch->next_due_ms;
}

