/*
 * The methods of the protocol as functions: each builds its parameters, calls, and reads the result.
 *
 * All wait for their answer. What a result lacks of its promised shape is FUT_E_BAD_REPLY.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define CALLS_LONG_S 1e9 /* thirty years */

int calls_no_memory(struct fut_client *client)
{
	client_fail(client, FUT_E_MEMORY, "out of memory for a request");
	return FUT_E_MEMORY;
}

int calls_bad_reply(struct fut_client *client, const char *method)
{
	return client_fail(client, FUT_E_BAD_REPLY, "the daemon's answer to %s is not of the form it should have",
			   method);
}

static struct span calls_span(const char *json)
{
	return (struct span){json, strlen(json)};
}

int calls_integer(struct span result, const char *name, int64_t *ret)
{
	struct span value;

	return jsonspan_get(result, name, &value) ? jsonspan_integer(value, ret) : -1;
}

int calls_bool(struct span result, const char *name, bool *ret)
{
	struct span value;

	return jsonspan_get(result, name, &value) ? jsonspan_bool(value, ret) : -1;
}

struct fut_params *calls_submit_params(const char *task, const char *what, const char *json,
				       const struct fut_params *options)
{
	struct fut_params *params = params_copy(options);

	if (params == NULL)
		return NULL;
	fut_params_string(params, "task", task);
	if (json != NULL)
		fut_params_json(params, what, json, SIZE_MAX);
	return params;
}

static int calls_submit(struct fut_client *client, const char *method, const char *task, const char *what,
			const char *json, const struct fut_params *options, char **ret_result)
{
	struct fut_params *params = calls_submit_params(task, what, json, options);
	int r;

	if (params == NULL)
		return calls_no_memory(client);
	r = fut_call(client, method, params, ret_result);
	fut_params_free(params);
	return r;
}

int fut_submit(struct fut_client *client, const char *task, const char *args, const struct fut_params *options,
	       int64_t *ret_id)
{
	char *result;
	int r = calls_submit(client, "submit", task, "args", args, options, &result);

	if (r < 0)
		return r;
	r = calls_integer(calls_span(result), "id", ret_id) < 0 ? calls_bad_reply(client, "submit") : 0;
	free(result);
	return r;
}

int fut_map(struct fut_client *client, const char *task, const char *items, const struct fut_params *options,
	    int64_t *ret_first, int64_t *ret_count)
{
	char *result;
	int64_t first = 0, count;
	int r = calls_submit(client, "map", task, "items", items, options, &result);

	if (r < 0)
		return r;
	if (calls_integer(calls_span(result), "count", &count) < 0 ||
	    (count > 0 && calls_integer(calls_span(result), "first", &first) < 0)) {
		r = calls_bad_reply(client, "map");
	} else {
		*ret_first = first;
		*ret_count = count;
	}
	free(result);
	return r;
}

static void calls_put_wait(struct fut_params *params, double wait_s)
{
	if (wait_s >= 0)
		fut_params_number(params, "wait", wait_s);
}

int fut_run(struct fut_client *client, const char *task, const char *args, const struct fut_params *options,
	    double wait_s, struct fut_job **ret_job)
{
	struct fut_params *params = calls_submit_params(task, "args", args, options);
	char *result;
	int r;

	if (params == NULL)
		return calls_no_memory(client);
	calls_put_wait(params, wait_s);
	r = fut_call(client, "run", params, &result);
	fut_params_free(params);
	if (r < 0)
		return r;
	r = fut_job_read(client, result, ret_job);
	free(result);
	return r;
}

int fut_status(struct fut_client *client, int64_t id, struct fut_job **ret_job)
{
	struct fut_params *params = fut_params_new();
	char *result;
	int r;

	if (params == NULL)
		return calls_no_memory(client);
	fut_params_integer(params, "id", id);
	r = fut_call(client, "status", params, &result);
	fut_params_free(params);
	if (r < 0)
		return r;
	r = fut_job_read(client, result, ret_job);
	free(result);
	return r;
}

static int calls_read_await(struct fut_client *client, const char *result, bool *ret_timed_out,
			    struct fut_jobs **ret_jobs)
{
	struct span done;
	bool timed_out;
	char *copy;
	int r = 0;

	if (calls_bool(calls_span(result), "timed_out", &timed_out) < 0)
		return calls_bad_reply(client, "await");
	if (ret_jobs != NULL) {
		if (!jsonspan_get(calls_span(result), "done", &done))
			return calls_bad_reply(client, "await");
		copy = strndup(done.at, done.len);
		if (copy == NULL)
			return calls_no_memory(client);
		r = fut_jobs_read(client, copy, ret_jobs);
		free(copy);
	}
	if (r == 0 && ret_timed_out != NULL)
		*ret_timed_out = timed_out;
	return r;
}

int fut_await(struct fut_client *client, const struct fut_range *ranges, size_t n_ranges, enum fut_when when,
	      double wait_s, bool *ret_timed_out, struct fut_jobs **ret_jobs)
{
	struct fut_params *params = fut_params_new();
	char *result;
	int r;

	if (params == NULL)
		return calls_no_memory(client);
	fut_params_ranges(params, ranges, n_ranges);
	calls_put_wait(params, wait_s);
	if (when != FUT_ALL)
		fut_params_string(params, "return_when", when == FUT_ANY ? "any" : "first_failure");
	if (ret_jobs == NULL)
		fut_params_bool(params, "jobs", false);
	r = fut_call(client, "await", params, &result);
	fut_params_free(params);
	if (r < 0)
		return r;
	r = calls_read_await(client, result, ret_timed_out, ret_jobs);
	free(result);
	return r;
}

