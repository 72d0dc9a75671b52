/*
 * http: http.fetch. Here its arguments are read. What a header or a method could smuggle into the connection, which
 * others use after it, is refused.
 */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base64.h"
#include "daemon/mem.h"
#include "daemon/netaddr.h"
#include "tasks.h"

#define FETCH_MAX_BYTES  1048576
#define FETCH_URL_LEN    65536
#define FETCH_METHOD_LEN 32

enum { PARAM_URL, PARAM_METHOD, PARAM_HEADERS, PARAM_BODY, PARAM_MAX_BYTES, PARAM_BODY_ENCODING };

static const struct task_param fetch_params[] = {
    [PARAM_URL] = {"url", TYPE_STRING, true, "http or https; up to 10 redirects are followed"},
    [PARAM_METHOD] = {"method", TYPE_STRING, false, "GET unless given"},
    [PARAM_HEADERS] = {"headers", TYPE_OBJECT, false, "names and values to send"},
    [PARAM_BODY] = {"body", TYPE_STRING, false, "what to send"},
    [PARAM_MAX_BYTES] = {"max_bytes", TYPE_INTEGER, false, "a longer body is ResultTooLarge; 1048576 unless given"},
    [PARAM_BODY_ENCODING] = {"body_encoding", TYPE_STRING, false, "of body: utf-8 unless given, or base64"},
    {NULL, TYPE_ANY, false, NULL},
};

#define fetch_bad(outcome, ...) (outcome_set_error((outcome), JOB_ERROR_BAD_ARGUMENTS, "http.fetch: " __VA_ARGS__), -1)

const char *
fetch_parse_url(const char *text, CURLU **ret_url)
{
	CURLU *url = curl_url();
	const char *why = NULL;
	char *scheme = NULL;
	CURLUcode code;

	if (url == NULL)
		abort();
	code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
	if (code == CURLUE_OK)
		code = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
	if (code != CURLUE_OK)
		why = curl_url_strerror(code);
	else if (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0)
		why = "only http and https are spoken here";
	else if (text[strlen(scheme)] != ':' || strncmp(text + strlen(scheme) + 1, "///", 3) == 0)
		why = "it has no host"; /* libcurl would take the path for one */
	curl_free(scheme);
	if (why == NULL)
		*ret_url = url;
	else
		curl_url_cleanup(url);
	return why;
}

bool
fetch_url_is_local(const char *text)
{
	bool local = false;
	CURLU *url;
	char *host;

	if (fetch_parse_url(text, &url) != NULL)
		return false;
	if (curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		local = netaddr_host_is_local(host);
		curl_free(host);
	}
	curl_url_cleanup(url);
	return local;
}

static int
fetch_read_url(struct fetch *fetch, struct span value, struct outcome *ret_outcome)
{
	const char *why;
	size_t len;
	CURLU *url;

	fetch->url = task_string(value, &len);
	if (len > FETCH_URL_LEN)
		return fetch_bad(ret_outcome, "url is longer than %d bytes", FETCH_URL_LEN);
	why = fetch_parse_url(fetch->url, &url);
	if (why != NULL)
		return fetch_bad(ret_outcome, "url: %s", why);
	curl_url_cleanup(url);
	return 0;
}

static int
fetch_read_method(struct fetch *fetch, struct span value, struct outcome *ret_outcome)
{
	char method[FETCH_METHOD_LEN + 1] = "GET";

	if (value.at != NULL && jsonspan_string_copy(value, method, sizeof(method)) < 0)
		return fetch_bad(ret_outcome, "method is longer than %d bytes", FETCH_METHOD_LEN);
	for (char *at = method; *at != '\0'; at++) {
		if (*at >= 'a' && *at <= 'z')
			*at = (char)(*at - 'a' + 'A');
		else if ((*at < 'A' || *at > 'Z') && *at != '-')
			return fetch_bad(ret_outcome, "method must be made of letters");
	}
	if (method[0] == '\0' || strcmp(method, "CONNECT") == 0)
		return fetch_bad(ret_outcome, "method must be one such as GET, POST or DELETE");
	fetch->method = mem_text(method);
	return 0;
}

static bool
fetch_is_header_name(const char *name)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	return name[0] != '\0' && name[strspn(name, token)] == '\0';
}

/* These say where a message ends: libcurl writes them itself. */
static bool
fetch_is_framing(const char *name)
{
	return strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0;
}

static void
fetch_add_header(struct fetch *fetch, const char *line)
{
	struct curl_slist *headers = curl_slist_append(fetch->headers, line);

	if (headers == NULL)
		abort();
	fetch->headers = headers;
}

static int
fetch_read_header(struct fetch *fetch, const char *name, struct span value, struct outcome *ret_outcome)
{
	char *text, *line;
	size_t len;

	if (!fetch_is_header_name(name))
		return fetch_bad(ret_outcome, "headers: \"%.100s\" is no name of a header", name);
	if (fetch_is_framing(name))
		return fetch_bad(ret_outcome, "headers: %s is set by the daemon", name);
	if (jsonspan_type(value) != JSONSPAN_STRING)
		return fetch_bad(ret_outcome, "headers: the value of %.100s must be a string", name);
	text = task_string(value, &len);
	if (strpbrk(text, "\r\n") != NULL) {
		free(text);
		return fetch_bad(ret_outcome, "headers: the value of %.100s has a line break", name);
	}
	/* libcurl's way to send a header without a value */
	line = text[strspn(text, " \t")] == '\0' ? mem_format("%s;", name) : mem_format("%s: %s", name, text);
	fetch_add_header(fetch, line);
	free(line);
	free(text);
	return 0;
}

