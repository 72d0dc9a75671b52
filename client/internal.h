/*
 * What the files of libfutured share. Nothing here begins with fut_: the shared library exports exactly what does.
 *
 * From the bottom: failure (what went wrong last) - wire (bytes and lines) - requests (what was asked and not yet
 * fetched) - connect, params, jobs, calls. A client is used by one thread at a time, so nothing is locked.
 */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include <stdarg.h>

#include "futured.h"
#include "proto/jsonspan.h"
#include "proto/lines.h"
#include "text.h"

/* A failure; message and data are the client's own strings, NULL where there was no memory or nothing to say. */
struct failure {
	int code;
	char word[32];
	char *message;
	char *data;
};

/* A request that was sent and not yet fetched. Lists: its bucket in the table; requests->arrived once answered. */
struct request {
	int64_t id;
	struct request *next;            /* in its bucket */
	struct request *before, *behind; /* in the order of arrival */
	bool arrived;
	bool dropped; /* nobody will fetch it */
	char *line;   /* the reply, once it arrived; result and error point into it, one of them is SPAN_NONE */
	struct span result;
	struct span error;
};

struct requests {
	struct request **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t count;     /* of all */
	size_t n_dropped; /* of those */
	struct request *first, *last; /* that arrived */
	int64_t next_id;
};

struct wire {
	int fd; /* -1: not connected */
	struct text out;
	size_t out_done; /* bytes of out that the kernel has */
	struct text in;
	size_t in_done; /* bytes of in that were lines already taken */
	struct lines lines;
	bool deaf; /* writing failed: only what still comes is of use */
};

struct fut_client {
	char *name;
	char *place;
	bool local;
	char *owner, *role, *server_version;
	struct wire wire;
	struct requests requests;
	struct failure failure; /* of the last call */
	struct failure ended;   /* why the connection ended; code 0 while it lives */
};

/* failure.c */

/* Keeps what went wrong for fut_error_*() and returns code. The format is a sentence without a full stop. */
int client_fail(struct fut_client *client, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same of an error object that the daemon sent (a valid span of any type); returns its code. */
int client_fail_reply(struct fut_client *client, struct span error);
/* The same of the failure that ended the connection. */
int client_fail_ended(struct fut_client *client);
void failure_set_reply(struct failure *failure, struct span error);
void failure_set(struct failure *failure, int code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
void failure_clear(struct failure *failure);

/* wire.c */

/* Takes fd. */
void wire_open(struct fut_client *client, int fd);
/* Closes, and forgets what was under way; reason stays in client->ended where it had been set. */
void wire_close(struct fut_client *client);
/* Ends the connection for a reason that later calls return; the first reason stands. */
void wire_end(struct fut_client *client, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/*
 * One turn: writes what the kernel takes and reads what has come, waiting up to timeout_ms (-1: no limit) where it can
 * do neither. Whole lines go to requests_take(). 1 when something was read, 0 when nothing was (a signal may have
 * come), negative once the connection has ended.
 */
int wire_turn(struct fut_client *client, int timeout_ms);
/* Turns until all is written. */
int wire_flush(struct fut_client *client);

/* requests.c */

struct request *requests_find(const struct requests *requests, int64_t id);
/* A new request with the next id, or NULL without memory. */
struct request *requests_add(struct requests *requests);
void requests_remove(struct requests *requests, struct request *request);
void requests_clear(struct requests *requests);
/* One line that the daemon sent. Ends the connection where it is not the protocol. */
void requests_take(struct fut_client *client, const char *line, size_t len);

/* params.c */

/* 0, or the code of what went wrong in a setter with *ret_what. NULL is an empty object. */
int params_check(const struct fut_params *params, const char **ret_what);
void params_write(const struct fut_params *params, struct text *out);
/* A copy with room for more, or NULL without memory; of NULL an empty one. */
struct fut_params *params_copy(const struct fut_params *params);

#endif
