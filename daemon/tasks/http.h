/*
 * http: one http.fetch: what was asked (http.c reads it from the arguments) and how its transfer goes
 * (http_transfer.c). Waits thread only.
 */
#ifndef DAEMON_TASKS_HTTP_H
#define DAEMON_TASKS_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/text.h"
#include "daemon/waits.h"

/* The state of a wait; freed by fetch_free(). */
struct fetch {
	struct wait *wait;
	/* asked */
	char *url;
	char *method;               /* in capitals */
	struct curl_slist *headers; /* as libcurl takes them */
	char *body;                 /* NULL: none */
	size_t body_len;
	size_t max_bytes;
	bool restricted; /* may not reach local addresses */
	/* under way */
	CURL *easy;
	char words[CURL_ERROR_SIZE]; /* libcurl's on a failure */
	struct text received;
	size_t header_bytes;
	unsigned header_lines;
	bool too_long; /* the body is longer than max_bytes */
	bool headers_too_long;
	bool refused_local; /* an address that it may not reach was among the host's */
};

void fetch_free(void *fetch);
/* Configures the handle and starts it; the wait ends when the transfer does. */
void fetch_start(struct fetch *fetch);

#endif