static int
fetch_read_headers(struct fetch *fetch, struct span headers, struct outcome *ret_outcome)
{
	bool has_type = false, has_expect = false;
	struct jsonspan_iter iter;
	struct span key, value;
	char *name;
	int r = 0;

	if (headers.at == NULL)
		headers = SPAN_LIT("{}");
	jsonspan_iter_init(&iter, headers);
	while (r == 0 && jsonspan_next_member(&iter, &key, &value)) {
		name = task_string(key, NULL);
		has_type |= strcasecmp(name, "content-type") == 0;
		has_expect |= strcasecmp(name, "expect") == 0;
		r = fetch_read_header(fetch, name, value, ret_outcome);
		free(name);
	}
	if (!has_type)
		fetch_add_header(fetch, "Content-Type:"); /* else libcurl says that each body is a form */
	if (!has_expect)
		fetch_add_header(fetch, "Expect:"); /* else a long body waits a second for servers that know it not */
	return r;
}

static int
fetch_read_body(struct fetch *fetch, struct span body, struct span encoding, struct outcome *ret_outcome)
{
	char *text;
	int r = 0;

	if (body.at == NULL)
		return 0;
	if (strcmp(fetch->method, "HEAD") == 0)
		return fetch_bad(ret_outcome, "HEAD takes no body");
	fetch->body = task_string(body, &fetch->body_len);
	if (encoding.at == NULL || jsonspan_is(encoding, "utf-8"))
		return 0;
	if (!jsonspan_is(encoding, "base64"))
		return fetch_bad(ret_outcome, "body_encoding must be \"utf-8\" or \"base64\"");
	text = fetch->body;
	fetch->body = NULL;
	if (base64_decode(text, fetch->body_len, &fetch->body, &fetch->body_len) < 0)
		r = fetch_bad(ret_outcome, "body is not base64");
	free(text);
	return r;
}

static int
fetch_read_args(struct fetch *fetch, struct span args, struct outcome *ret_outcome)
{
	struct span values[TASK_PARAMS_MAX];
	int64_t max_bytes = FETCH_MAX_BYTES;

	if (task_bind(&task_http_fetch, args, values, ret_outcome) < 0 ||
	    fetch_read_url(fetch, values[PARAM_URL], ret_outcome) < 0 ||
	    fetch_read_method(fetch, values[PARAM_METHOD], ret_outcome) < 0 ||
	    fetch_read_headers(fetch, values[PARAM_HEADERS], ret_outcome) < 0 ||
	    fetch_read_body(fetch, values[PARAM_BODY], values[PARAM_BODY_ENCODING], ret_outcome) < 0)
		return -1;
	if (values[PARAM_MAX_BYTES].at != NULL &&
	    (jsonspan_integer(values[PARAM_MAX_BYTES], &max_bytes) < 0 || max_bytes < 0))
		return fetch_bad(ret_outcome, "max_bytes must not be negative");
	fetch->max_bytes = (size_t)max_bytes;
	return 0;
}

static void
fetch_begin(const struct task_call *call, struct wait *wait)
{
	struct fetch *fetch = mem_new(sizeof(*fetch));
	struct outcome outcome = {0};

	fetch->wait = wait;
	fetch->name = task_http_fetch.name;
	fetch->restricted = wait_restricted(wait) && !wait_local_allowed(wait);
	wait_set_state(wait, fetch, fetch_free);
	if (fetch_read_args(fetch, call->args, &outcome) < 0)
		wait_finish(wait, &outcome);
	else
		fetch_start(fetch);
}

/* One of the arguments without the errors that the task itself tells; SPAN_NONE when it is not there. */
static struct span
fetch_peek(struct span args, int param)
{
	struct span values[TASK_PARAMS_MAX];
	struct outcome outcome = {0};

	if (task_bind(&task_http_fetch, args, values, &outcome) < 0) {
		outcome_done(&outcome);
		return SPAN_NONE;
	}
	return values[param];
}

static bool
fetch_is_idempotent(struct span args)
{
	struct span method = fetch_peek(args, PARAM_METHOD);
	char text[8];

	if (method.at == NULL)
		return true;
	return jsonspan_string_copy(method, text, sizeof(text)) == 0 &&
	    (strcasecmp(text, "GET") == 0 || strcasecmp(text, "HEAD") == 0);
}

/* Names are looked at when they are looked up; here is only what can be told at once. */
static const char *
fetch_check_user(struct span args, bool local_allowed)
{
	struct span value = fetch_peek(args, PARAM_URL);
	bool local;
	char *text;

	if (local_allowed || value.at == NULL)
		return NULL;
	text = task_string(value, NULL);
	local = strlen(text) <= FETCH_URL_LEN && fetch_url_is_local(text);
	free(text);
	return local ? "loopback and link-local addresses are not for the role user ([http] local)" : NULL;
}

const struct task task_http_fetch = {
    .name = "http.fetch",
    .doc = "fetches a URL; any status is a success",
    .kind = TASK_WAIT,
    .idempotent = true,
    .params = fetch_params,
    .is_idempotent = fetch_is_idempotent,
    .check_user = fetch_check_user,
    .begin = fetch_begin,
};
