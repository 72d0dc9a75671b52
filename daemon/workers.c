/*
 * workers: see workers.h.
 */
#include "daemon/workers.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/mem.h"
#include "daemon/runas.h"

#define AHEAD_JOBS 128  /* most jobs sent to one worker */
#define AHEAD_US 2000   /* most work sent to one worker */
#define UNKNOWN_US 1500 /* a task that has not been seen yet */
#define STALL_MS 10     /* a first job older than this gives back those behind it */
#define TIDY_MS 1000    /* how often idle workers of the io lane are looked at, and failed births tried again */
#define IDLE_MS 10000   /* such a worker leaves after this */
#define ESTIMATES 64

struct workers {
	struct loop *loop;
	struct workers_callbacks callbacks;
	struct spawnlink *link;
	struct slots *shared;
	struct slot *slots;
	unsigned n_slots;
	uint32_t max_tasks;
	bool run_as_owner;
	bool birth_failed; /* since the last tidying */
	struct event *stall;
	struct event *tidy;
	bool stall_on;
	bool tidy_on;
	struct {
		const struct task *task;
		int64_t us;
	} estimates[ESTIMATES]; /* mean CPU time of a task, weighted to the latest */
};

static void
workers_arm(struct event *event, bool *on, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (*on)
		return;
	*on = true;
	event_add(event, &tv);
}

/* ---- what a task takes ---------------------------------------------------------------------------------------------------- */

static int64_t *
workers_estimate(struct workers *workers, const struct task *task)
{
	size_t at = ((uintptr_t)task >> 4) % ESTIMATES;

	if (workers->estimates[at].task != task) {
		workers->estimates[at].task = task;
		workers->estimates[at].us = UNKNOWN_US;
	}
	return &workers->estimates[at].us;
}

static void
workers_learn(struct workers *workers, const struct job *job, const struct outcome *outcome)
{
	int64_t *us = workers_estimate(workers, job->task);

	if (outcome->usage.known)
		*us += (outcome->usage.user_us + outcome->usage.system_us + 1 - *us) / 4;
}

/* ---- a slot's jobs --------------------------------------------------------------------------------------------------------- */

static void
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

static void
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

/* ---- birth and death ------------------------------------------------------------------------------------------------------- */

static void slot_spawn(struct slot *slot);

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

/* Nothing more can come from this process: hand back what it had, make the slot free. */
static void
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
		workers_arm(workers->tidy, &workers->tidy_on, TIDY_MS);
	workers->callbacks.room(workers->callbacks.arg);
}

static void
slot_leave(struct slot *slot, bool kill)
{
	if (slot->state == SLOT_EMPTY || slot->gone)
		return;
	slot->state = SLOT_LEAVING;
	if (kill)
		spawnlink_kill(slot->workers->link, slot->index);
}

static void
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

/* ---- frames ---------------------------------------------------------------------------------------------------------------- */

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

static void
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

/* A worker could not be born. What one lacks the next will lack as well, so none is tried, and no more said, for a while. */
static void
workers_birth_failed(struct workers *workers, const struct slot *slot, const char *what, int error)
{
	if (!workers->birth_failed)
		log_warning("no worker for slot %u: %s%s; trying again in a second", slot->index, what, strerror(error));
	workers->birth_failed = true;
	workers_arm(workers->tidy, &workers->tidy_on, TIDY_MS);
}

static void
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
		workers_birth_failed(workers, slot, "", errno);
		return;
	}
	slot->channel = channel_new(workers->loop, fd, &callbacks);
	slot->state = SLOT_LIVE;
}

static void
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
		workers_birth_failed(workers, slot, "fork: ", note->status);
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

static void
workers_link_died(void *arg)
{
	struct workers *workers = arg;

	workers->callbacks.spawner_died(workers->callbacks.arg);
}

/* ---- timers ---------------------------------------------------------------------------------------------------------------- */

static void
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
	slot->expected_us = AHEAD_US;
}

static void
workers_stall_cb(evutil_socket_t fd, short events, void *arg)
{
	struct workers *workers = arg;
	int64_t now_ms = loop_mono_ms();
	bool again = false;

	(void)fd;
	(void)events;
	workers->stall_on = false;
	for (unsigned i = 0; i < workers->n_slots; i++) {
		struct slot *slot = &workers->slots[i];

		if (slot->n > 1 && now_ms - slot->head_since_ms >= STALL_MS)
			slot_take_back(slot);
		again = again || slot->n > 1;
	}
	if (again)
		workers_arm(workers->stall, &workers->stall_on, STALL_MS);
}

static void
workers_tidy_cb(evutil_socket_t fd, short events, void *arg)
{
	struct workers *workers = arg;
	int64_t now_ms = loop_mono_ms();
	bool again = false;

	(void)fd;
	(void)events;
	workers->tidy_on = false;
	workers->birth_failed = false;
	for (unsigned i = 0; i < workers->n_slots; i++) {
		struct slot *slot = &workers->slots[i];

		if (slot->pool == POOL_CPU && slot->state == SLOT_EMPTY) {
			slot_spawn(slot);
		} else if (slot->pool == POOL_PROCESSES && slot->state == SLOT_LIVE && slot->n == 0) {
			if (slot->reserved == 0 && now_ms - slot->idle_since_ms >= IDLE_MS) {
				slot_leave(slot, false);
				slot_end_channel(slot);
			} else {
				again = true;
			}
		}
	}
	if (again)
		workers_arm(workers->tidy, &workers->tidy_on, TIDY_MS);
}

/* ---- the public calls ------------------------------------------------------------------------------------------------------ */

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
	workers->stall = event_new(loop_base(loop), -1, 0, workers_stall_cb, workers);
	workers->tidy = event_new(loop_base(loop), -1, 0, workers_tidy_cb, workers);
	if (workers->stall == NULL || workers->tidy == NULL)
		abort();
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
	event_free(workers->stall);
	event_free(workers->tidy);
	free(workers->slots);
	free(workers);
}

static bool
slot_may_go_ahead(const struct slot *slot, int64_t us)
{
	const struct job *first = TAILQ_FIRST(&slot->jobs);

	return first != NULL && !slot->exclusive && first->spec->idempotent && first->cause == CAUSE_NONE && slot->greeted && slot->n + slot->reserved < AHEAD_JOBS &&
	    slot->expected_us + us <= AHEAD_US;
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
		if (ahead && slot->state == SLOT_LIVE && slot_may_go_ahead(slot, us) && (best == NULL || slot->n < best->n))
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
		workers_arm(workers->stall, &workers->stall_on, STALL_MS);
	if (slot->pool == POOL_PROCESSES)
		workers_arm(workers->tidy, &workers->tidy_on, TIDY_MS);
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

	if (!workers_has_begun(job))
		slot_take_back(slot);
	if (job->slot == slot)
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
