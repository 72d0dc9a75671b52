/*
 * frame: see frame.h. Payloads are written by hand, since a tree for each of a million small jobs a second would cost
 * more than the jobs.
 */
#include "daemon/frame.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

int
frame_cut(const char *bytes, size_t len, struct frame_header *ret_header, struct span *ret_payload)
{
	if (len < sizeof(*ret_header))
		return 0;
	memcpy(ret_header, bytes, sizeof(*ret_header));
	if (ret_header->version != FRAME_VERSION || ret_header->type < FRAME_HELLO || ret_header->type > FRAME_PROGRESS ||
	    ret_header->length > FRAME_MAX)
		return -1;
	if (len - sizeof(*ret_header) < ret_header->length)
		return 0;
	*ret_payload = (struct span){bytes + sizeof(*ret_header), ret_header->length};
	return 1;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int
frame_read_object(struct span payload, struct span *ret_object)
{
	if (jsonspan_validate(payload, ret_object, NULL) < 0 || jsonspan_type(*ret_object) != JSONSPAN_OBJECT)
		return -1;
	return 0;
}

static int
frame_get_integer(struct span object, const char *name, int64_t min, int64_t max, int64_t *ret)
{
	struct span value;
	int64_t number;

	if (!jsonspan_get(object, name, &value) || jsonspan_integer(value, &number) < 0 || number < min || number > max)
		return -1;
	*ret = number;
	return 0;
}

/* As many numbers as there are fields, none of them negative. */
static int
frame_read_numbers(struct span array, int64_t *const fields[], size_t n_fields)
{
	struct jsonspan_iter iter;
	struct span value;
	size_t n = 0;

	if (jsonspan_type(array) != JSONSPAN_ARRAY)
		return -1;
	jsonspan_iter_init(&iter, array);
	while (jsonspan_next(&iter, &value)) {
		if (n == n_fields || jsonspan_integer(value, fields[n]) < 0 || *fields[n] < 0)
			return -1;
		n++;
	}
	return n == n_fields ? 0 : -1;
}

int
frame_read_job(struct span payload, struct frame_job *ret_job)
{
	struct frame_job job = {.as = FRAME_AS_OURSELVES};
	int64_t *const limits[] = {&job.limits.memory_mib, &job.limits.cpu_s, &job.limits.files};
	struct span object, limited, who;
	int64_t attempt;

	if (frame_read_object(payload, &object) < 0 || !jsonspan_get(object, "task", &job.task) ||
	    jsonspan_type(job.task) != JSONSPAN_STRING || !jsonspan_get(object, "args", &job.args) ||
	    frame_get_integer(object, "attempt", 0, UINT_MAX, &attempt) < 0 ||
	    (jsonspan_get(object, "limits", &limited) && frame_read_numbers(limited, limits, 3) < 0) ||
	    (jsonspan_get(object, "as", &who) && frame_get_integer(object, "as", -1, UINT_MAX, &job.as) < 0))
		return -1;
	job.attempt = (unsigned)attempt;
	*ret_job = job;
	return 0;
}

int
frame_read_cancel(struct span payload, int64_t *ret_grace_ms)
{
	struct span object;

	if (frame_read_object(payload, &object) < 0)
		return -1;
	return frame_get_integer(object, "grace_ms", 0, INT64_MAX, ret_grace_ms);
}

int
frame_read_output(struct span payload, int64_t *ret_stdout, int64_t *ret_stderr)
{
	struct span object;
	int64_t out, err;

	if (frame_read_object(payload, &object) < 0 || frame_get_integer(object, "stdout", 0, INT64_MAX, &out) < 0 ||
	    frame_get_integer(object, "stderr", 0, INT64_MAX, &err) < 0)
		return -1;
	*ret_stdout = out;
	*ret_stderr = err;
	return 0;
}

static int
frame_read_usage(struct span array, struct usage *ret_usage)
{
	int64_t *const fields[] = {&ret_usage->user_us, &ret_usage->system_us, &ret_usage->max_rss_kib};

	ret_usage->known = frame_read_numbers(array, fields, sizeof(fields) / sizeof(fields[0])) == 0;
	return ret_usage->known ? 0 : -1;
}

int
frame_read_progress(struct span payload, struct progress *ret_progress)
{
	struct progress progress = {0};
	struct span object, text;
	int64_t millionths;

	if (frame_read_object(payload, &object) < 0 ||
	    frame_get_integer(object, "millionths", 0, PROGRESS_MILLION, &millionths) < 0 ||
	    !jsonspan_get(object, "text", &text) || jsonspan_type(text) != JSONSPAN_STRING ||
	    jsonspan_string_copy(text, progress.text, sizeof(progress.text)) < 0)
		return -1;
	progress.millionths = (int32_t)millionths;
	*ret_progress = progress;
	return 0;
}

/* The type of an error object: JOB_ERROR_NONE when it is none that a worker may send. */
static enum job_error
frame_error_type(struct span error)
{
	struct span type, message;
	char name[32];

	if (jsonspan_type(error) != JSONSPAN_OBJECT || !jsonspan_get(error, "type", &type) ||
	    !jsonspan_get(error, "message", &message) || jsonspan_type(message) != JSONSPAN_STRING ||
	    jsonspan_string_copy(type, name, sizeof(name)) < 0)
		return JOB_ERROR_NONE;
	return job_error_parse(name);
}

int
frame_read_result(struct span payload, struct outcome *ret_outcome)
{
	enum job_error error = JOB_ERROR_NONE;
	struct span object, usage, value;
	struct usage cost = {0};
	bool later = false;

	if (frame_read_object(payload, &object) < 0 || !jsonspan_get(object, "usage", &usage) ||
	    frame_read_usage(usage, &cost) < 0)
		return -1;
	if (!jsonspan_get(object, "result", &value)) {
		later = jsonspan_get(object, "later", &value);
		if (!later && !jsonspan_get(object, "error", &value))
			return -1;
		error = frame_error_type(value);
		if (error == JOB_ERROR_NONE)
			return -1;
	}
	*ret_outcome = (struct outcome){
	    .error = error, .json = mem_copy(value.at, value.len), .len = value.len, .usage = cost, .later = later};
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

void
frame_out_done(struct frame_out *out)
{
	free(out->bytes);
	*out = (struct frame_out){0};
}

static char *
frame_room(struct frame_out *out, size_t len)
{
	if (out->capacity - out->len < len) {
		size_t capacity = out->capacity ? out->capacity : 4096;

		while (capacity - out->len < len)
			capacity *= 2;
		out->bytes = mem_grow(out->bytes, capacity, 1);
		out->capacity = capacity;
	}
	return out->bytes + out->len;
}

/* Writes the header and the payload: head, then body, then tail (body may be SPAN_NONE). */
static void
frame_put(struct frame_out *out, enum frame_type type, uint64_t job, uint64_t token, struct span head, struct span body,
    struct span tail)
{
	size_t length = head.len + body.len + tail.len;
	struct frame_header header = {.length = (uint32_t)length,
	    .version = FRAME_VERSION,
	    .type = (uint8_t)type,
	    .job = job,
	    .token = token};
	char *at = frame_room(out, sizeof(header) + length);

	assert(length <= FRAME_MAX);
	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	memcpy(at, head.at, head.len);
	if (body.len > 0)
		memcpy(at + head.len, body.at, body.len);
	if (tail.len > 0)
		memcpy(at + head.len + body.len, tail.at, tail.len);
	out->len += sizeof(header) + length;
}

#define FRAME_HEAD_MAX 256

static struct span
frame_head(char *buf, int n)
{
	assert(n > 0 && n < FRAME_HEAD_MAX);
	return (struct span){buf, (size_t)n};
}

void
frame_put_hello(struct frame_out *out, int pid)
{
	char buf[FRAME_HEAD_MAX];
	int n = snprintf(buf, sizeof(buf), "{\"version\":%d,\"pid\":%d}", FRAME_VERSION, pid);

	frame_put(out, FRAME_HELLO, 0, 0, frame_head(buf, n), SPAN_NONE, SPAN_NONE);
}

void
frame_put_job(struct frame_out *out, uint64_t job, uint64_t token, const char *task, unsigned attempt,
    const struct spec_limits *limits, int64_t as, struct span args)
{
	char buf[FRAME_HEAD_MAX], limited[FRAME_HEAD_MAX / 2] = "", who[32] = "";
	int n;

	if (limits->memory_mib > 0 || limits->cpu_s > 0 || limits->files > 0)
		snprintf(limited, sizeof(limited), "\"limits\":[%lld,%lld,%lld],", (long long)limits->memory_mib,
		    (long long)limits->cpu_s, (long long)limits->files);
	if (as != FRAME_AS_OURSELVES)
		snprintf(who, sizeof(who), "\"as\":%lld,", (long long)as);
	n = snprintf(buf, sizeof(buf), "{\"task\":\"%s\",\"attempt\":%u,%s%s\"args\":", task, attempt, limited, who);
	frame_put(out, FRAME_JOB, job, token, frame_head(buf, n), args, SPAN_LIT("}"));
}

void
frame_put_cancel(struct frame_out *out, uint64_t job, uint64_t token, int64_t grace_ms)
{
	char buf[FRAME_HEAD_MAX];
	int n = snprintf(buf, sizeof(buf), "{\"grace_ms\":%lld}", (long long)grace_ms);

	frame_put(out, FRAME_CANCEL, job, token, frame_head(buf, n), SPAN_NONE, SPAN_NONE);
}

void
frame_put_started(struct frame_out *out, uint64_t job, uint64_t token, int pid)
{
	char buf[FRAME_HEAD_MAX];
	int n = snprintf(buf, sizeof(buf), "{\"pid\":%d}", pid);

	frame_put(out, FRAME_STARTED, job, token, frame_head(buf, n), SPAN_NONE, SPAN_NONE);
}

void
frame_put_output(struct frame_out *out, uint64_t job, uint64_t token, int64_t stdout_bytes, int64_t stderr_bytes)
{
	char buf[FRAME_HEAD_MAX];
	int n = snprintf(buf, sizeof(buf), "{\"stdout\":%lld,\"stderr\":%lld}", (long long)stdout_bytes,
	    (long long)stderr_bytes);

	frame_put(out, FRAME_OUTPUT, job, token, frame_head(buf, n), SPAN_NONE, SPAN_NONE);
}

void
frame_put_progress(struct frame_out *out, uint64_t job, uint64_t token, const struct progress *progress)
{
	char buf[FRAME_HEAD_MAX], quoted[JSONSPAN_QUOTED_MAX(PROGRESS_TEXT)];
	int n = snprintf(buf, sizeof(buf), "{\"millionths\":%d,\"text\":", (int)progress->millionths);
	size_t len = jsonspan_quote(progress->text, strlen(progress->text), quoted);

	frame_put(out, FRAME_PROGRESS, job, token, frame_head(buf, n), (struct span){quoted, len}, SPAN_LIT("}"));
}

void
frame_put_result(struct frame_out *out, uint64_t job, uint64_t token, const struct outcome *outcome)
{
	const struct usage *usage = &outcome->usage;
	char buf[FRAME_HEAD_MAX];
	int n = snprintf(buf, sizeof(buf), "{\"usage\":[%lld,%lld,%lld],\"%s\":", (long long)usage->user_us,
	    (long long)usage->system_us, (long long)usage->max_rss_kib,
	    outcome->error == JOB_ERROR_NONE ? "result"
		: outcome->later	     ? "later"
					     : "error");

	frame_put(out, FRAME_RESULT, job, token, frame_head(buf, n), (struct span){outcome->json, outcome->len},
	    SPAN_LIT("}"));
}
