/*
 * retention: see retention.h. If the daemon dies between the two steps, the job is there without its files until the next look.
 */
#include "daemon/retention.h"

#include <event2/event.h>
#include <stdlib.h>

#include "daemon/dispatch.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/outfile.h"

#define RETENTION_AT_ONCE 512
#define RETENTION_SOON_MS 250          /* between two steps */
#define RETENTION_FAR_MS (3600 * 1000) /* the wall clock may be set: look again after this */

struct retention {
	struct loop *loop;
	struct dispatch *dispatch;
	struct outfiles *outfiles;
	struct event *timer;
	int64_t at_ms; /* when it looks next, SPEC_NONE: nothing has ended */
	bool busy;
	struct store_expired expired;
};

static void
retention_arm(struct retention *retention, int64_t at_ms)
{
	int64_t ms = at_ms - loop_wall_ms();
	struct timeval tv;

	ms = ms < RETENTION_SOON_MS ? RETENTION_SOON_MS : ms > RETENTION_FAR_MS ? RETENTION_FAR_MS : ms;
	tv = (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	retention->at_ms = at_ms;
	event_add(retention->timer, &tv);
}

void
retention_note(struct retention *retention, int64_t until_ms)
{
	if (!retention->busy && (retention->at_ms == SPEC_NONE || until_ms < retention->at_ms))
		retention_arm(retention, until_ms);
}

/* Looks again at at_ms (SPEC_NONE: when a job has ended). */
static void
retention_rest(struct retention *retention, int64_t at_ms)
{
	struct store_expired *expired = &retention->expired;

	free(expired->ids);
	free(expired->has_output);
	free(expired->spared);
	expired->ids = expired->spared = NULL;
	expired->has_output = NULL;
	retention->busy = false;
	retention->at_ms = SPEC_NONE;
	if (at_ms != SPEC_NONE)
		retention_arm(retention, at_ms);
}

/* The files are gone: now the rows. */
static void
retention_files_gone(void *arg)
{
	struct retention *retention = arg;

	dispatch_forget(retention->dispatch, retention->expired.ids, retention->expired.n);
	retention_rest(retention, loop_wall_ms());
}

static void
retention_found(struct store_expired *expired, void *arg)
{
	struct retention *retention = arg;

	if (expired->error == 0 && expired->n_spared > 0)
		dispatch_forget(retention->dispatch, expired->spared, expired->n_spared); /* which puts them off */
	if (expired->error == 0 && expired->n > 0)
		outfiles_delete(retention->outfiles, expired->ids, expired->n, retention_files_gone, retention);
	else
		retention_rest(retention, expired->error == 0 ? expired->next_ms : loop_wall_ms() + RETENTION_FAR_MS);
}

static void
retention_look_cb(evutil_socket_t fd, short events, void *arg)
{
	struct retention *retention = arg;
	struct store_expired *expired = &retention->expired;

	(void)fd;
	(void)events;
	retention->busy = true;
	*expired = (struct store_expired){.now_ms = loop_wall_ms(), .max = RETENTION_AT_ONCE, .done = retention_found, .arg = retention};
	dispatch_expired(retention->dispatch, expired);
	loop_again(retention->loop);
}

struct retention *
retention_new(struct loop *loop, struct dispatch *dispatch, struct outfiles *outfiles)
{
	struct retention *retention = mem_new(sizeof(*retention));

	retention->loop = loop;
	retention->dispatch = dispatch;
	retention->outfiles = outfiles;
	retention->timer = event_new(loop_base(loop), -1, 0, retention_look_cb, retention);
	retention_arm(retention, loop_wall_ms());
	return retention;
}

void
retention_free(struct retention *retention)
{
	if (retention == NULL)
		return;
	event_free(retention->timer);
	free(retention->expired.ids);
	free(retention->expired.has_output);
	free(retention->expired.spared);
	free(retention);
}
