/*
 * The rest of the protocol as functions: what is done again or forgotten, queues, and the service itself.
 *
 * All wait for their answer. What a result lacks of its promised shape is FUT_E_BAD_REPLY.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Calls a method with its parameters (freed; NULL without memory); the result is of no interest where ret is NULL. */
static int control_call(struct fut_client *client, const char *method, struct fut_params *params, char **ret_result)
{
	int r;

	if (params == NULL)
		return calls_no_memory(client);
	r = fut_call(client, method, params, ret_result);
	fut_params_free(params);
	return r;
}

/* What a method that takes one id tells of it: a yes or no under name, and where that is yes perhaps a number. */
static int control_one(struct fut_client *client, const char *method, int64_t id, const char *name, const char *number,
		       bool *ret_yes, int64_t *ret_number)
{
	struct fut_params *params = fut_params_new();
	struct span object;
	bool yes = false;
	int64_t value = 0;
	char *result;
	int r;

	if (params != NULL)
		fut_params_integer(params, "id", id);
	r = control_call(client, method, params, &result);
	if (r < 0)
		return r;
	object = (struct span){result, strlen(result)}; /* NOLINT(clang-analyzer-core.CallAndMessage): r is 0, so it is set */
	if (calls_bool(object, name, &yes) < 0 || (yes && number != NULL && calls_integer(object, number, &value) < 0))
		r = calls_bad_reply(client, method);
	free(result);
	if (r == 0 && ret_yes != NULL)
		*ret_yes = yes;
	if (r == 0 && ret_number != NULL)
		*ret_number = value;
	return r;
}

int fut_retry(struct fut_client *client, int64_t id, int64_t *ret_new)
{
	return control_one(client, "retry", id, "retried", "new", NULL, ret_new);
}

int fut_forget(struct fut_client *client, int64_t id, bool *ret_forgotten)
{
	return control_one(client, "forget", id, "forgotten", NULL, ret_forgotten, NULL);
}

static struct fut_params *control_queue(const char *queue)
{
	struct fut_params *params = fut_params_new();

	if (params != NULL)
		fut_params_string(params, "queue", queue);
	return params;
}

int fut_ping(struct fut_client *client)
{
	return fut_call(client, "ping", NULL, NULL);
}

int fut_pause(struct fut_client *client, const char *queue)
{
	return control_call(client, "pause", control_queue(queue), NULL);
}

int fut_resume(struct fut_client *client, const char *queue)
{
	return control_call(client, "resume", control_queue(queue), NULL);
}

int fut_set_queue(struct fut_client *client, const char *queue, int64_t limit)
{
	struct fut_params *params = control_queue(queue);

	if (params != NULL && limit == FUT_NO_LIMIT)
		fut_params_json(params, "limit", "null", SIZE_MAX);
	else if (params != NULL)
		fut_params_integer(params, "limit", limit);
	return control_call(client, "set_queue", params, NULL);
}

int fut_queues(struct fut_client *client, char **ret_queues)
{
	return fut_call(client, "queues", NULL, ret_queues);
}

int fut_tasks(struct fut_client *client, char **ret_tasks)
{
	return fut_call(client, "tasks", NULL, ret_tasks);
}

int fut_stats(struct fut_client *client, char **ret_stats)
{
	return fut_call(client, "stats", NULL, ret_stats);
}

int fut_drain(struct fut_client *client, double wait_s)
{
	struct fut_params *params = fut_params_new();

	if (params != NULL && wait_s >= 0)
		fut_params_number(params, "wait", wait_s);
	return control_call(client, "drain", params, NULL);
}
