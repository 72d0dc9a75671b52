/*
 * request: one JSON-RPC request from its reading to its reply, and what it knows of the connection it came by.
 *
 * A request lives until it is replied to, once; it may be replied to in any later turn, also when its connection is gone (then the reply is
 * dropped). A batch gathers its members' replies. Loop thread.
 */
#ifndef DAEMON_REQUEST_H
#define DAEMON_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/room.h"
#include "daemon/text.h"
#include "proto/envelope.h"
#include "proto/errors.h"
#include "proto/role.h"

struct server;
struct store_row;

/* Something that must end when its connection does (an await, a wait for output). */
struct peer_wait {
	void (*closed)(struct peer_wait *wait);
	TAILQ_ENTRY(peer_wait) link;
};
TAILQ_HEAD(peer_wait_list, peer_wait);

/* Something that makes a large reply, when the client has read the earlier ones. */
struct peer_turn {
	void (*go)(struct peer_turn *turn);
	bool queued;
	TAILQ_ENTRY(peer_turn) link;
};
TAILQ_HEAD(peer_turn_list, peer_turn);

struct peer;

/* What a connection can do for the requests that came by it. */
struct peer_calls {
	void (*send)(struct peer *peer, const char *bytes, size_t len);
	void (*idle)(struct peer *peer);
	void (*resume)(struct peer *peer); /* n_bulk has fallen */
	bool (*is_clogged)(const struct peer *peer); /* large replies are under way or unread */
	void (*free)(struct peer *peer);
};

#define PEER_OWNER 72 /* bytes: "uid:…", or "token:" and a name of HOLDER_MAX */

/* The connection as requests see it; embedded in a session. */
struct peer {
	const struct peer_calls *calls;
	struct server *server;
	enum role role;
	char owner[PEER_OWNER]; /* "" before authentication */
	unsigned char token_hash[32]; /* SHA-256 of the token by which a "token:NAME" came */
	bool closed;           /* replies are dropped */
	bool leaving;          /* nothing more is read; it goes when the last reply is out: idle() is called */
	unsigned refs;         /* the session's own, and one a request */
	unsigned n_waits;
	size_t n_ranges;       /* that its waits keep */
	unsigned n_watches;    /* that there ever were: they are numbered by it */
	unsigned n_bulk;       /* requests under way whose replies may be large: few at a time are read */
	struct peer_wait_list waits;
	struct peer_turn_list turns;
};
void peer_unref(struct peer *peer);
/* -1: this connection has [limits] waits_per_connection already. */
int peer_add_wait(struct peer *peer, struct peer_wait *wait);
void peer_remove_wait(struct peer *peer, struct peer_wait *wait);
/* Keeps a place for a wait to come, before what it waits for is accepted; -1 as above. */
int peer_reserve_wait(struct peer *peer);
void peer_unreserve_wait(struct peer *peer);
/* Something large is being read for it: few at a time are, and no requests are read meanwhile. */
void peer_begin_bulk(struct peer *peer);
void peer_end_bulk(struct peer *peer);
/* Calls turn->go() at once, or, in order, when the connection is not clogged any more. */
void peer_take_turn(struct peer *peer, struct peer_turn *turn);
void peer_give_up_turn(struct peer *peer, struct peer_turn *turn);
/* It may be clogged no more. */
void peer_next_turns(struct peer *peer);
/* Whether the job of a row at hand may be told at once: the client reads, and there is room. */
bool peer_may_be_told(const struct peer *peer, const struct store_row *row);
/* Ends all its waits, unanswered. */
void peer_end_waits(struct peer *peer);

/* Something to do when a reply is on its way; in a batch that is when all its replies are. */
struct reply_hook {
	void (*sent)(struct reply_hook *hook);
	bool listed; /* request's */
	LIST_ENTRY(reply_hook) link;
};
LIST_HEAD(reply_hook_list, reply_hook);

struct reply_batch;

