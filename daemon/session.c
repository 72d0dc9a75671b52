/*
 * session: one connection: its lines are read, its replies written; see session.h.
 *
 * Reading stops while too much is on its way to the store, and while the client does not read its replies; nothing is ever dropped.
 * A line is never scanned twice.
 */
#include "daemon/session_private.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/log.h"
#include "daemon/mem.h"
#include "daemon/server.h"

#define SESSION_READ_MAX ((size_t)256 << 10)  /* bytes a read, while there are few sessions */
#define SESSION_READ_MIN ((size_t)4 << 10)
#define SESSION_READ_ALL ((size_t)32 << 20)   /* bytes of one read each of all sessions */
#define SESSION_LINES_TURN 4096               /* lines of one session a turn */
#define SESSION_OUTPUT_HIGH ((size_t)1 << 20) /* unread replies at which reading stops */
#define SESSION_OUTPUT_LOW ((size_t)256 << 10)
#define SESSION_BULK 4                        /* requests with large replies under way */
#define SESSION_STRANGER_LINE ((size_t)64 << 10) /* the longest line before hello */

void
session_is_known(struct session *session)
{
	if (session->strange)
		TAILQ_REMOVE(&session->sessions->strangers, session, stranger_link);
	session->strange = false;
}

void
session_die(struct session *session)
{
	struct sessions *sessions = session->sessions;

	if (session->dead)
		return;
	session->dead = true;
	session->peer.closed = true;
	peer_end_waits(&session->peer);
	bufferevent_disable(session->bev, EV_READ | EV_WRITE);
	session_is_known(session);
	session_uncount(session);
	hoard_set(&sessions->unfinished, &session->unfinished, 0, false, 0);
	hoard_set(&sessions->unread, &session->unread, 0, false, 0);
	TAILQ_REMOVE(&sessions->list, session, link);
	TAILQ_INSERT_TAIL(&sessions->dead, session, link);
	sessions->n--;
	sessions->server->connections = sessions->n;
}

/* Nothing more is read; it dies when the last reply is out. */
static void
session_leave(struct session *session)
{
	if (session->dead || session->peer.leaving)
		return;
	bufferevent_disable(session->bev, EV_READ);
	peer_end_waits(&session->peer);
	session->peer.leaving = true;
	session->peer.calls->idle(&session->peer);
}

static void
session_idle(struct peer *peer)
{
	struct session *session = (struct session *)peer;

	if (!session->dead && peer->refs == 1 && evbuffer_get_length(bufferevent_get_output(session->bev)) == 0)
		session_die(session);
}

static void
session_free_peer(struct peer *peer)
{
	free(peer);
}

