/*
 * What the files of libfutured share. Nothing here begins with fut_: the shared library exports exactly what does.
 *
 * From the bottom: failure (what went wrong last) - poll (one descriptor for all) - wire (bytes and lines) - requests
 * (what was asked and not yet fetched) - watching (events of a selection) - watch, future (what programs see of them) -
 * process (a turn of it all, and the callbacks) - connect, params, jobs, calls, control. A client is used by one thread
 * at a time, so nothing is locked.
 *
 * What comes is taken in at once, wherever it is read: a reply or an event finds its request or watch, and changes what
 * the library knows. A program's callback is only noted as due (struct due), and called by fut_process. Whoever takes
 * something in may send, which only adds to the buffer; it never waits or reads.
 */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include <stdarg.h>

#include "futured.h"
#include "ids.h"
#include "proto/jsonspan.h"
#include "proto/lines.h"
#include "ring.h"
#include "secure.h"
#include "text.h"

/* A failure; message and data are the client's own strings, NULL where there was no memory or nothing to say. */
struct failure {
	int code;
	char word[32];
	char *message;
	char *data;
};

/* A callback that fut_process has to call; stands in what it is for, and is in client->due or in no list. */
struct due {
	struct ring ring;
	void (*call)(struct fut_client *client, struct due *due); /* may free what it stands in */
};

/*
 * What takes a reply in as it comes: code is 0 and result valid, or code is negative and error what the daemon said,
 * SPAN_NONE where the connection ended (then client->ended says why). The request is gone when it is called.
 */
typedef void (*request_take)(struct fut_client *client, void *arg, int code, struct span result, struct span error);

/*
 * A request that was sent and whose answer is not yet used. ring: in waiting until it is answered; then in arrived
 * where it is to be fetched, in no list where its callback is due.
 */
struct request {
	struct ids_node node;
	struct ring ring;
	request_take take; /* NULL: it is to be fetched, or has a callback */
	void *arg;	   /* of take or callback */
	fut_reply_cb callback;
	struct due due;
	bool arrived;
	bool dropped; /* nobody will use it */
	char *line;   /* the reply, once it arrived; result and error point into it, one of them is SPAN_NONE */
	struct span result;
	struct span error;
};

struct requests {
	struct ids table;
	struct ring waiting; /* in the order sent */
	struct ring arrived; /* in the order of arrival */
	size_t n_open;	     /* to be fetched by fut_receive, whether arrived or not */
	int64_t next_id;
};

struct wire {
	int fd; /* -1: not connected */
	struct secure *secure; /* TLS between it and the socket, or NULL */
	struct text out;
	size_t out_done; /* bytes of out that the kernel has */
	struct text in;
	size_t in_done; /* bytes of in that were lines already taken */
	struct lines lines;
	bool deaf; /* writing failed: only what still comes is of use */
};

/* One descriptor for all that a client waits for; -1 until it was asked for. */
struct poll_set {
	int fd;
	int wake_fd;	/* an eventfd in it */
	int socket;	/* the one in it, or -1 */
	uint32_t armed; /* what it is polled for */
	bool woken;	/* wake_fd is readable */
};

/* Futures by what they wait for; each is in one of these rings, or in that of its group. */
struct futures {
	struct ids table;   /* of those that wait for an end */
	struct ring adding; /* the submission is under way */
	struct ring fresh;  /* not asked for yet */
	struct ring done;   /* nothing will change */
	struct ring groups; /* of struct group, each a watch for many futures */
	bool held;	    /* the daemon has too many watches: asked for when one of ours has ended */
};

struct fut_client {
	char *name;
	char *place;
	bool local;
	char *owner, *role, *server_version;
	struct wire wire;
	struct poll_set poll;
	struct requests requests;
	struct ids watchings; /* by the daemon's number of the watch */
	struct ring all_watchings;
	struct ring watches; /* of struct fut_watch, all that the program has */
	struct futures futures;
	struct ring due; /* of struct due */
	bool nonblocking;
	bool processing;	/* a callback is being called */
	bool freed;		/* meanwhile: fut_process frees the client */
	struct failure failure; /* of the last call */
	struct failure ended;	/* why the connection ended; code 0 while it lives */
};

/* failure.c */

