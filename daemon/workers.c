/*
 * workers: see workers.h.
 */
#include "daemon/workers_private.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/mem.h"
#include "daemon/runas.h"

#define AHEAD_JOBS 128  /* most jobs sent to one worker */
#define AHEAD_RUN 16	/* neighbours that go to one worker: together they come back, and together they are written */
#define UNKNOWN_US 1500 /* a task that has not been seen yet */

/* ---- what a task takes ---------------------------------------------------------------------------------------------------- */

int64_t *
workers_estimate(struct workers *workers, const struct task *task)
{
	size_t at = ((uintptr_t)task >> 4) % WORKERS_ESTIMATES;

	if (workers->estimates[at].task != task) {
		workers->estimates[at].task = task;
		workers->estimates[at].us = UNKNOWN_US;
	}
	return &workers->estimates[at].us;
}

/* ---- the calls ------------------------------------------------------------------------------------------------------------- */

static void
workers_link_died(void *arg)
{
	struct workers *workers = arg;

	workers->callbacks.spawner_died(workers->callbacks.arg);
}

struct workers *
workers_new(struct loop *loop, const struct workers_config *config, const struct workers_callbacks *callbacks)
{
	struct workers *workers = mem_new(sizeof(*workers));
	const struct spawnlink_callbacks link_callbacks = {workers_note, workers_link_died, workers};

	workers->loop = loop;
	workers->callbacks = *callbacks;
	workers->shared = config->shared;
	workers->max_tasks = config->max_tasks;
	workers->run_as_owner = config->run_as_owner;
	workers->n_slots = config->cpu + config->processes;
	workers->slots = mem_new_array(workers->n_slots, sizeof(*workers->slots));
	for (unsigned i = 0; i < workers->n_slots; i++) {
		struct slot *slot = &workers->slots[i];

		slot->workers = workers;
		slot->index = i;
		slot->pool = i < config->cpu ? POOL_CPU : POOL_PROCESSES;
		TAILQ_INIT(&slot->jobs);
	}
	workers_timers_init(workers);
	workers->link = spawnlink_new(loop, config->spawner_fd, &link_callbacks);
	return workers;
}

void
workers_start(struct workers *workers)
{
	for (unsigned i = 0; i < workers->n_slots; i++) {
		if (workers->slots[i].pool == POOL_CPU)
			slot_spawn(&workers->slots[i]);
	}
}

void
workers_free(struct workers *workers)
{
	if (workers == NULL)
		return;
	spawnlink_free(workers->link);
	for (unsigned i = 0; i < workers->n_slots; i++) {
		if (workers->slots[i].channel != NULL)
			channel_free(workers->slots[i].channel);
	}
	workers_timers_done(workers);
	free(workers->slots);
	free(workers);
}

static bool
slot_may_go_ahead(const struct slot *slot, int64_t us)
{
	const struct job *first = TAILQ_FIRST(&slot->jobs);

	return first != NULL && !slot->exclusive && first->spec->idempotent && first->cause == CAUSE_NONE && slot->greeted && slot->n + slot->reserved < AHEAD_JOBS &&
	    slot->expected_us + us <= WORKERS_AHEAD_US;
}

static bool
slot_may_be_born(const struct slot *slot)
{
	return slot->pool == POOL_PROCESSES && slot->state == SLOT_EMPTY && slot->reserved == 0 && !slot->workers->birth_failed;
}

static bool
slot_is_idle(const struct slot *slot)
{
	return slot->state == SLOT_LIVE && slot->n == 0 && slot->reserved == 0;
}

bool
workers_have_place(const struct workers *workers, enum pool_kind pool)
{
	for (unsigned i = 0; i < workers->n_slots; i++) {
		const struct slot *slot = &workers->slots[i];

		if (slot->pool == pool && (slot_is_idle(slot) || slot_may_be_born(slot)))
			return true;
	}
	return false;
}