static void
session_send(struct peer *peer, const char *bytes, size_t len)
{
	struct session *session = (struct session *)peer;

	if (!session->dead)
		bufferevent_write(session->bev, bytes, len);
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

/* It leaves unread more than its share. */
static bool
session_is_behind(const struct session *session)
{
	return evbuffer_get_length(bufferevent_get_output(session->bev)) > hoard_share(&session->sessions->unread, SESSION_OUTPUT_HIGH);
}

static bool
session_is_clogged(const struct peer *peer)
{
	const struct session *session = (const struct session *)peer;

	return session->bev != NULL && (peer->n_bulk >= SESSION_BULK || session_is_behind(session));
}

static bool
session_must_pause(const struct session *session)
{
	return dispatch_is_full(session->sessions->server->dispatch) || session_is_clogged(&session->peer);
}

/* Whose line is not read on through no fault of his own is not blamed for it. */
static void
session_set_paused(struct session *session, bool paused)
{
	session->paused = paused;
	hoard_hold(&session->sessions->unfinished, &session->unfinished, paused && !session_is_behind(session), session->sessions->beat);
}

static bool
session_check_first_byte(struct session *session, struct evbuffer *input)
{
	unsigned char byte;

	if (session->begun || evbuffer_copyout(input, &byte, 1) != 1)
		return true;
	session->begun = true;
	if (lines_may_begin(byte))
		return true;
	log_debug("a connection that begins with byte 0x%02x is closed", byte);
	session_die(session);
	return false;
}

static size_t
session_line_max(const struct session *session)
{
	size_t max = session->lines.max;

	return session->peer.role == ROLE_NONE && max > SESSION_STRANGER_LINE ? SESSION_STRANGER_LINE : max;
}

/* The length of the next line, its '\n' not counted; -1: not there yet; -2: too long. */
static ssize_t
session_next_line(struct session *session, struct evbuffer *input)
{
	size_t len = evbuffer_get_length(input), max = session_line_max(session);
	struct evbuffer_ptr start, found;

	if (session->lines.scanned >= len)
		return session->lines.scanned > max ? -2 : -1;
	evbuffer_ptr_set(input, &start, session->lines.scanned, EVBUFFER_PTR_SET);
	found = evbuffer_search(input, "\n", 1, &start);
	if (found.pos < 0) {
		session->lines.scanned = len;
		return len > max ? -2 : -1;
	}
	session->lines.scanned = 0;
	return (size_t)found.pos > max ? -2 : found.pos;
}

size_t
session_write_refusal(char reply[SESSION_REFUSAL], enum rpc_error code, const char *message, const char *more)
{
	int n = snprintf(reply, SESSION_REFUSAL,
	    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":%d,\"message\":\"%s\",\"data\":{\"code\":\"%s\"%s}}}\n", code, message,
	    rpc_error_word(code), more);

	return (size_t)n;
}

void
session_refuse_line(struct session *session, enum rpc_error code, const char *message, const char *more)
{
	char reply[SESSION_REFUSAL];

	session_send(&session->peer, reply, session_write_refusal(reply, code, message, more));
	evbuffer_drain(bufferevent_get_input(session->bev), SIZE_MAX);
	hoard_set(&session->sessions->unfinished, &session->unfinished, 0, false, 0);
	session_leave(session);
}

static void
session_too_long(struct session *session)
{
	char message[128];

	snprintf(message, sizeof(message), "a line is longer than %s (%zu bytes)",
	    session->peer.role == ROLE_NONE ? "one may be before hello" : "[limits] message", session_line_max(session));
	session_refuse_line(session, RPC_TOO_LARGE, message, "");
}

/* Who reads by drops reads nothing: HOARD_SMALL is the least that counts. */
static void
session_output_cb(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	struct session *session = arg;
	bool progress;

	if (session->dead)
		return;
	session->taken += info->n_deleted;
	progress = session->taken >= HOARD_SMALL;
	session->taken = progress ? 0 : session->taken;
	hoard_set(&session->sessions->unread, &session->unread, evbuffer_get_length(output), progress, session->sessions->beat);
	if (!session->paused)
		return;
	session_set_paused(session, true);
	if (progress) /* reading is all that it can do */
		hoard_set(&session->sessions->unfinished, &session->unfinished, session->unfinished.bytes, true, session->sessions->beat);
}

static bool
session_is_blank(const char *line, size_t len)
{
	return strspn(line, " \t\r") >= len;
}

static void
session_handle_line(struct session *session, struct evbuffer *input, size_t len)
{
	const char *line = (const char *)evbuffer_pullup(input, (ssize_t)len + 1);

	if (!session_is_blank(line, len))
		request_handle_line(&session->peer, (struct span){line, len});
	evbuffer_drain(input, len + 1);
}

/* The more there are, the less is read at once: what one turn brings in is bounded too. */
static void
session_set_read_size(struct session *session)
{
	size_t size = SESSION_READ_ALL / (session->sessions->n + 1);

	size = size < SESSION_READ_MIN ? SESSION_READ_MIN : size;
	bufferevent_set_max_single_read(session->bev, size < SESSION_READ_MAX ? size : SESSION_READ_MAX);
}

/* So much of a line is there. */
static void
session_wait_for_more(struct session *session, size_t len)
{
	session_set_read_size(session);
	hoard_set(&session->sessions->unfinished, &session->unfinished, len, true, session->sessions->beat);
	sessions_bound_unfinished(session->sessions);
}

static void
session_read(struct session *session)
{
	struct evbuffer *input = bufferevent_get_input(session->bev);
	unsigned lines = 0;
	ssize_t len;

	if (!session_check_first_byte(session, input))
		return;
	while (!session->dead && !session->peer.leaving) {
		if (session_must_pause(session)) {
			session_set_paused(session, true);
			bufferevent_disable(session->bev, EV_READ);
			return;
		}
		len = session_next_line(session, input);
		if (len == -2)
			session_too_long(session);
		if (len < 0)
			break;
		hoard_set(&session->sessions->unfinished, &session->unfinished, 0, false, 0);
		session_handle_line(session, input, (size_t)len);
		if (++lines == SESSION_LINES_TURN) {
			bufferevent_trigger(session->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
			return;
		}
	}
	if (session->eof)
		session_leave(session);
	else if (!session->dead && !session->peer.leaving)
		session_wait_for_more(session, evbuffer_get_length(input));
}

/* What stands in the buffer is read in a callback of its own. */
void
session_resume(struct session *session)
{
	if (!session->paused || session->dead || session->peer.leaving || session_must_pause(session))
		return;
	session_set_paused(session, false);
	if (!session->eof)
		bufferevent_enable(session->bev, EV_READ);
	bufferevent_trigger(session->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

static void
session_resume_peer(struct peer *peer)
{
	session_resume((struct session *)peer);
}

static void
session_read_cb(struct bufferevent *bev, void *arg)
{
	(void)bev;
	session_read(arg);
}

static void
session_write_cb(struct bufferevent *bev, void *arg)
{
	struct session *session = arg;

	if (session->peer.leaving && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		session->peer.calls->idle(&session->peer);
	else
		session_resume(session);
	peer_next_turns(&session->peer);
}

static void
session_event_cb(struct bufferevent *bev, short events, void *arg)
{
	struct session *session = arg;

	(void)bev;
	if (events & BEV_EVENT_ERROR) {
		session_die(session);
	} else if (events & BEV_EVENT_EOF) {
		session->eof = true;
		session_read(session); /* what was read is carried out */
	}
}

/* ---- birth ----------------------------------------------------------------------------------------------------------------- */

struct session *
session_new(struct sessions *sessions, struct bufferevent *bev, enum role role, const char *owner)
{
	static const struct peer_calls calls = {
	    .send = session_send,
	    .idle = session_idle,
	    .resume = session_resume_peer,
	    .is_clogged = session_is_clogged,
	    .free = session_free_peer,
	};
	struct session *session = mem_new(sizeof(*session));
	struct peer *peer = &session->peer;

	session->sessions = sessions;
	session->bev = bev;
	lines_init(&session->lines, (size_t)sessions->server->config->limit_message);
	peer->server = sessions->server;
	peer->role = role;
	snprintf(peer->owner, sizeof(peer->owner), "%s", owner);
	peer->refs = 1;
	peer->calls = &calls;
	TAILQ_INIT(&peer->waits);
	TAILQ_INIT(&peer->turns);
	bufferevent_setcb(bev, session_read_cb, session_write_cb, session_event_cb, session);
	bufferevent_setwatermark(bev, EV_WRITE, SESSION_OUTPUT_LOW, 0);
	bufferevent_set_max_single_write(bev, SESSION_READ_MAX);
	evbuffer_add_cb(bufferevent_get_output(bev), session_output_cb, session);
	return session;
}

void
session_begin(struct session *session)
{
	session_set_read_size(session);
	bufferevent_enable(session->bev, EV_READ | EV_WRITE);
}
