/*
 * http_transfer: the transfer of an http.fetch or a webhook, from the options of libcurl to the outcome.
 *
 * What is received is kept up to max_bytes and no further. A restricted fetch is checked at the socket, on the address
 * that is really connected to, so neither a name nor a redirect leads around it; a proxy could, so there is none.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/mem.h"
#include "daemon/netaddr.h"
#include "http.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

#define FETCH_REDIRECTS    10L
#define FETCH_HEADER_BYTES (256 * 1024)
#define FETCH_HEADER_LINES 500 /* to find one among n costs n */

void
fetch_free(void *arg)
{
	struct fetch *fetch = arg;

	curl_easy_cleanup(fetch->easy);
	curl_slist_free_all(fetch->headers);
	text_done(&fetch->received);
	free(fetch->url);
	free(fetch->method);
	free(fetch->body);
	free(fetch);
}

static size_t
fetch_take_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct fetch *fetch = arg;
	size_t len = size * n;
	size_t max = wait_max_result(fetch->wait);

	if (fetch->status_only) {
		fetch->skipped += len;
		return fetch->skipped <= fetch->max_bytes ? len : 0;
	}
	if (max > fetch->max_bytes)
		max = fetch->max_bytes;
	if (len > max - fetch->received.len) {
		fetch->too_long = true;
		return 0;
	}
	text_add(&fetch->received, bytes, len);
	return len;
}

/* libcurl keeps the headers; here they are counted, and a 303 is made to change the method, as libcurl would keep one
 * of our own. */
static size_t
fetch_take_header(char *bytes, size_t size, size_t n, void *arg)
{
	struct fetch *fetch = arg;
	size_t len = size * n;
	long status = 0;

	if (len > 5 && memcmp(bytes, "HTTP/", 5) == 0) {
		fetch->header_bytes = 0;
		fetch->header_lines = 0;
		curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status == 303)
			curl_easy_setopt(fetch->easy, CURLOPT_CUSTOMREQUEST, NULL);
	}
	fetch->header_bytes += len;
	fetch->header_lines++;
	if (fetch->header_bytes > FETCH_HEADER_BYTES || fetch->header_lines > FETCH_HEADER_LINES) {
		fetch->headers_too_long = true;
		return 0;
	}
	return len;
}

static curl_socket_t
fetch_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *fetch = arg;

	(void)purpose;
	wait_looked_up(fetch->wait);
	if (fetch->restricted && netaddr_is_local(&address->addr)) {
		fetch->refused_local = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* There is a connection for the next request, an old or a new one. */
static int
fetch_connected(void *arg, char *peer, char *own, int peer_port, int own_port)
{
	struct fetch *fetch = arg;

	(void)peer;
	(void)own;
	(void)peer_port;
	(void)own_port;
	wait_looked_up(fetch->wait);
	fetch->refused_local = false;
	return CURL_PREREQFUNC_OK;
}

static bool
fetch_is(const struct fetch *fetch, const char *method)
{
	return strcmp(fetch->method, method) == 0;
}

/* The method and the body; GET and POST without CURLOPT_CUSTOMREQUEST, so that redirects change them as browsers do. */
static int
fetch_set_request(const struct fetch *fetch)
{
	bool body =
	    fetch->body != NULL || fetch_is(fetch, "POST") || fetch_is(fetch, "PUT") || fetch_is(fetch, "PATCH");
	int bad = 0;

	if (fetch_is(fetch, "HEAD"))
		return (int)curl_easy_setopt(fetch->easy, CURLOPT_NOBODY, 1L);
	if (body) {
		bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->body_len);
		bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDS, fetch->body != NULL ? fetch->body : "");
	}
	if (fetch->stays_post)
		bad |= (int)curl_easy_setopt(
		    fetch->easy, CURLOPT_POSTREDIR, (long)(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
	if (fetch_is(fetch, body ? "POST" : "GET"))
		return bad;
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_CUSTOMREQUEST, fetch->method);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_POSTREDIR, (long)(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
	return bad;
}

static int
fetch_set_callbacks(struct fetch *fetch)
{
	int bad = 0;

	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_WRITEFUNCTION, fetch_take_body);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_WRITEDATA, fetch);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_HEADERFUNCTION, fetch_take_header);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_HEADERDATA, fetch);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_OPENSOCKETFUNCTION, fetch_open_socket);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_OPENSOCKETDATA, fetch);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_PREREQFUNCTION, fetch_connected);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_PREREQDATA, fetch);
	return bad;
}

