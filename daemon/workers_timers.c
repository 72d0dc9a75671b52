/*
 * workers_timers: what is looked at now and then: a worker whose first job takes long, those that are idle, births that failed.
 */
#include "daemon/workers_private.h"

#include <event2/event.h>
#include <stdlib.h>

#define STALL_MS 10   /* a first job older than this gives back those behind it */
#define TIDY_MS 1000  /* how often idle workers of the io lane are looked at, and failed births tried again */
#define IDLE_MS 10000 /* such a worker leaves after this */

static void
workers_arm(struct event *event, bool *on, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (*on)
		return;
	*on = true;
	event_add(event, &tv);
}

void
workers_arm_stall(struct workers *workers)
{
	workers_arm(workers->stall, &workers->stall_on, STALL_MS);
}

void
workers_arm_tidy(struct workers *workers)
{
	workers_arm(workers->tidy, &workers->tidy_on, TIDY_MS);
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
		workers_arm_stall(workers);
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
		workers_arm_tidy(workers);
}

void
workers_timers_init(struct workers *workers)
{
	workers->stall = event_new(loop_base(workers->loop), -1, 0, workers_stall_cb, workers);
	workers->tidy = event_new(loop_base(workers->loop), -1, 0, workers_tidy_cb, workers);
	if (workers->stall == NULL || workers->tidy == NULL)
		abort();
}

void
workers_timers_done(struct workers *workers)
{
	event_free(workers->stall);
	event_free(workers->tidy);
}
