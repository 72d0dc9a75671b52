/*
 * workers_frames: what a worker says, and what the spawner says of it.
 */
#include "daemon/workers_private.h"

#include "daemon/log.h"

static struct job *
slot_find(const struct slot *slot, uint64_t id, uint64_t token)
{
	struct job *job;

	TAILQ_FOREACH(job, &slot->jobs, sent_link) {
		if ((uint64_t)job->spec->id == id && job->token == token)
			return job;
	}
	return NULL;
}

static void
workers_learn(struct workers *workers, const struct job *job, const struct outcome *outcome)
{
	int64_t *us = workers_estimate(workers, job->task);

	if (outcome->usage.known)
		*us += (outcome->usage.user_us + outcome->usage.system_us + 1 - *us) / 4;
}

/* A worker that does not speak our language is ended and not listened to any more; its jobs are told by `died`. */
static void
slot_fault(struct slot *slot, const char *what)
{
	log_warning("worker pid=%d slot=%u: %s; it is ended", (int)slot->pid, slot->index, what);
	slot_leave(slot, true);
	slot_end_channel(slot);
	slot_check_finished(slot);
}

static void
slot_recycle_if_due(struct slot *slot)
{
	struct workers *workers = slot->workers;

	if (slot->pool != POOL_CPU || workers->max_tasks == 0 || slot->done < workers->max_tasks || slot->n > 0 ||
	    slot->state != SLOT_LIVE)
		return;
	slot_leave(slot, false);
	slot_end_channel(slot); /* it exits at the end of its channel */
}

static void
slot_read_result(struct slot *slot, const struct frame_header *header, struct span payload)
{
	struct workers *workers = slot->workers;
	struct job *job = slot_find(slot, header->job, header->token);
	struct outcome outcome = {0};

	if (job == NULL || !workers_has_begun(job)) {
		slot_fault(slot, "a result for a job that it does not run");
		return;
	}
	if (frame_read_result(payload, &outcome) < 0) {
		slot_fault(slot, "a result that cannot be read");
		return;
	}
	workers_learn(workers, job, &outcome);
	slot->done++;
	slot->user_us += outcome.usage.user_us;
	slot->system_us += outcome.usage.system_us;
	slot->expected_us -= *workers_estimate(workers, job->task);
	if (slot->expected_us < 0)
		slot->expected_us = 0;
	slot_remove_job(slot, job);
	slot_recycle_if_due(slot);
	workers->callbacks.outcome(job, &outcome, workers->callbacks.arg);
	if (slot->n == 0)
		workers->callbacks.room(workers->callbacks.arg);
}

static void
slot_read_output(struct slot *slot, const struct frame_header *header, struct span payload)
{
	struct job *job = slot_find(slot, header->job, header->token);
	int64_t out, err;

	if (job == NULL || frame_read_output(payload, &out, &err) < 0) {
		slot_fault(slot, "news of output that cannot be read");
		return;
	}
	slot->workers->callbacks.output(job, out, err, slot->workers->callbacks.arg);
}

static void
slot_read_progress(struct slot *slot, const struct frame_header *header, struct span payload)
{
	struct job *job = slot_find(slot, header->job, header->token);
	struct progress progress;

	if (job == NULL || frame_read_progress(payload, &progress) < 0) {
		slot_fault(slot, "news of progress that cannot be read");
		return;
	}
	slot->workers->callbacks.progress(job, &progress, slot->workers->callbacks.arg);
}

void
workers_frame(const struct frame_header *header, struct span payload, void *arg)
{
	struct slot *slot = arg;

	if (slot->channel == NULL)
		return;
	switch ((enum frame_type)header->type) {
	case FRAME_HELLO:
		slot->greeted = true;
		slot->workers->callbacks.room(slot->workers->callbacks.arg);
		return;
	case FRAME_RESULT:
		slot_read_result(slot, header, payload);
		return;
	case FRAME_OUTPUT:
		slot_read_output(slot, header, payload);
		return;
	case FRAME_PROGRESS:
		slot_read_progress(slot, header, payload);
		return;
	case FRAME_STARTED:
		return;
	case FRAME_JOB:
	case FRAME_CANCEL:
		break;
	}
	slot_fault(slot, "a frame of a type that workers do not send");
}

/* ---- the spawner ----------------------------------------------------------------------------------------------------------- */

void
workers_note(const struct spawner_note *note, void *arg)
{
	struct workers *workers = arg;
	struct slot *slot;
	struct job *job;

	if (note->slot >= workers->n_slots) {
		log_error("the spawner speaks of slot %u, which does not exist", note->slot);
		workers->callbacks.spawner_died(workers->callbacks.arg);
		return;
	}
	slot = &workers->slots[note->slot];
	switch ((enum spawner_news)note->news) {
	case SPAWNER_SPAWNED:
		slot->pid = note->pid;
		TAILQ_FOREACH(job, &slot->jobs, sent_link)
			job->worker = note->pid;
		return;
	case SPAWNER_FAILED:
		slot_birth_failed(slot, "fork: ", note->status);
		if (slot->channel != NULL)
			slot_end_channel(slot);
		slot->end = (struct spawner_note){0};
		slot->gone = true;
		slot_check_finished(slot);
		return;
	case SPAWNER_GONE:
		slot->state = SLOT_LEAVING;
		slot->end = *note;
		slot->gone = true;
		if (slot->channel != NULL)
			channel_finish(slot->channel); /* others may hold its other end: no end of file need come */
		else
			slot_check_finished(slot);
		return;
	}
	log_error("the spawner says something unknown (%u)", note->news);
}
