/*
 * Jobs as a program sees them: a copy of the object the daemon sent, and what is most asked of it as strings.
 *
 * A job never changes after it was read. What the daemon left out (fields) reads as none.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/state.h"

struct fut_job {
	int64_t id;
	enum fut_state state;
	char *json;
	char *result;
	char *error;
	char *error_type;
	char *error_message;
	char *progress;
};

struct fut_jobs {
	size_t count;
	struct fut_job **jobs;
};

void fut_job_free(struct fut_job *job)
{
	if (job == NULL)
		return;
	free(job->json);
	free(job->result);
	free(job->error);
	free(job->error_type);
	free(job->error_message);
	free(job->progress);
	free(job);
}

void fut_jobs_free(struct fut_jobs *jobs)
{
	if (jobs == NULL)
		return;
	for (size_t i = 0; i < jobs->count; i++)
		fut_job_free(jobs->jobs[i]);
	free(jobs->jobs);
	free(jobs);
}

static enum fut_state job_state(struct span job)
{
	struct span value;
	enum job_state state;
	char word[16];

	if (!jsonspan_get(job, "state", &value) || jsonspan_string_copy(value, word, sizeof(word)) < 0 ||
	    job_state_parse(word, &state) < 0)
		return FUT_PENDING;
	switch (state) {
	case JOB_PENDING: return FUT_PENDING;
	case JOB_RUNNING: return FUT_RUNNING;
	case JOB_SUCCEEDED: return FUT_SUCCEEDED;
	case JOB_FAILED: return FUT_FAILED;
	case JOB_CANCELLED: return FUT_CANCELLED;
	case JOB_STATE_COUNT: break;
	}
	return FUT_PENDING;
}

/* A string member of an object, unescaped; *ret_text is NULL where there is none. */
static int job_read_string(struct span object, const char *name, char **ret_text)
{
	struct span value;

	*ret_text = NULL;
	if (!jsonspan_get(object, name, &value))
		return 0;
	return jsonspan_string(value, ret_text, NULL) == -2 ? FUT_E_MEMORY : 0;
}

/* A member that is an object as JSON text; *ret_text is NULL where there is none. */
static int job_read_object(struct span object, const char *name, char **ret_text)
{
	struct span value;

	*ret_text = NULL;
	if (!jsonspan_get(object, name, &value) || jsonspan_type(value) != JSONSPAN_OBJECT)
		return 0;
	*ret_text = strndup(value.at, value.len);
	return *ret_text == NULL ? FUT_E_MEMORY : 0;
}

static int job_fill(struct fut_job *job, struct span object)
{
	struct span value;
	int r;

	job->json = strndup(object.at, object.len);
	if (job->json == NULL)
		return FUT_E_MEMORY;
	if (job->state == FUT_SUCCEEDED && jsonspan_get(object, "result", &value)) {
		job->result = strndup(value.at, value.len);
		if (job->result == NULL)
			return FUT_E_MEMORY;
	}
	r = job_read_object(object, "progress", &job->progress);
	if (r == 0)
		r = job_read_object(object, "error", &job->error);
	if (r < 0 || job->error == NULL)
		return r;
	value = (struct span){job->error, strlen(job->error)};
	r = job_read_string(value, "type", &job->error_type);
	return r < 0 ? r : job_read_string(value, "message", &job->error_message);
}

int job_parse(struct span object, struct fut_job **ret_job)
{
	struct fut_job *job;
	struct span value;
	int64_t id;
	int r;

	if (jsonspan_type(object) != JSONSPAN_OBJECT || !jsonspan_get(object, "id", &value) ||
	    jsonspan_integer(value, &id) < 0)
		return FUT_E_BAD_REPLY;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		return FUT_E_MEMORY;
	job->id = id;
	job->state = job_state(object);
	r = job_fill(job, object);
	if (r < 0) {
		fut_job_free(job);
		return r;
	}
	*ret_job = job;
	return 0;
}

static int job_read(struct fut_client *client, struct span object, struct fut_job **ret_job)
{
	int r = job_parse(object, ret_job);

	if (r == FUT_E_MEMORY)
		return client_fail(client, r, "out of memory for a job");
	if (r < 0)
		return client_fail(client, r, "the daemon sent something else where a job was due");
	return 0;
}

int fut_job_read(struct fut_client *client, const char *json, struct fut_job **ret_job)
{
	struct span value = {json, strlen(json)};

	if (jsonspan_validate_reply(value, &value, NULL) < 0)
		return client_fail(client, FUT_E_ARGUMENT, "what was to be read as a job is not JSON");
	return job_read(client, value, ret_job);
}

int fut_jobs_read(struct fut_client *client, const char *json, struct fut_jobs **ret_jobs)
{
	struct span value = {json, strlen(json)}, element;
	struct jsonspan_iter iter;
	struct fut_jobs *jobs;
	int r = 0;

	if (jsonspan_validate_reply(value, &value, NULL) < 0)
		return client_fail(client, FUT_E_ARGUMENT, "what was to be read as jobs is not JSON");
	if (jsonspan_type(value) != JSONSPAN_ARRAY)
		return client_fail(client, FUT_E_BAD_REPLY, "the daemon sent something else where jobs were due");
	jobs = calloc(1, sizeof(*jobs));
	if (jobs != NULL)
		jobs->jobs = calloc(jsonspan_length(value) + 1, sizeof(struct fut_job *));
	if (jobs == NULL || jobs->jobs == NULL) {
		fut_jobs_free(jobs);
		return client_fail(client, FUT_E_MEMORY, "out of memory for jobs");
	}
	jsonspan_iter_init(&iter, value);
	while (r == 0 && jsonspan_next(&iter, &element)) {
		r = job_read(client, element, &jobs->jobs[jobs->count]);
		jobs->count += r == 0;
	}
	if (r < 0) {
		fut_jobs_free(jobs);
		return r;
	}
	*ret_jobs = jobs;
	return 0;
}

size_t fut_jobs_count(const struct fut_jobs *jobs)
{
	return jobs->count;
}

const struct fut_job *fut_jobs_at(const struct fut_jobs *jobs, size_t index)
{
	return index < jobs->count ? jobs->jobs[index] : NULL;
}

int64_t fut_job_id(const struct fut_job *job)
{
	return job->id;
}

enum fut_state fut_job_state(const struct fut_job *job)
{
	return job->state;
}

const char *fut_state_name(enum fut_state state)
{
	switch (state) {
	case FUT_PENDING: return job_state_name(JOB_PENDING);
	case FUT_RUNNING: return job_state_name(JOB_RUNNING);
	case FUT_SUCCEEDED: return job_state_name(JOB_SUCCEEDED);
	case FUT_FAILED: return job_state_name(JOB_FAILED);
	case FUT_CANCELLED: return job_state_name(JOB_CANCELLED);
	}
	return "";
}

bool fut_job_ended(const struct fut_job *job)
{
	return job->state == FUT_SUCCEEDED || job->state == FUT_FAILED || job->state == FUT_CANCELLED;
}

const char *fut_job_result(const struct fut_job *job)
{
	return job->result;
}

const char *fut_job_error_type(const struct fut_job *job)
{
	return job->error_type;
}

const char *fut_job_error_message(const struct fut_job *job)
{
	return job->error_message;
}

const char *fut_job_error(const struct fut_job *job)
{
	return job->error;
}

const char *fut_job_progress(const struct fut_job *job)
{
	return job->progress;
}

const char *fut_job_json(const struct fut_job *job)
{
	return job->json;
}
