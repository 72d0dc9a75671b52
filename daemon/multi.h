/*
 * multi: libcurl's multi handle on a libevent base: many transfers on one thread, each socket watched once.
 *
 * All calls, and the callback, are the thread's that runs the base.
 */
#ifndef DAEMON_MULTI_H
#define DAEMON_MULTI_H

struct event_base;
struct multi;

/* A transfer has ended with a CURLcode and is already removed. private is what multi_add() was given. */
typedef void (*multi_ended_cb)(void *private, int curl_code);

/* Keeps up to connections idle ones for later transfers. */
struct multi *multi_new(struct event_base *base, long connections, multi_ended_cb ended);
/* No transfer is left in it. */
void multi_free(struct multi *multi);

/* Starts the easy handle. Not inside a callback of libcurl's. */
void multi_add(struct multi *multi, void *easy, void *private);
/* Stops it at once, wherever it stands; the callback is not called. Not inside a callback of libcurl's. */
void multi_remove(struct multi *multi, void *easy);

#endif
