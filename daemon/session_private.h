/*
 * session_private: what the files of session share: session.c (one connection) and session_all.c (all of them together).
 */
#ifndef DAEMON_SESSION_PRIVATE_H
#define DAEMON_SESSION_PRIVATE_H

#include <sys/queue.h>

#include "daemon/hash.h"
#include "daemon/hoard.h"
#include "daemon/session.h"
#include "proto/errors.h"
#include "proto/lines.h"

/* How many connections an owner has; there while he has one. Of who was known as he came, and is no operator. */
struct session_owner {
	unsigned n;
	UT_hash_handle hh;
	char name[];
};

struct session {
	struct peer peer; /* first: a peer is its session */
	struct sessions *sessions;
	struct session_owner *counted; /* or NULL */
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
	size_t taken;              /* bytes that it has read since that counted as progress */
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
	struct event *next_beat;       /* while others wait for those who do not read */
	int64_t beat;                  /* the clock of both */
	struct session_owner *owners;
	unsigned n;
};

/* It is in no list yet, and reads nothing before session_begin(). */
struct session *session_new(struct sessions *sessions, struct bufferevent *bev, enum role role, const char *owner);
void session_begin(struct session *session);
/* It has said who it is, or will not. */
void session_is_known(struct session *session);
/* Nothing more goes in or out; the sweep frees it. */
void session_die(struct session *session);
/* Reads on, if nothing is in the way any more. */
void session_resume(struct session *session);
/* The line that has begun is not taken, and it leaves; more as session_write_refusal's. */
void session_refuse_line(struct session *session, enum rpc_error code, const char *message, const char *more);

/* It is its owner's no more. */
void session_uncount(struct session *session);

/* Those who let unfinished lines stand make room for the others'. */
void sessions_bound_unfinished(struct sessions *sessions);

#endif