static int
fetch_set_options(struct fetch *fetch)
{
	int bad = 0;

	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_URL, fetch->url);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_FOLLOWLOCATION, 1L);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_MAXREDIRS, FETCH_REDIRECTS);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_PROXY, "");
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_NOSIGNAL, 1L);
	bad |= (int)curl_easy_setopt(
	    fetch->easy, CURLOPT_QUICK_EXIT, 1L); /* else a cancel waits for a look-up under way */
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_USERAGENT, "futured/" PACKAGE_VERSION);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_ERRORBUFFER, fetch->words);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_TIMEOUT_MS, fetch->timeout_ms);
	bad |= (int)curl_easy_setopt(fetch->easy, CURLOPT_CONNECTTIMEOUT_MS, fetch->connect_timeout_ms);
	return bad;
}

/* A header is bytes: what is no UTF-8 is taken for ISO 8859-1, as HTTP once said. */
static void
fetch_add_latin(struct text *text, const char *bytes, size_t len)
{
	unsigned char c;

	for (size_t i = 0; i < len; i++) {
		c = (unsigned char)bytes[i];
		if (c >= 0x80)
			text_add_char(text, (char)(0xc0 | c >> 6));
		text_add_char(text, (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c));
	}
}

static void
fetch_add_value(struct text *text, const char *bytes)
{
	size_t len = strlen(bytes);

	while (len > 0 && strchr(" \t\r\n", bytes[len - 1]) != NULL)
		len--; /* libcurl 7.88 leaves the line's end in an empty value */
	if (jsonspan_is_text(bytes, len))
		text_add(text, bytes, len);
	else
		fetch_add_latin(text, bytes, len);
}

/* "name":"value, value" of a header that has come amount times. */
static void
fetch_add_header(struct fetch *fetch, struct text *text, const char *name, size_t amount)
{
	struct curl_header *header;
	struct text plain = {0};

	for (const char *at = name; *at != '\0'; at++)
		text_add_char(&plain, (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at));
	text_add_char(&plain, '\0');
	text_add_quoted(text, plain.at); /* as a name it is a token, else libcurl would not have taken it */
	text_add_char(text, ':');
	text_clear(&plain);
	for (size_t i = 0; i < amount; i++) {
		if (curl_easy_header(fetch->easy, name, i, CURLH_HEADER, -1, &header) != CURLHE_OK)
			break;
		if (i > 0)
			text_add_lit(&plain, ", ");
		fetch_add_value(&plain, header->value);
	}
	text_add_quoted_n(text, plain.at, plain.len);
	text_done(&plain);
}

static void
fetch_add_headers(struct fetch *fetch, struct text *text)
{
	struct curl_header *header = NULL;
	bool first = true;

	text_add_lit(text, "\"headers\":{");
	while ((header = curl_easy_nextheader(fetch->easy, CURLH_HEADER, -1, header)) != NULL) {
		if (header->index > 0 || !jsonspan_is_text(header->name, strlen(header->name)))
			continue;
		if (!first)
			text_add_char(text, ',');
		first = false;
		fetch_add_header(fetch, text, header->name, header->amount);
	}
	text_add_char(text, '}');
}

