/*
 * session: see session.h.
 *
 * Who has not said who it is has little room and little time to do so. Reading stops while too much is on its way to the store, and while the client does not read its replies; nothing is ever dropped. A line is never
 * scanned twice. A session is freed in the sweep after a turn, never inside its own callback.
 *
 * What all keep here together is bounded (hoard.h): when unfinished lines or unread replies take too much, whoever has
 * neither sent nor read for the longest time is closed.
 */
#include "daemon/session.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/hoard.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/server.h"
#include "daemon/tls.h"
#include "daemon/tokens.h"
#include "proto/lines.h"

#define SESSION_READ_MAX ((size_t)256 << 10)  /* bytes a read, while there are few sessions */
#define SESSION_READ_MIN ((size_t)4 << 10)
#define SESSION_READ_ALL ((size_t)32 << 20)   /* bytes of one read each of all sessions */
#define SESSION_LINES_TURN 4096               /* lines of one session a turn */
#define SESSION_OUTPUT_HIGH ((size_t)1 << 20) /* unread replies at which reading stops */
#define SESSION_OUTPUT_LOW ((size_t)256 << 10)
#define SESSION_HOARD_MIN ((size_t)64 << 20)  /* of unfinished lines, and of unread replies, of all sessions; or */
#define SESSION_HOARD_LINES 4                 /* so many of the longest */
#define SESSION_BULK 4                        /* requests with large replies under way */
#define SESSION_STRANGER_LINE ((size_t)64 << 10) /* the longest line before hello */

struct session {
	struct peer peer; /* first: a peer is its session */
	struct sessions *sessions;
	struct bufferevent *bev;
	struct lines lines;
	bool begun;       /* its first byte has been looked at */
	bool paused;      /* reading is off */
	bool eof;         /* the client sends no more: it leaves when the lines that are here have been handled */
	bool dead;        /* to be swept */
	bool strange;     /* among the strangers */
	TAILQ_ENTRY(session) link;
	int64_t came_ms;  /* of a stranger, monotonic */
	TAILQ_ENTRY(session) stranger_link;
	struct hoarder unfinished; /* of sessions->unfinished */
	struct hoarder unread;     /* of sessions->unread */
};
TAILQ_HEAD(session_list, session);

struct sessions {
	struct server *server;
	struct session_list list;
	struct session_list dead;
	struct session_list strangers; /* who came without a name; some have said it since */
	struct event *look;            /* at them, when the time of the first is over */
	struct hoard unfinished;       /* lines */
	struct hoard unread;           /* replies */
	unsigned n;
};

#define SESSION_OF(hoarder, member) ((struct session *)(void *)((char *)(hoarder) - offsetof(struct session, member)))

static void
session_is_known(struct session *session)
{
	if (session->strange)
		TAILQ_REMOVE(&session->sessions->strangers, session, stranger_link);
	session->strange = false;
}

static void
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
	hoard_set(&sessions->unfinished, &session->unfinished, 0, false);
	hoard_set(&sessions->unread, &session->unread, 0, false);
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
	session->peer.idle(&session->peer);
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

static bool
session_is_clogged(const struct peer *peer)
{
	const struct session *session = (const struct session *)peer;

	return session->bev != NULL && (peer->n_bulk >= SESSION_BULK ||
	    evbuffer_get_length(bufferevent_get_output(session->bev)) > hoard_share(&session->sessions->unread, SESSION_OUTPUT_HIGH));
}