struct slot *
workers_place(struct workers *workers, struct job *job)
{
	bool ahead = job->spec->idempotent && job->spec->pool == POOL_CPU && job->spec->timeout_ms == SPEC_NONE &&
	    job->attempts + 1 < job->spec->max_attempts;
	int64_t us = *workers_estimate(workers, job->task);
	struct slot *best = NULL, *empty = NULL;

	for (unsigned i = 0; i < workers->n_slots; i++) {
		struct slot *slot = &workers->slots[i];

		if (slot->pool != job->spec->pool)
			continue;
		if (slot_is_idle(slot))
			return slot;
		if (empty == NULL && slot_may_be_born(slot))
			empty = slot;
		if (ahead && slot->state == SLOT_LIVE && slot_may_go_ahead(slot, us) &&
		    (best == NULL || slot->n / AHEAD_RUN < best->n / AHEAD_RUN))
			best = slot;
	}
	if (best != NULL || empty == NULL)
		return best;
	slot_spawn(empty);
	return empty->state == SLOT_LIVE ? empty : NULL;
}

void
workers_reserve(struct slot *slot, struct job *job)
{
	job->slot = slot;
	slot->reserved++;
	slot->exclusive = slot->exclusive || !job->spec->idempotent;
	slot->expected_us += *workers_estimate(slot->workers, job->task);
}

void
workers_unreserve(struct job *job)
{
	struct slot *slot = job->slot;

	assert(slot->reserved > 0);
	job->slot = NULL;
	if (--slot->reserved == 0)
		slot->exclusive = false;
}

/* As whom its worker is to run it. */
static int64_t
workers_as(const struct workers *workers, const struct job *job)
{
	if (!workers->run_as_owner || job->task->kind != TASK_COMMAND)
		return FRAME_AS_OURSELVES;
	return runas_owner(job->spec->owner);
}

bool
workers_send(struct job *job)
{
	struct slot *slot = job->slot;
	struct workers *workers = slot->workers;

	workers_unreserve(job);
	if (slot->state != SLOT_LIVE)
		return false;
	slot_add_job(slot, job);
	frame_put_job(channel_out(slot->channel), (uint64_t)job->spec->id, job->token, job->spec->task, (unsigned)job->attempts,
	    &job->spec->limits, workers_as(workers, job), job->spec->args);
	if (slot->n > 1)
		workers_arm_stall(workers);
	if (slot->pool == POOL_PROCESSES)
		workers_arm_tidy(workers);
	return true;
}

void
workers_flush(struct workers *workers)
{
	for (unsigned i = 0; i < workers->n_slots; i++) {
		if (workers->slots[i].channel != NULL)
			channel_flush(workers->slots[i].channel);
	}
}

void
workers_cancel(struct job *job, int64_t grace_ms)
{
	struct slot *slot = job->slot;

	if (slot->channel != NULL)
		frame_put_cancel(channel_out(slot->channel), (uint64_t)job->spec->id, job->token, grace_ms);
}

void
workers_kill(struct job *job)
{
	struct slot *slot = job->slot;
	uint32_t number = job->number;

	/* Taken back it may be gone; and it may have begun in the meantime. */
	if (workers_has_begun(job) || (int32_t)(number - slot_take_back(slot)) < 0)
		slot_leave(slot, true);
}

static bool
slot_has_queue(const struct slot *slot, const struct queue *queue)
{
	const struct job *job;

	TAILQ_FOREACH(job, &slot->jobs, sent_link) {
		if (job->queue == queue)
			return true;
	}
	return false;
}

void
workers_take_back(struct workers *workers, const struct queue *queue)
{
	for (unsigned i = 0; i < workers->n_slots; i++) {
		if (slot_has_queue(&workers->slots[i], queue))
			slot_take_back(&workers->slots[i]);
	}
}

unsigned
workers_slots(const struct workers *workers)
{
	return workers->n_slots;
}

const struct slot *
workers_slot(const struct workers *workers, unsigned index)
{
	return &workers->slots[index];
}

bool
workers_has_begun(const struct job *job)
{
	return (int32_t)(job->number - slots_begun(job->slot->workers->shared, job->slot->index)) < 0;
}