static void
fetch_succeed(struct fetch *fetch, struct outcome *ret_outcome)
{
	struct text text = {0};
	long status = 0;
	size_t len;
	char *json;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	text_printf(&text, "{\"status\":%ld", status);
	if (fetch->status_only) {
		text_add_char(&text, '}');
		goto out;
	}
	text_add_char(&text, ',');
	fetch_add_headers(fetch, &text);
	text_printf(&text, ",\"bytes\":%zu,", fetch->received.len);
	text_add_bytes(&text, "body", "encoding", fetch->received.at, fetch->received.len);
	text_add_char(&text, '}');
	if (text.len > wait_max_result(fetch->wait)) {
		text_done(&text);
		outcome_set_error(ret_outcome, JOB_ERROR_RESULT_TOO_LARGE,
		    "%s: the result is longer than [limits] result", fetch->name);
		return;
	}
out:
	json = text_steal(&text, &len);
	outcome_take_result(ret_outcome, json, len);
}

/* "HOST port PORT" of where the transfer stood, after redirects too; the caller frees it. */
static char *
fetch_where(struct fetch *fetch)
{
	char *effective = NULL, *host = NULL, *port = NULL, *where;
	CURLU *url = curl_url();

	curl_easy_getinfo(fetch->easy, CURLINFO_EFFECTIVE_URL, &effective);
	curl_url_set(url, CURLUPART_URL, effective != NULL ? effective : fetch->url, CURLU_NON_SUPPORT_SCHEME);
	curl_url_get(url, CURLUPART_HOST, &host, 0);
	curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	where = mem_format("%s port %s", host != NULL ? host : "?", port != NULL ? port : "?");
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
	return where;
}

static void
fetch_fail(struct fetch *fetch, CURLcode code, struct outcome *ret_outcome)
{
	const char *words = fetch->words[0] != '\0' ? fetch->words : curl_easy_strerror(code);
	char *where = fetch_where(fetch);
	long os_errno = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &os_errno);
	if (fetch->too_long)
		outcome_set_error(ret_outcome, JOB_ERROR_RESULT_TOO_LARGE,
		    "%s: the body is longer than %zu bytes", fetch->name,
		    fetch->max_bytes < wait_max_result(fetch->wait) ? fetch->max_bytes : wait_max_result(fetch->wait));
	else if (fetch->headers_too_long)
		outcome_set_error(ret_outcome, JOB_ERROR_RESULT_TOO_LARGE, "%s: %s sends too many headers", fetch->name,
		    where);
	else if (fetch->refused_local)
		outcome_set_error(ret_outcome, JOB_ERROR_TASK_ERROR,
		    "%s: forbidden: %s is a loopback or link-local address", fetch->name, where);
	else if (code == CURLE_TOO_MANY_REDIRECTS)
		outcome_set_error(ret_outcome, JOB_ERROR_TASK_ERROR, "%s: %s: more than %ld redirects", fetch->name,
		    where, FETCH_REDIRECTS);
	else if (code == CURLE_COULDNT_CONNECT && os_errno != 0)
		outcome_set_error(ret_outcome, JOB_ERROR_TASK_ERROR, "%s: cannot connect to %s: %s", fetch->name,
		    where, strerror((int)os_errno));
	else
		outcome_set_error(ret_outcome, JOB_ERROR_TASK_ERROR, "%s: %s: %s", fetch->name, where, words);
	free(where);
}

static void
fetch_over(struct wait *wait, int curl_code)
{
	struct fetch *fetch = wait_state(wait);
	struct outcome outcome = {0};

	if (curl_code == CURLE_OK || (fetch->status_only && fetch->skipped > fetch->max_bytes))
		fetch_succeed(fetch, &outcome);
	else
		fetch_fail(fetch, (CURLcode)curl_code, &outcome);
	wait_finish(wait, &outcome);
}

void
fetch_start(struct fetch *fetch)
{
	struct outcome outcome = {0};

	fetch->easy = curl_easy_init();
	if (fetch->easy == NULL)
		abort();
	if (fetch_set_options(fetch) != 0 || fetch_set_callbacks(fetch) != 0 || fetch_set_request(fetch) != 0) {
		outcome_set_error(&outcome, JOB_ERROR_TASK_ERROR, "%s: this libcurl cannot do it", fetch->name);
		wait_finish(fetch->wait, &outcome);
		return;
	}
	wait_transfer(fetch->wait, fetch->easy, fetch_over);
}
