/*
 * Futures as programs see them: made by a submission or of an id, asked, waited for, cancelled, freed.
 *
 * A future lives until it is freed, also beyond its client; then client is NULL, and it has settled.
 */
#include "future.h"

#include <stdlib.h>
#include <string.h>

struct future_call {
	struct ring ring; /* in future->calls */
	struct due due;
	struct fut_future *future;
	fut_future_cb callback;
	void *arg;
};

void futures_init(struct futures *futures)
{
	ring_init(&futures->adding);
	ring_init(&futures->fresh);
	ring_init(&futures->done);
	ring_init(&futures->groups);
}

static void future_send_cancel(struct fut_client *client, struct fut_future *future)
{
	struct fut_params *params = future->cancel;

	future->cancel = NULL;
	fut_params_integer(params, "id", future->node.id);
	(void)requests_send(client, "cancel", params, NULL, NULL, NULL);
	fut_params_free(params);
}

void future_settle(struct fut_client *client, struct fut_future *future, struct fut_job *job,
		   const struct failure *failure)
{
	if (future->node.id != 0)
		ids_remove(&client->futures.table, &future->node);
	future->group = NULL;
	future->done = true;
	future->running = false;
	future->job = job;
	if (job == NULL)
		failure_copy(&future->failure, failure);
	else if (fut_job_state(job) != FUT_SUCCEEDED)
		future->failure.code = fut_job_state(job) == FUT_CANCELLED ? FUT_E_JOB_CANCELLED : FUT_E_JOB_FAILED;
	ring_add(&client->futures.done, &future->ring);
	for (struct ring *link = future->calls.behind; link != &future->calls; link = link->behind)
		due_add(client, &RING_OF(link, struct future_call, ring)->due);
}

void future_accept(struct fut_client *client, struct fut_future *future, int64_t id)
{
	struct failure failure = {0};

	future->node.id = id;
	if (ids_add(&client->futures.table, &future->node) < 0) {
		future->node.id = 0;
		failure_set_code(&failure, FUT_E_MEMORY);
		future_settle(client, future, NULL, &failure);
		future->node.id = id;
		return;
	}
	ring_add(&client->futures.fresh, &future->ring);
	if (future->cancel != NULL)
		future_send_cancel(client, future);
}

static void future_take_submit(struct fut_client *client, void *arg, int code, struct span result, struct span error)
{
	struct fut_future *future = arg;
	struct failure failure = {0};
	int64_t id;

	future->request = 0;
	if (code == 0 && calls_integer(result, "id", &id) == 0) {
		future_accept(client, future, id);
		return;
	}
	client_explain(client, code < 0 ? code : FUT_E_BAD_REPLY, error, &failure);
	future_settle(client, future, NULL, &failure);
	failure_clear(&failure);
}

/* The submission of a future that was freed meanwhile. */
static void future_take_unwanted(struct fut_client *client, void *arg, int code, struct span result, struct span error)
{
	(void)client;
	(void)arg;
	(void)code;
	(void)result;
	(void)error;
}

static struct fut_future *future_new(struct fut_client *client)
{
	struct fut_future *future = calloc(1, sizeof(*future));

	if (future == NULL) {
		client_fail(client, FUT_E_MEMORY, "out of memory for a future");
		return NULL;
	}
	future->client = client;
	ring_init(&future->ring);
	ring_init(&future->calls);
	return future;
}

int fut_future_submit(struct fut_client *client, const char *task, const char *args, const struct fut_params *options,
		      struct fut_future **ret_future)
{
	struct fut_params *params;
	struct fut_future *future;
	int r = requests_room(client);

	if (r < 0)
		return r;
	params = calls_submit_params(task, "args", args, options);
	if (params == NULL)
		return calls_no_memory(client);
	future = future_new(client);
	r = future == NULL ? FUT_E_MEMORY
			   : requests_send(client, "submit", params, future_take_submit, future, &future->request);
	fut_params_free(params);
	if (r < 0) {
		free(future);
		return r;
	}
	ring_add(&client->futures.adding, &future->ring);
	*ret_future = future;
	return 0;
}