static bool
session_must_pause(const struct session *session)
{
	return dispatch_is_full(session->sessions->server->dispatch) || session_is_clogged(&session->peer);
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

/* The line that has begun is not taken; more is the rest of error.data. */
static void
session_refuse_line(struct session *session, enum rpc_error code, const char *message, const char *more)
{
	char reply[320];
	int n;

	n = snprintf(reply, sizeof(reply),
	    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":%d,\"message\":\"%s\",\"data\":{\"code\":\"%s\"%s}}}\n", code, message,
	    rpc_error_word(code), more);
	session_send(&session->peer, reply, (size_t)n);
	evbuffer_drain(bufferevent_get_input(session->bev), SIZE_MAX);
	hoard_set(&session->sessions->unfinished, &session->unfinished, 0, false);
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

/* Those who let theirs stand make room for the others'. */
static void
sessions_bound_unfinished(struct sessions *sessions)
{
	struct hoarder *victim;

	while ((victim = hoard_victim(&sessions->unfinished)) != NULL)
		session_refuse_line(SESSION_OF(victim, unfinished), RPC_BUSY, "the unfinished lines of all clients take too much room",
		    ",\"retry_after\":1");
}

static void
sessions_bound_unread(struct sessions *sessions)
{
	struct hoarder *victim;

	while ((victim = hoard_victim(&sessions->unread)) != NULL) {
		struct session *session = SESSION_OF(victim, unread);

		log_warning("the unread replies of all clients take too much room: a connection of %s, "
			    "which has read nothing for the longest time, is closed",
		    session->peer.owner[0] != '\0' ? session->peer.owner : "a stranger");
		session_die(session);
	}
}

static void
session_output_cb(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	struct session *session = arg;

	if (!session->dead)
		hoard_set(&session->sessions->unread, &session->unread, evbuffer_get_length(output), info->n_deleted > 0);
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
	hoard_set(&session->sessions->unfinished, &session->unfinished, len, true);
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
			session->paused = true;
			bufferevent_disable(session->bev, EV_READ);
			return;
		}
		len = session_next_line(session, input);
		if (len == -2)
			session_too_long(session);
		if (len < 0)
			break;
		hoard_set(&session->sessions->unfinished, &session->unfinished, 0, false);
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
static void
session_resume(struct session *session)
{
	if (!session->paused || session->dead || session->peer.leaving || session_must_pause(session))
		return;
	session->paused = false;
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
		session->peer.idle(&session->peer);
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

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static void
sessions_sweep(void *arg)
{
	struct sessions *sessions = arg;
	struct session *session;

	sessions_bound_unread(sessions);
	while ((session = TAILQ_FIRST(&sessions->dead)) != NULL) {
		TAILQ_REMOVE(&sessions->dead, session, link);
		bufferevent_free(session->bev);
		session->bev = NULL;
		peer_unref(&session->peer);
	}
}

/* They stand in the order in which they came, so the first tells when to look. */
static void
sessions_arm_look(struct sessions *sessions)
{
	const struct session *first = TAILQ_FIRST(&sessions->strangers);
	int64_t ms;
	struct timeval tv;

	if (first == NULL || event_pending(sessions->look, EV_TIMEOUT, NULL))
		return;
	ms = first->came_ms + sessions->server->config->limit_hello_ms - loop_mono_ms();
	ms = ms > 0 ? ms : 0;
	tv = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_add(sessions->look, &tv);
}

static void
sessions_look_cb(evutil_socket_t fd, short events, void *arg)
{
	struct sessions *sessions = arg;
	int64_t came_before_ms = loop_mono_ms() - sessions->server->config->limit_hello_ms;
	struct session *session;

	(void)fd;
	(void)events;
	while ((session = TAILQ_FIRST(&sessions->strangers)) != NULL && session->came_ms <= came_before_ms) {
		if (session->peer.role != ROLE_NONE) {
			session_is_known(session);
			continue;
		}
		log_debug("a connection that did not say in time who it is is closed");
		session_die(session);
	}
	sessions_arm_look(sessions);
}

static void
sessions_add_stranger(struct sessions *sessions, struct session *session)
{
	session->strange = true;
	session->came_ms = loop_mono_ms();
	TAILQ_INSERT_TAIL(&sessions->strangers, session, stranger_link);
	sessions_arm_look(sessions);
}

static size_t
sessions_hoard_max(const struct config *config)
{
	size_t max = SESSION_HOARD_LINES * (size_t)config->limit_message;

	return max < SESSION_HOARD_MIN ? SESSION_HOARD_MIN : max;
}

struct sessions *
sessions_new(struct server *server)
{
	struct sessions *sessions = mem_new(sizeof(*sessions));

	sessions->server = server;
	hoard_init(&sessions->unfinished, sessions_hoard_max(server->config));
	hoard_init(&sessions->unread, sessions_hoard_max(server->config));
	TAILQ_INIT(&sessions->strangers);
	sessions->look = event_new(loop_base(server->loop), -1, 0, sessions_look_cb, sessions);
	if (sessions->look == NULL)
		abort();
	TAILQ_INIT(&sessions->list);
	TAILQ_INIT(&sessions->dead);
	loop_after_turn(server->loop, sessions_sweep, sessions);
	return sessions;
}

void
sessions_free(struct sessions *sessions)
{
	struct session *session;

	while ((session = TAILQ_FIRST(&sessions->list)) != NULL) {
		tls_flush(session->bev);
		session_die(session);
	}
	sessions_sweep(sessions);
	event_free(sessions->look);
	free(sessions);
}

void
sessions_add(struct sessions *sessions, struct bufferevent *bev, enum role role, const char *owner)
{
	struct session *session = mem_new(sizeof(*session));
	struct peer *peer = &session->peer;

	session->sessions = sessions;
	session->bev = bev;
	lines_init(&session->lines, (size_t)sessions->server->config->limit_message);
	peer->server = sessions->server;
	peer->role = role;
	snprintf(peer->owner, sizeof(peer->owner), "%s", owner);
	peer->refs = 1;
	peer->send = session_send;
	peer->idle = session_idle;
	peer->resume = session_resume_peer;
	peer->is_clogged = session_is_clogged;
	peer->free = session_free_peer;
	TAILQ_INIT(&peer->waits);
	TAILQ_INIT(&peer->turns);
	TAILQ_INSERT_TAIL(&sessions->list, session, link);
	if (role == ROLE_NONE)
		sessions_add_stranger(sessions, session);
	sessions->n++;
	sessions->server->connections = sessions->n;
	bufferevent_setcb(bev, session_read_cb, session_write_cb, session_event_cb, session);
	bufferevent_setwatermark(bev, EV_WRITE, SESSION_OUTPUT_LOW, 0);
	session_set_read_size(session);
	bufferevent_set_max_single_write(bev, SESSION_READ_MAX);
	evbuffer_add_cb(bufferevent_get_output(bev), session_output_cb, session);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

unsigned
sessions_count(const struct sessions *sessions)
{
	return sessions->n;
}

bool
sessions_drop_stranger(struct sessions *sessions)
{
	struct session *session;

	while ((session = TAILQ_FIRST(&sessions->strangers)) != NULL) {
		if (session->peer.role == ROLE_NONE) {
			log_debug("a connection that has not said yet who it is makes room for another");
			session_die(session);
			return true;
		}
		session_is_known(session);
	}
	return false;
}

unsigned
sessions_close_revoked(struct sessions *sessions)
{
	struct session *session, *next;
	unsigned n = 0;

	for (session = TAILQ_FIRST(&sessions->list); session != NULL; session = next) {
		next = TAILQ_NEXT(session, link);
		if (tokens_still_holds(sessions->server->tokens, &session->peer))
			continue;
		session_die(session);
		n++;
	}
	return n;
}

void
sessions_resume(struct sessions *sessions)
{
	struct session *session, *next;

	for (session = TAILQ_FIRST(&sessions->list); session != NULL; session = next) {
		next = TAILQ_NEXT(session, link);
		session_resume(session);
	}
}