/* The daemon's await takes a selection of one as any other; its one job, if it ended, is the first of done. */
int fut_await_job(struct fut_client *client, int64_t id, double wait_s, struct fut_job **ret_job)
{
	struct fut_range range = {id, id};
	struct fut_jobs *jobs = NULL;
	bool timed_out = false;
	int r;

	r = fut_await(client, &range, 1, FUT_ALL, wait_s, &timed_out, &jobs);
	if (r < 0)
		return r;
	if (fut_jobs_count(jobs) == 1)
		r = fut_job_read(client, fut_job_json(fut_jobs_at(jobs, 0)), ret_job);
	else if (timed_out)
		r = client_fail(client, FUT_E_TIMED_OUT, "job %lld has not ended yet", (long long)id);
	else
		r = calls_bad_reply(client, "await");
	fut_jobs_free(jobs);
	return r;
}

int fut_cancel(struct fut_client *client, int64_t id, double grace_s, const char *reason, bool *ret_cancelled)
{
	struct fut_params *params = fut_params_new();
	bool cancelled;
	char *result;
	int r;

	if (params == NULL)
		return calls_no_memory(client);
	fut_params_integer(params, "id", id);
	fut_params_number(params, "grace", grace_s);
	if (reason != NULL)
		fut_params_string(params, "reason", reason);
	r = fut_call(client, "cancel", params, &result);
	fut_params_free(params);
	if (r < 0)
		return r;
	if (calls_bool(calls_span(result), "cancelled", &cancelled) < 0)
		r = calls_bad_reply(client, "cancel");
	else if (ret_cancelled != NULL)
		*ret_cancelled = cancelled;
	free(result);
	return r;
}

int fut_list(struct fut_client *client, const struct fut_params *params, struct fut_jobs **ret_jobs, int64_t *ret_next)
{
	struct span jobs, next;
	int64_t after = 0;
	char *result, *copy = NULL;
	int r;

	r = fut_call(client, "list", params, &result);
	if (r < 0)
		return r;
	if (jsonspan_type(calls_span(result)) != JSONSPAN_OBJECT || !jsonspan_get(calls_span(result), "jobs", &jobs) ||
	    !jsonspan_get(calls_span(result), "next", &next) ||
	    (jsonspan_type(next) != JSONSPAN_NULL && jsonspan_integer(next, &after) < 0)) {
		r = calls_bad_reply(client, "list");
	} else {
		copy = strndup(jobs.at, jobs.len);
		r = copy == NULL ? calls_no_memory(client) : fut_jobs_read(client, copy, ret_jobs);
	}
	if (r == 0)
		*ret_next = after;
	free(copy);
	free(result);
	return r;
}

int fut_output(struct fut_client *client, int64_t id, enum fut_stream stream, int64_t offset, int64_t limit,
	       double wait_s, struct fut_chunk *ret_chunk)
{
	struct fut_params *params = fut_params_new();
	char *result;
	int r;

	if (params == NULL)
		return calls_no_memory(client);
	fut_params_integer(params, "id", id);
	fut_params_string(params, "stream", stream == FUT_STDERR ? "stderr" : "stdout");
	fut_params_integer(params, "offset", offset);
	if (limit > 0)
		fut_params_integer(params, "limit", limit);
	/* Without a wait the daemon may answer at once, so a wait without limit is written out. */
	fut_params_number(params, "wait", wait_s < 0 ? CALLS_LONG_S : wait_s);
	r = fut_call(client, "output", params, &result);
	fut_params_free(params);
	if (r < 0)
		return r;
	r = fut_chunk_read(client, result, ret_chunk);
	free(result);
	return r;
}

int fut_chunk_read(struct fut_client *client, const char *result, struct fut_chunk *ret_chunk)
{
	struct span object = calls_span(result), data, encoding;
	struct fut_chunk chunk;
	long len;
	int r;

	if (jsonspan_validate_reply(object, &object, NULL) < 0)
		return client_fail(client, FUT_E_ARGUMENT, "what was to be read as output is not JSON");
	if (calls_integer(calls_span(result), "next", &chunk.next) < 0 ||
	    calls_bool(calls_span(result), "eof", &chunk.eof) < 0 || !jsonspan_get(object, "data", &data) ||
	    !jsonspan_get(object, "encoding", &encoding))
		return calls_bad_reply(client, "output");
	r = jsonspan_string(data, &chunk.bytes, &chunk.len);
	if (r < 0)
		return r == -2 ? calls_no_memory(client) : calls_bad_reply(client, "output");
	if (jsonspan_type(encoding) == JSONSPAN_STRING && jsonspan_is(encoding, "base64")) {
		len = text_unbase64(chunk.bytes, chunk.len);
		if (len < 0) {
			free(chunk.bytes);
			return calls_bad_reply(client, "output");
		}
		chunk.len = (size_t)len;
		chunk.bytes[chunk.len] = '\0';
	}
	*ret_chunk = chunk;
	return 0;
}