int fut_future_open(struct fut_client *client, int64_t id, struct fut_future **ret_future)
{
	struct fut_future *future;
	int r;

	if (client->wire.fd < 0)
		return client->ended.code != 0 ? client_fail_ended(client)
					       : client_fail(client, FUT_E_DISCONNECTED, "the client is not connected");
	if (id < 1)
		return client_fail(client, FUT_E_ARGUMENT, "%lld is no job id", (long long)id);
	r = requests_room(client);
	if (r < 0)
		return r;
	future = future_new(client);
	if (future == NULL)
		return FUT_E_MEMORY;
	future->named = true;
	future_accept(client, future, id);
	poll_wake(&client->poll);
	*ret_future = future;
	return 0;
}

static void future_free_calls(struct fut_future *future)
{
	struct future_call *call;

	while (!ring_is_empty(&future->calls)) {
		call = RING_OF(ring_first(&future->calls), struct future_call, ring);
		ring_remove(&call->ring);
		ring_remove(&call->due.ring);
		free(call);
	}
}

void fut_future_free(struct fut_future *future)
{
	if (future == NULL)
		return;
	if (future->client != NULL) {
		if (future->request != 0)
			requests_retake(future->client, future->request, future_take_unwanted, NULL);
		if (!future->done && future->node.id != 0)
			ids_remove(&future->client->futures.table, &future->node);
		future_leave(future->client, future);
	}
	future_free_calls(future);
	fut_params_free(future->cancel);
	fut_job_free(future->job);
	failure_clear(&future->failure);
	free(future);
}

static void futures_settle_list(struct fut_client *client, struct ring *list, const struct failure *failure)
{
	while (!ring_is_empty(list))
		future_settle(client, RING_OF(ring_first(list), struct fut_future, ring), NULL, failure);
}

void futures_end(struct fut_client *client)
{
	client->futures.held = false;
	futures_settle_list(client, &client->futures.fresh, &client->ended);
}

void futures_detach(struct fut_client *client)
{
	struct futures *futures = &client->futures;
	struct fut_future *future;

	/* The connection has ended, so all are done, and there are no groups. */
	while (!ring_is_empty(&futures->done)) {
		future = RING_OF(ring_first(&futures->done), struct fut_future, ring);
		future->client = NULL;
		ring_remove(&future->ring);
		future_free_calls(future);
	}
	ids_done(&futures->table);
}

bool fut_future_done(struct fut_future *future)
{
	if (!future->done)
		client_look(future->client);
	return future->done;
}

bool fut_future_running(struct fut_future *future)
{
	return !fut_future_done(future) && future->running;
}

bool fut_future_cancelled(struct fut_future *future)
{
	return fut_future_done(future) && future->failure.code == FUT_E_JOB_CANCELLED;
}

int64_t fut_future_id(const struct fut_future *future)
{
	return future->node.id;
}

int fut_future_code(const struct fut_future *future)
{
	return future->failure.code;
}

const struct fut_job *fut_future_job(const struct fut_future *future)
{
	return future->job;
}

const char *fut_future_error(const struct fut_future *future)
{
	const char *message = future->failure.message;

	if (future->job != NULL)
		message = fut_job_error_message(future->job);
	if (message == NULL && future->failure.code != 0)
		message = failure_message(future->failure.code);
	return message;
}

/* Its failure becomes the client's, where there still is one. */
static int future_fail(struct fut_future *future)
{
	struct fut_client *client = future->client;
	int code = future->failure.code;
	const char *type;

	if (client == NULL || code == 0)
		return code;
	if (future->job == NULL)
		return client_fail_copy(client, &future->failure);
	(void)client_fail(client, code, "%s", fut_future_error(future));
	type = fut_job_error_type(future->job);
	if (type != NULL)
		failure_set_word(&client->failure, type);
	if (fut_job_error(future->job) != NULL)
		client->failure.data = strdup(fut_job_error(future->job));
	return code;
}

