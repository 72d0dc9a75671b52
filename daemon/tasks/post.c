/*
 * post: see post.h. The answer's body is of no interest: some of it is read, so that the connection can be used again,
 * and none is kept.
 */
#include "post.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"
#include "http.h"

#define POST_TIMEOUT_MS         30000
#define POST_CONNECT_TIMEOUT_MS 10000
#define POST_SKIP_BYTES         65536

enum { PARAM_URL, PARAM_KEY, PARAM_BODY };

static const struct task_param post_params[] = {
    [PARAM_URL] = {"url", TYPE_STRING, true, "whom"},
    [PARAM_KEY] = {"key", TYPE_STRING, true, "the same each time that it is tried"},
    [PARAM_BODY] = {"body", TYPE_ANY, true, "what"},
    {NULL, TYPE_ANY, false, NULL},
};

static void
post_add_header(struct fetch *fetch, const char *line)
{
	struct curl_slist *headers = curl_slist_append(fetch->headers, line);

	if (headers == NULL)
		abort();
	fetch->headers = headers;
}

static void
post_fill(struct fetch *fetch, const struct span values[TASK_PARAMS_MAX])
{
	char *key = task_string(values[PARAM_KEY], NULL), *line = mem_format("Idempotency-Key: %s", key);

	fetch->url = task_string(values[PARAM_URL], NULL);
	post_add_header(fetch, line);
	post_add_header(fetch, "Content-Type: application/json");
	post_add_header(fetch, "Expect:"); /* else a long body waits a second for servers that know it not */
	free(line);
	free(key);
	fetch->method = mem_text("POST");
	fetch->body = mem_copy(values[PARAM_BODY].at, values[PARAM_BODY].len);
	fetch->body_len = values[PARAM_BODY].len;
	fetch->max_bytes = POST_SKIP_BYTES;
	fetch->status_only = fetch->stays_post = true;
	fetch->timeout_ms = POST_TIMEOUT_MS;
	fetch->connect_timeout_ms = POST_CONNECT_TIMEOUT_MS;
}

static void
post_begin(const struct task_call *call, struct wait *wait)
{
	struct fetch *fetch = mem_new(sizeof(*fetch));
	struct span values[TASK_PARAMS_MAX];
	struct outcome outcome = {0};

	fetch->wait = wait;
	fetch->name = task_post.name;
	fetch->restricted = wait_restricted(wait) && !wait_local_allowed(wait);
	wait_set_state(wait, fetch, fetch_free);
	if (task_bind(&task_post, call->args, values, &outcome) < 0) {
		wait_finish(wait, &outcome);
		return;
	}
	post_fill(fetch, values);
	fetch_start(fetch);
}

int
post_status(const struct outcome *outcome)
{
	struct span value;
	int64_t status;

	if (outcome->error != JOB_ERROR_NONE ||
	    !jsonspan_get((struct span){outcome->json, outcome->len}, "status", &value) ||
	    jsonspan_integer(value, &status) < 0)
		return 0;
	return (int)status;
}

const char *
post_check_url(const char *text)
{
	const char *why;
	CURLU *url;

	why = fetch_parse_url(text, &url);
	if (why == NULL)
		curl_url_cleanup(url);
	return why;
}

bool
post_url_is_local(const char *url)
{
	return fetch_url_is_local(url);
}

const struct task task_post = {
    .name = "webhook",
    .doc = "tells of a job's end",
    .kind = TASK_WAIT,
    .params = post_params,
    .begin = post_begin,
};
