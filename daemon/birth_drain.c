/*
 * birth: see birth.h. This file: signals, and the way to the end: nothing more is taken, what runs is waited for, who asked is
 * told, and the loop ends.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

#include "daemon/birth_private.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/notify.h"
#include "daemon/tokens.h"

void
birth_tell_drainers(struct birth *birth, bool idle)
{
	struct birth_drainer *drainer;

	while ((drainer = birth->drainers) != NULL) {
		birth->drainers = drainer->next;
		drainer->drained(idle, drainer->arg);
		free(drainer);
	}
}

/* The end of the drain: whoever asked for it is told, and the loop ends behind this turn. */
static void
birth_drained(struct birth *birth, bool idle)
{
	birth_tell_drainers(birth, idle);
	loop_stop(birth->loop);
}

static void
birth_idle(void *arg)
{
	birth_drained(arg, true);
}

static void
birth_stop_cb(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	log_notice("the time to drain is over: what still runs is left to the next start");
	birth_drained(arg, false);
}

/* Those who are connected, and who comes now, may look, wait and cancel; nothing is taken and nothing is started. A second one counts by its wait. */
static void
birth_drain(struct birth *birth, const char *who, int64_t wait_ms)
{
	struct timeval tv = {.tv_sec = wait_ms / 1000, .tv_usec = (wait_ms % 1000) * 1000};

	if (wait_ms == SPEC_NONE)
		log_notice("%s: taking nothing more, waiting for what runs", who);
	else
		log_notice("%s: taking nothing more, waiting up to %g s for what runs", who, (double)wait_ms / 1000);
	if (wait_ms != SPEC_NONE)
		event_add(birth->drain_timer, &tv);
	if (birth->ending)
		return;
	birth->ending = true;
	notify_stopping();
	dispatch_drain(birth->server.dispatch, birth_idle, birth);
}

static void
birth_signal_cb(evutil_socket_t sig, short events, void *arg)
{
	struct birth *birth = arg;

	(void)events;
	if (birth->signalled) {
		loop_stop(birth->loop); /* asked twice */
		return;
	}
	birth->signalled = true;
	birth_drain(birth, sig == SIGTERM ? "SIGTERM" : "SIGINT", birth->config.drain_ms);
}

void
birth_drain_asked(struct server *server, int64_t wait_ms, void (*drained)(bool idle, void *arg), void *arg)
{
	struct birth *birth = server->drain_arg;
	struct birth_drainer *drainer = mem_new(sizeof(*drainer));

	*drainer = (struct birth_drainer){drained, arg, birth->drainers};
	birth->drainers = drainer;
	birth_drain(birth, "drain", wait_ms);
}

/* SIGHUP: the one file that may change while the daemon lives. */
static void
birth_reload_cb(evutil_socket_t sig, short events, void *arg)
{
	struct birth *birth = arg;
	char *reason = NULL;
	unsigned closed;

	(void)sig;
	(void)events;
	if (tokens_reload(birth->tokens, &reason) < 0) {
		log_error("SIGHUP: the tokens stay as they were: %s", reason);
		free(reason);
		return;
	}
	closed = sessions_close_revoked(birth->sessions);
	log_notice("SIGHUP: %zu tokens; %u connections closed whose token is gone or has another role", tokens_count(birth->tokens), closed);
}

void
birth_fatal(int status, void *arg)
{
	struct birth *birth = arg;

	birth->status = status;
	loop_stop(birth->loop);
}

static void
birth_watchdog_cb(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	notify_alive();
}

void
birth_events(struct birth *birth)
{
	static const int signals[] = {SIGTERM, SIGINT};
	struct event_base *base = loop_base(birth->loop);
	int64_t ms = notify_watchdog_ms();
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	for (size_t i = 0; i < 2; i++) {
		birth->signals[i] = evsignal_new(base, signals[i], birth_signal_cb, birth);
		event_add(birth->signals[i], NULL);
	}
	birth->signals[2] = evsignal_new(base, SIGHUP, birth_reload_cb, birth);
	event_add(birth->signals[2], NULL);
	birth->drain_timer = event_new(base, -1, 0, birth_stop_cb, birth);
	birth->watchdog = event_new(base, -1, EV_PERSIST, birth_watchdog_cb, birth);
	if (ms > 0)
		event_add(birth->watchdog, &tv);
}
