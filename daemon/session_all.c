/*
 * session_all: all connections together: who they are, when they are freed, and what they may make the daemon keep.
 *
 * Who has not said who it is has little room and little time to do so. A session is freed in the sweep after a turn, never inside its
 * own callback.
 *
 * What all keep here together is bounded (hoard.h): when unfinished lines take too much, whoever has sent nothing for the
 * longest time is closed, unless it is the daemon that does not read on. Large replies are made when there is room for them
 * (room.h); while others wait for that, whoever has read next to nothing for some seconds is closed.
 */
#include "daemon/session_private.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/server.h"
#include "daemon/tls.h"
#include "daemon/tokens.h"

#define SESSION_HOARD_MIN ((size_t)64 << 20)  /* of unfinished lines, and of unread replies, of all sessions; or */
#define SESSION_HOARD_LINES 4                 /* so many of the longest */
#define SESSION_BEAT_MS 1000                  /* what is bounded is looked at so often, while others wait */
#define SESSION_IDLE_BEATS 10                 /* so many they wait for one that does not read */

#define SESSION_OF(hoarder, member) ((struct session *)(void *)((char *)(hoarder) - offsetof(struct session, member)))

/* ---- what they keep -------------------------------------------------------------------------------------------------------- */

/* Those who let theirs stand make room for the others'. */
void
sessions_bound_unfinished(struct sessions *sessions)
{
	struct hoarder *victim;

	while ((victim = hoard_victim(&sessions->unfinished)) != NULL)
		session_refuse_line(SESSION_OF(victim, unfinished), RPC_BUSY, "the unfinished lines of all clients take too much room",
		    ",\"retry_after\":1");
}

/* While others wait for those who do not read. If we are held up ourselves that is no beat, and nobody is blamed for it. */
static void
sessions_arm_beat(struct sessions *sessions)
{
	static const struct timeval tv = {.tv_sec = SESSION_BEAT_MS / 1000};

	if (TAILQ_EMPTY(&sessions->unread.list) || event_pending(sessions->next_beat, EV_TIMEOUT, NULL))
		return;
	if (sessions->unread.bytes > sessions->unread.max || rooms_are_wanted(&sessions->server->rooms))
		event_add(sessions->next_beat, &tv);
}

/* The sweep after its turn does the rest. */
static void
sessions_beat_cb(evutil_socket_t fd, short events, void *arg)
{
	struct sessions *sessions = arg;

	(void)fd;
	(void)events;
	sessions->beat++;
}

static void
sessions_bound_unread(struct sessions *sessions)
{
	struct rooms *rooms = &sessions->server->rooms;
	struct hoarder *victim;

	rooms_go(rooms);
	while ((victim = hoard_idle_victim(&sessions->unread, rooms_are_wanted(rooms), sessions->beat - SESSION_IDLE_BEATS)) != NULL) {
		struct session *session = SESSION_OF(victim, unread);

		log_warning("the unread replies of all clients take too much room: a connection of %s, "
			    "which has read nothing for the longest time, is closed",
		    session->peer.owner[0] != '\0' ? session->peer.owner : "a stranger");
		session_die(session);
		rooms_go(rooms);
	}
	sessions_arm_beat(sessions);
}

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

/* ---- strangers ------------------------------------------------------------------------------------------------------------- */

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

/* ---- owners ---------------------------------------------------------------------------------------------------------------- */

bool
sessions_owner_has_room(const struct sessions *sessions, const char *owner, unsigned most)
{
	const struct session_owner *of;

	HASH_FIND_STR(sessions->owners, owner, of);
	return sessions->n < most && (of == NULL || of->n < most - sessions->n);
}

static void
session_count(struct session *session)
{
	struct sessions *sessions = session->sessions;
	size_t len = strlen(session->peer.owner);
	struct session_owner *of;

	HASH_FIND(hh, sessions->owners, session->peer.owner, len, of);
	if (of == NULL) {
		of = mem_new(sizeof(*of) + len + 1);
		memcpy(of->name, session->peer.owner, len + 1);
		HASH_ADD_KEYPTR(hh, sessions->owners, of->name, len, of);
	}
	of->n++;
	session->counted = of;
}

void
session_uncount(struct session *session)
{
	struct session_owner *of = session->counted;

	session->counted = NULL;
	if (of == NULL || --of->n > 0)
		return;
	HASH_DEL(session->sessions->owners, of);
	free(of);
}

/* ---- all of them ----------------------------------------------------------------------------------------------------------- */

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
	sessions->next_beat = event_new(loop_base(server->loop), -1, 0, sessions_beat_cb, sessions);
	if (sessions->look == NULL || sessions->next_beat == NULL)
		abort();
	rooms_init(&server->rooms, &sessions->unread);
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
	rooms_end(&sessions->server->rooms);
	event_free(sessions->look);
	event_free(sessions->next_beat);
	free(sessions);
}

void
sessions_add(struct sessions *sessions, struct bufferevent *bev, enum role role, const char *owner)
{
	struct session *session = session_new(sessions, bev, role, owner);

	TAILQ_INSERT_TAIL(&sessions->list, session, link);
	if (role == ROLE_NONE)
		sessions_add_stranger(sessions, session);
	else if (role != ROLE_OPERATOR)
		session_count(session);
	sessions->n++;
	sessions->server->connections = sessions->n;
	session_begin(session);
}

unsigned
sessions_count(const struct sessions *sessions)
{
	return sessions->n;
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
