/*
 * workers_slot: one worker's life: its birth, the jobs that it has, its end.
 */
#include "daemon/workers_private.h"

#include <errno.h>
#include <string.h>

#include "daemon/log.h"

/* ---- its jobs --------------------------------------------------------------------------------------------------------- */

void
slot_add_job(struct slot *slot, struct job *job)
{
	if (slot->n == 0)
		slot->head_since_ms = loop_mono_ms();
	TAILQ_INSERT_TAIL(&slot->jobs, job, sent_link);
	slot->n++;
	job->slot = slot;
	job->number = slot->sent++;
	job->worker = slot->pid;
}

void
slot_remove_job(struct slot *slot, struct job *job)
{
	bool was_first = job == TAILQ_FIRST(&slot->jobs);

	TAILQ_REMOVE(&slot->jobs, job, sent_link);
	slot->n--;
	job->slot = NULL;
	if (slot->n == 0) {
		slot->idle_since_ms = loop_mono_ms();
		slot->expected_us = 0;
	} else if (was_first) {
		slot->head_since_ms = loop_mono_ms();
	}
}

uint32_t
slot_take_back(struct slot *slot)
{
	uint32_t begun = slots_withdraw(slot->workers->shared, slot->index, slot->sent);
	struct job *job, *next;

	for (job = TAILQ_FIRST(&slot->jobs); job != NULL; job = next) {
		next = TAILQ_NEXT(job, sent_link);
		if ((int32_t)(job->number - begun) < 0)
			continue;
		slot_remove_job(slot, job);
		slot->workers->callbacks.withdrawn(job, slot->workers->callbacks.arg);
	}
	slot->expected_us = WORKERS_AHEAD_US;
	return begun;
}

/* ---- its end --------------------------------------------------------------------------------------------------------------- */

/* What the job took with which the worker died: of a command the tree that it left, else what stands in no result. */
static struct usage
slot_rest_usage(const struct slot *slot, const struct job *job)
{
	struct usage usage = slot->end.used;

	if (job->task->kind == TASK_COMMAND)
		return slot->end.left;
	usage.user_us = usage.user_us > slot->user_us ? usage.user_us - slot->user_us : 0;
	usage.system_us = usage.system_us > slot->system_us ? usage.system_us - slot->system_us : 0;
	return usage;
}

void
slot_check_finished(struct slot *slot)
{
	struct workers *workers = slot->workers;
	uint32_t begun;
	struct job *job;

	if (!slot->gone || !slot->channel_ended)
		return;
	if (slot->n > 0 || slot->end.status != 0)
		log_info("worker pid=%d slot=%u ended, status %d, %u jobs unfinished", (int)slot->pid, slot->index, slot->end.status, slot->n);
	begun = slots_begun(workers->shared, slot->index);
	slot->state = SLOT_EMPTY;
	while ((job = TAILQ_FIRST(&slot->jobs)) != NULL) {
		bool had_begun = (int32_t)(job->number - begun) < 0;
		struct usage usage = slot_rest_usage(slot, job);

		slot_remove_job(slot, job);
		workers->callbacks.died(job, had_begun, slot->end.status, &usage, workers->callbacks.arg);
	}
	if (slot->pool == POOL_CPU && slot->greeted)
		slot_spawn(slot);
	else
		workers_arm_tidy(workers);
	workers->callbacks.room(workers->callbacks.arg);
}

void
slot_leave(struct slot *slot, bool kill)
{
	if (slot->state == SLOT_EMPTY || slot->gone)
		return;
	slot->state = SLOT_LEAVING;
	if (kill)
		spawnlink_kill(slot->workers->link, slot->index);
}

void
slot_end_channel(struct slot *slot)
{
	channel_free(slot->channel);
	slot->channel = NULL;
	slot->channel_ended = true;
}

static void
workers_channel_closed(const char *why, void *arg)
{
	struct slot *slot = arg;

	if (!slot->gone && slot->state == SLOT_LIVE)
		log_info("worker pid=%d slot=%u: channel closed: %s", (int)slot->pid, slot->index, why);
	slot_end_channel(slot);
	slot_leave(slot, true);
	slot_check_finished(slot);
}

/* ---- its birth ----------------------------------------------------------------------------------------------------------- */

void
slot_birth_failed(struct slot *slot, const char *what, int error)
{
	struct workers *workers = slot->workers;

	if (!workers->birth_failed)
		log_warning("no worker for slot %u: %s%s; trying again in a second", slot->index, what, strerror(error));
	workers->birth_failed = true;
	workers_arm_tidy(workers);
}

void
slot_spawn(struct slot *slot)
{
	struct workers *workers = slot->workers;
	const struct channel_callbacks callbacks = {workers_frame, workers_channel_closed, slot};
	int fd;

	slots_reset(workers->shared, slot->index);
	slot->greeted = slot->channel_ended = slot->gone = false;
	slot->pid = 0;
	slot->sent = slot->done = 0;
	slot->user_us = slot->system_us = 0;
	slot->expected_us = 0;
	slot->idle_since_ms = loop_mono_ms();
	fd = spawnlink_spawn(workers->link, slot->index);
	if (fd < 0) {
		slot_birth_failed(slot, "", errno);
		return;
	}
	slot->channel = channel_new(workers->loop, fd, &callbacks);
	slot->state = SLOT_LIVE;
}
