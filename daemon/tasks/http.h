/*
 * http: one transfer: what was asked (of http.fetch, http.c reads it from the arguments; of a webhook, post.c) and how
 * it goes (http_transfer.c). Waits thread, but for the two that look at a URL.
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
	const char *name; /* of the task, for errors */
	/* asked */
	char *url;
	char *method;               /* in capitals */
	struct curl_slist *headers; /* as libcurl takes them */
	char *body;                 /* NULL: none */
	size_t body_len;
	size_t max_bytes;
	bool restricted;  /* may not reach local addresses */
	bool status_only; /* the result is {"status":…}: what else is received is not kept, and not waited for beyond max_bytes */
	bool stays_post;  /* a redirect by 301 or 302 does not make a GET of it */
	long timeout_ms, connect_timeout_ms; /* 0: none of its own */
	/* under way */
	CURL *easy;
	char words[CURL_ERROR_SIZE]; /* libcurl's on a failure */
	struct text received;
	size_t header_bytes;
	unsigned header_lines;
	size_t skipped; /* bytes of the body, where status_only */
	bool too_long;  /* the body is longer than max_bytes */
	bool headers_too_long;
	bool refused_local; /* an address that it may not reach was among the host's */
};

void fetch_free(void *fetch);
/* Configures the handle and starts it; the wait ends when the transfer does. */
void fetch_start(struct fetch *fetch);

/* NULL and *ret_url (for curl_url_cleanup()), or why text is no URL for us (static). Any thread. */
const char *fetch_parse_url(const char *text, CURLU **ret_url);
/* The URL's host is one that is known, without a look-up, to be local; false for what is no URL. Any thread. */
bool fetch_url_is_local(const char *text);

#endif