/* Keeps what went wrong for fut_error_*() and returns code. The format is a sentence without a full stop. */
int client_fail(struct fut_client *client, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same of an error object that the daemon sent (a valid span of any type); returns its code. */
int client_fail_reply(struct fut_client *client, struct span error);
/* The same of the failure that ended the connection. */
int client_fail_ended(struct fut_client *client);
/* The same of a failure that was kept. */
int client_fail_copy(struct fut_client *client, const struct failure *failure);
/* What a request_take or the end of a watch was told: the daemon's error, why the connection ended, or a code alone. */
void client_explain(struct fut_client *client, int code, struct span error, struct failure *failure);
/* to becomes a copy of from; without memory without its texts. */
void failure_copy(struct failure *to, const struct failure *from);
void failure_set_reply(struct failure *failure, struct span error);
/* A failure that is told by its code alone; 0 clears. */
void failure_set_code(struct failure *failure, int code);
/* In place of the word of its code. */
void failure_set_word(struct failure *failure, const char *word);
/* The sentence of a code. Static. */
const char *failure_message(int code);
void failure_set(struct failure *failure, int code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
void failure_clear(struct failure *failure);

/* poll.c */

void poll_init(struct poll_set *poll);
void poll_done(struct poll_set *poll);
/* The client has something to do that its socket does not tell; and no longer. */
void poll_wake(struct poll_set *poll);
void poll_rest(struct poll_set *poll);
/* What the socket (-1: none) is to be polled for has changed; to be called before it is closed with -1. */
void poll_arm(struct poll_set *poll, int socket, bool output);

/* wire.c */

/* Takes fd, and secure (may be NULL). */
void wire_open(struct fut_client *client, int fd, struct secure *secure);
/* Closes, and forgets what was still to be written and read. */
void wire_close(struct fut_client *client);
/*
 * Ends the connection for a reason that later calls return; the first reason stands. All that was under way is told,
 * also where the connection had ended before.
 */
void wire_end(struct fut_client *client, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for what the daemon said. */
void wire_end_reply(struct fut_client *client, struct span error);
/* Writes what the kernel takes, without waiting. */
void wire_push(struct fut_client *client);
/* How many bytes are still to be written. */
size_t wire_unsent(const struct wire *wire);
/*
 * One turn: writes what the kernel takes and reads what has come, waiting up to timeout_ms (-1: no limit) where it can
 * do neither. Whole lines go to requests_take(). 1 when something was read, 0 when nothing was (a signal may have
 * come), negative once the connection has ended.
 */
int wire_turn(struct fut_client *client, int timeout_ms);
/* Turns until all is written. */
int wire_flush(struct fut_client *client);

/* requests.c */

void requests_init(struct requests *requests);
/*
 * Sends a request, which only adds to the buffer; take (may be NULL) takes its answer in, and a request without is
 * dropped. Negative and as client_fail where it cannot be sent: take is not called then. *ret_id may be NULL.
 */
int requests_send(struct fut_client *client, const char *method, const struct fut_params *params, request_take take,
		  void *arg, int64_t *ret_id);
/* Room for a request, as the client may wait or not. 0, or negative as client_fail. */
int requests_room(struct fut_client *client);
/* The answer to a request with a take is to be taken by another; id is under way. */
void requests_retake(struct fut_client *client, int64_t id, request_take take, void *arg);
/* The connection has ended: who takes an answer in is told, callbacks are due, the rest can still be fetched. */
void requests_end(struct fut_client *client);
/* Forgets those that are to be fetched, or with their callbacks all. */
void requests_forget(struct fut_client *client, bool all);
/* One line that the daemon sent. Ends the connection where it is not the protocol. */
void requests_take(struct fut_client *client, const char *line, size_t len);

/* process.c */

void due_init(struct due *due, void (*call)(struct fut_client *client, struct due *due));
/* To be called by fut_process; once, where it is due already. */
void due_add(struct fut_client *client, struct due *due);
int64_t client_now_ms(void);
/* When wait_s from now is over, in client_now_ms; -1: never. */
int64_t client_deadline(double wait_s);
/*
 * One turn of the wire, unless deadline_ms (-1: none) is over: then FUT_E_TIMED_OUT, but not before what is there was
 * read. Else 0, or negative once the connection has ended.
 */
int client_turn(struct fut_client *client, int64_t deadline_ms);
/* Takes in what has come, without waiting; failures wait for the next call. */
void client_look(struct fut_client *client);
/* The connection has ended (client->ended says why): all that was under way is told. */
void client_over(struct fut_client *client);

/* watching.c */

/*
 * A watch as it goes over the wire, part of who wants its events. event gets each as it comes (the job is valid JSON;
 * FUT_EVENT_END never comes by it). over is called once, last: code 0 at the end, else as request_take, error may be a
 * string too. Both may stop it and free what it stands in.
 */
struct watching {
	struct ids_node node; /* the daemon's number; in client->watchings while open */
	struct ring ring;     /* in client->all_watchings while open */
	bool open;
	int64_t request; /* while the watch is asked for, else 0 */
	int64_t count;	 /* -1: not told yet */
	void (*event)(struct fut_client *client, struct watching *watching, enum fut_event event, struct span job);
	void (*over)(struct fut_client *client, struct watching *watching, int code, struct span error);
};

void watching_init(struct watching *watching);
/* Asks for it; event and over are set. Negative as client_fail, and nothing was sent. */
int watching_start(struct fut_client *client, struct watching *watching, const struct fut_params *params);
/* Nothing is called any more; the daemon is told. Does nothing where it is over. */
void watching_stop(struct fut_client *client, struct watching *watching);
/* A notification of the daemon, its params. */
void watching_take(struct fut_client *client, struct span params);
/* The connection has ended. */
void watching_end(struct fut_client *client);

/* watch.c, future.c, future_watch.c */

/* The client goes: what the program still has of it is cut off. */
void watches_detach(struct fut_client *client);
void futures_init(struct futures *futures);
void futures_detach(struct fut_client *client);
/* Asks for the ends of futures that nobody asked for yet. */
void futures_ask(struct fut_client *client);
/* The connection has ended: none of those that wait will be done otherwise. */
void futures_end(struct fut_client *client);

/* job.c */

/* object is valid JSON; FUT_E_BAD_REPLY where it is no job, FUT_E_MEMORY. Sets no failure. */
int job_parse(struct span object, struct fut_job **ret_job);

/* calls.c */

/* submit, map and run: options and the task with its args or items (what). NULL without memory. */
struct fut_params *calls_submit_params(const char *task, const char *what, const char *json,
				       const struct fut_params *options);
int calls_no_memory(struct fut_client *client);
int calls_bad_reply(struct fut_client *client, const char *method);
/* A member of a result, a valid span of any type; -1 when it is not there or of another type. */
int calls_integer(struct span result, const char *name, int64_t *ret);
int calls_bool(struct span result, const char *name, bool *ret);

/* params.c */

/* 0, or the code of what went wrong in a setter with *ret_what. NULL is an empty object. */
int params_check(const struct fut_params *params, const char **ret_what);
void params_write(const struct fut_params *params, struct text *out);
/* A copy with room for more, or NULL without memory; of NULL an empty one. */
struct fut_params *params_copy(const struct fut_params *params);

#endif