struct request {
	struct peer *peer;
	struct server *server;
	struct reply_batch *batch; /* or NULL */
	struct reply_hook *hook;   /* or NULL */
	int64_t accepted; /* the job that it has brought about, if its reply is that job's object; 0: none */
	bool changed;     /* jobs have been changed: what is told of them must not be an error that says they were not */
	bool notification;
	struct room room; /* of its reply, until that is on its way */
	bool bulk;       /* its reply may be large and comes later: counted in peer->n_bulk */
	size_t id_len;
	char *id;        /* raw JSON */
	char id_room[24];
};

/*
 * Handles one line: a request or a batch. Replies are sent through peer->calls->send, at once or later. The bytes live during the call.
 */
void request_handle_line(struct peer *peer, struct span line);

/* Each of these answers and frees the request. The first takes the content of result. */
void request_reply(struct request *request, struct text *result);
void request_reply_lit(struct request *request, const char *json);
/* How many bytes its result may have, as things are: others of its batch take their part. */
size_t request_room(const struct request *request);
/*
 * What request_reply() does with a reply that is too long: too_large or, where a job was accepted, outcome_unknown with its id,
 * or, where jobs were changed, without.
 */
void request_fail_too_large(struct request *request);
/* As request_reply() with a short result, and hook->sent() is called, now or later, unless reply_hook_drop() comes before. */
void request_reply_hooked(struct request *request, struct text *result, struct reply_hook *hook);
void reply_hook_drop(struct reply_hook *hook);
/* No answer: whoever asked has left. */
void request_drop(struct request *request);
/* {"code":…,"message":formatted,"data":{"code":WORD}} */
void request_fail(struct request *request, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* -32602 with data.param. */
void request_fail_param(struct request *request, const char *param, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* With more members of data, raw: ",\"ids\":[3]". */
void request_fail_data(struct request *request, int code, const char *message, struct span data);
/* not_found with data.ids. */
void request_fail_ids(struct request *request, const int64_t *ids, size_t n);

/* Its reply may be large: the connection's reading stops while some of these are under way. */
void request_is_bulk(struct request *request);
/* It waits again, without a reply in the making. */
void request_is_no_bulk(struct request *request);

/* The owner whose jobs alone the caller may see: NULL for an operator. */
const char *request_owner_filter(const struct request *request);

/* ---- parameters ------------------------------------------------------------------------------------------------------------ */

enum param_kind {
	PARAM_TEXT,     /* char[size] in the struct, UTF-8, not empty */
	PARAM_SPAN,     /* struct span, any value but null */
	PARAM_INTEGER,  /* int64_t from min to max */
	PARAM_DURATION, /* int64_t milliseconds; seconds in the request */
	PARAM_BOOL,     /* bool */
	PARAM_TIME,     /* int64_t milliseconds since the epoch; RFC 3339 in the request */
};

/* A row of a method's table of parameters: where it goes in a struct of the method's own, which holds the defaults before. */
struct param {
	const char *name;
	enum param_kind kind;
	size_t offset;
	size_t size; /* TEXT */
	int64_t min, max;
};
#define PARAM_AT(type, member) offsetof(struct type, member)
#define PARAM_TEXT_OF(type, member) .kind = PARAM_TEXT, .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)

/*
 * Reads params (an object, or SPAN_NONE) by the table, which ends with a NULL name, into out. false: the request has been failed
 * (unknown, of another type, out of range). A null value counts as not given.
 */
bool request_params(struct request *request, struct span params, const struct param *table, void *out);

/* ---- methods --------------------------------------------------------------------------------------------------------------- */

struct method {
	const char *name;
	enum role role; /* the least that may call it; ROLE_NONE: also before authentication */
	void (*handle)(struct request *request, struct span params);
};

/* The tables of the families; each ends with a NULL name. */
extern const struct method methods_submit[];
extern const struct method methods_wait[];
extern const struct method methods_control[];
extern const struct method methods_ended[];
extern const struct method methods_look[];
extern const struct method methods_queues[];
extern const struct method methods_info[];

#endif