int fut_future_wait(struct fut_future *future, double wait_s)
{
	return fut_futures_wait(&future, 1, FUT_ALL, wait_s);
}

int fut_future_accepted(struct fut_future *future, double wait_s, int64_t *ret_id)
{
	int64_t deadline_ms = client_deadline(wait_s);
	int r = 0;

	while (future->node.id == 0 && !future->done && r != FUT_E_TIMED_OUT)
		r = client_turn(future->client, deadline_ms);
	if (future->node.id == 0 && future->done)
		return future_fail(future);
	if (future->node.id == 0)
		return client_fail(future->client, FUT_E_TIMED_OUT, "the job was not accepted within %g s", wait_s);
	*ret_id = future->node.id;
	return 0;
}

int fut_future_result(struct fut_future *future, double wait_s, const char **ret_result)
{
	const char *result;
	int r = fut_future_wait(future, wait_s);

	if (r < 0)
		return r;
	if (future->failure.code != 0)
		return future_fail(future);
	result = fut_job_result(future->job);
	*ret_result = result != NULL ? result : "null";
	return 0;
}

int fut_future_cancel(struct fut_future *future, double grace_s, const char *reason)
{
	struct fut_params *params;
	const char *what;
	int r;

	if (future->done)
		return 0;
	r = requests_room(future->client);
	if (r < 0)
		return r;
	params = fut_params_new();
	if (params == NULL)
		return calls_no_memory(future->client);
	fut_params_number(params, "grace", grace_s);
	if (reason != NULL)
		fut_params_string(params, "reason", reason);
	r = params_check(params, &what);
	if (r < 0) {
		fut_params_free(params);
		return client_fail(future->client, r, "%s", what);
	}
	fut_params_free(future->cancel);
	future->cancel = params;
	if (future->node.id != 0)
		future_send_cancel(future->client, future);
	return 0;
}

static void future_call(struct fut_client *client, struct due *due)
{
	struct future_call *call = RING_OF(due, struct future_call, due);
	struct fut_future *future = call->future;
	fut_future_cb callback = call->callback;
	void *arg = call->arg;

	(void)client;
	ring_remove(&call->ring);
	free(call);
	callback(future, arg);
}

int fut_future_add_done_callback(struct fut_future *future, fut_future_cb callback, void *arg)
{
	struct future_call *call;

	if (future->client == NULL)
		return FUT_E_DISCONNECTED;
	call = calloc(1, sizeof(*call));
	if (call == NULL)
		return client_fail(future->client, FUT_E_MEMORY, "out of memory for a callback");
	call->future = future;
	call->callback = callback;
	call->arg = arg;
	due_init(&call->due, future_call);
	ring_init(&call->ring);
	ring_add(&future->calls, &call->ring);
	if (future->done)
		due_add(future->client, &call->due);
	return 0;
}

/* Whether enough is done. *from: all before it are done, and did not fail where that matters. */
static bool futures_are_done(struct fut_future *const *futures, size_t n_futures, enum fut_when when, size_t *from)
{
	while (*from < n_futures && futures[*from]->done) {
		if (when == FUT_ANY || (when == FUT_FIRST_FAILURE && futures[*from]->failure.code != 0))
			return true;
		++*from;
	}
	if (when != FUT_ALL)
		for (size_t i = *from; i < n_futures; i++)
			if (futures[i]->done && (when == FUT_ANY || futures[i]->failure.code != 0))
				return true;
	return *from == n_futures;
}

int fut_futures_wait(struct fut_future *const *futures, size_t n_futures, enum fut_when when, double wait_s)
{
	int64_t deadline_ms = client_deadline(wait_s);
	size_t from = 0;
	int r = 0;

	while (!futures_are_done(futures, n_futures, when, &from)) {
		if (r == FUT_E_TIMED_OUT)
			return client_fail(futures[from]->client, r, "%zu futures were not done within %g s",
					   n_futures - from, wait_s);
		/* The end of the connection settles them all. */
		r = client_turn(futures[from]->client, deadline_ms);
	}
	return 0;
}
