/*
 * methods_queues: queues and what they are set to: queues, pause, resume, set_queue. A setting is answered when it is durable, with the queue as it is then.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/mem.h"
#include "daemon/methods.h"
#include "daemon/server.h"

#define QUEUE_LIMIT_MAX 1000000000

struct queues_request {
	struct request *request;
	bool one; /* answer with the one object in place of the array */
	struct store_survey survey;
};

static void
queues_add(struct text *result, const struct queue *queue, const struct store_oldest *oldest)
{
	static const struct queue none = {.durable = {.limit = SPEC_NONE}}; /* it is set to nothing and has no job */
	const struct queue *shown = queue != NULL ? queue : &none;
	int64_t age_ms = loop_wall_ms() - oldest->submitted_ms;

	text_add_lit(result, "{\"queue\":");
	text_add_quoted(result, oldest->queue);
	text_add_lit(result, ",\"limit\":");
	if (shown->durable.limit == SPEC_NONE)
		text_add_lit(result, "null");
	else
		text_add_integer(result, shown->durable.limit);
	text_printf(result, ",\"paused\":%s,\"pending\":%lld,\"running\":%lld,\"oldest_s\":", shown->durable.paused ? "true" : "false",
	    (long long)shown->pending, (long long)shown->running);
	if (oldest->submitted_ms == SPEC_NONE)
		text_add_lit(result, "null");
	else
		text_add_seconds_ms(result, age_ms > 0 ? age_ms : 0);
	text_add_char(result, '}');
}

static void
queues_free(struct queues_request *queues)
{
	for (size_t i = 0; i < queues->survey.n_queues; i++)
		free((char *)(uintptr_t)queues->survey.queues[i].queue);
	free(queues->survey.queues);
	free(queues);
}

static void
queues_surveyed(struct store_survey *survey, void *arg)
{
	struct queues_request *queues = arg;
	const struct queues *all = dispatch_queues(queues->request->server->dispatch);
	struct text result = {0};

	if (survey->error != 0) {
		request_fail(queues->request, RPC_INTERNAL, "the store could not be read");
		queues_free(queues);
		return;
	}
	if (!queues->one)
		text_add_char(&result, '[');
	for (size_t i = 0; i < survey->n_queues; i++) {
		const struct queue *queue = queues_find(all, survey->queues[i].queue);

		if (queue == NULL && !queues->one)
			continue;
		if (result.len > 1)
			text_add_char(&result, ',');
		queues_add(&result, queue, &survey->queues[i]);
	}
	if (!queues->one)
		text_add_char(&result, ']');
	request_reply(queues->request, &result);
	queues_free(queues);
}

static void
queues_survey(struct queues_request *queues)
{
	queues->survey.done = queues_surveyed;
	queues->survey.arg = queues;
	dispatch_survey(queues->request->server->dispatch, &queues->survey);
}

static void
method_queues(struct request *request, struct span raw)
{
	static const struct param none[] = {{0}};
	struct queues *all = dispatch_queues(request->server->dispatch);
	struct queues_request *queues;
	struct queue *queue, *next;

	if (!request_params(request, raw, none, NULL))
		return;
	queues = mem_new(sizeof(*queues));
	queues->request = request;
	queues->survey.queues = mem_new_array(all->n, sizeof(*queues->survey.queues));
	HASH_ITER(hh, all->by_name, queue, next) {
		queues->survey.queues[queues->survey.n_queues++] =
		    (struct store_oldest){.queue = mem_text(queue->name), .submitted_ms = SPEC_NONE};
	}
	queues_survey(queues);
}

/* ---- settings -------------------------------------------------------------------------------------------------------------- */

static void
queues_set_done(enum store_verdict verdict, const char *reason, void *ctx)
{
	struct queues_request *queues = ctx;

	if (verdict == STORE_COMMITTED) {
		queues_survey(queues);
		return;
	}
	request_fail(queues->request, methods_verdict_code(verdict), "%s: %s",
	    verdict == STORE_UNKNOWN ? "it is not known whether the setting was kept" : "the setting was not kept", reason);
	queues_free(queues);
}

struct set_params {
	char queue[128];
	int64_t limit;
};

static const struct param set_table[] = {{"queue", PARAM_TEXT_OF(set_params, queue)},
    {"limit", PARAM_INTEGER, PARAM_AT(set_params, limit), 0, 1, QUEUE_LIMIT_MAX}, {0}};
static const struct param pause_table[] = {{"queue", PARAM_TEXT_OF(set_params, queue)}, {0}};

static void
queues_set(struct request *request, const struct set_params *params, const struct dispatch_setting *setting)
{
	struct queues_request *queues;
	const char *what = NULL;
	int error;

	if (params->queue[0] == '\0') {
		request_fail_param(request, "queue", "queue must be the name of a queue");
		return;
	}
	queues = mem_new(sizeof(*queues));
	queues->request = request;
	queues->one = true;
	queues->survey.queues = mem_new_array(1, sizeof(*queues->survey.queues));
	queues->survey.queues[0] = (struct store_oldest){.queue = mem_text(params->queue), .submitted_ms = SPEC_NONE};
	queues->survey.n_queues = 1;
	error = dispatch_set_queue(request->server->dispatch, params->queue, setting, queues_set_done, queues, &what);
	if (error == 0)
		return;
	queues_free(queues);
	if (error == RPC_BUSY)
		request_fail(request, error, "%s is reached", what);
	else
		request_fail(request, error, "the daemon is ending");
}

static void
queues_pause(struct request *request, struct span raw, bool paused)
{
	const struct dispatch_setting setting = {.sets_paused = true, .paused = paused};
	struct set_params params = {.queue = ""};

	if (request_params(request, raw, pause_table, &params))
		queues_set(request, &params, &setting);
}

static void
method_pause(struct request *request, struct span raw)
{
	queues_pause(request, raw, true);
}

static void
method_resume(struct request *request, struct span raw)
{
	queues_pause(request, raw, false);
}

static void
method_set_queue(struct request *request, struct span raw)
{
	struct dispatch_setting setting = {.sets_limit = true};
	struct set_params params = {.limit = SPEC_NONE};
	struct span limit;

	if (!request_params(request, raw, set_table, &params))
		return;
	if (raw.len == 0 || !jsonspan_get(raw, "limit", &limit)) { /* null says that there shall be none */
		request_fail_param(request, "limit", "limit must be given: how many jobs of the queue may run at once, or null");
		return;
	}
	setting.limit = params.limit;
	queues_set(request, &params, &setting);
}

const struct method methods_queues[] = {
    {"queues", ROLE_READER, method_queues},
    {"pause", ROLE_OPERATOR, method_pause},
    {"resume", ROLE_OPERATOR, method_resume},
    {"set_queue", ROLE_OPERATOR, method_set_queue},
    {0},
};
