/*
 * methods_info: hello, ping, and what there is to know of the daemon itself: tasks, stats.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/mem.h"
#include "daemon/server.h"
#include "daemon/task.h"
#include "daemon/webhook.h"

/* ---- hello, ping ----------------------------------------------------------------------------------------------------------- */

struct hello_params {
	char token[256], client[256];
};

static const struct param hello_table[] = {
    {"token", PARAM_TEXT_OF(hello_params, token)}, {"client", PARAM_TEXT_OF(hello_params, client)}, {0}};

static void
method_hello(struct request *request, struct span raw)
{
	struct hello_params params = {.token = ""};
	struct peer *peer = request->peer;
	struct text result = {0};

	if (!request_params(request, raw, hello_table, &params))
		return;
	if (params.token[0] != '\0' && !request->server->authenticate(request->server, params.token, peer)) {
		request_fail(request, RPC_UNAUTHENTICATED, "this token is not known here");
		return;
	}
	if (peer->role == ROLE_NONE) {
		request_fail(request, RPC_UNAUTHENTICATED, "hello needs a token on this connection");
		return;
	}
	text_add_lit(&result, "{\"server\":\"futured\",\"version\":\"" PACKAGE_VERSION "\",\"protocol\":1,\"owner\":");
	text_add_quoted(&result, peer->owner);
	text_add_lit(&result, ",\"role\":");
	text_add_quoted(&result, role_name(peer->role));
	text_add_char(&result, '}');
	request_reply(request, &result);
}

static void
method_ping(struct request *request, struct span raw)
{
	static const struct param none[] = {{0}};

	if (request_params(request, raw, none, NULL))
		request_reply_lit(request, "\"pong\"");
}

/* ---- tasks ----------------------------------------------------------------------------------------------------------------- */

static void
tasks_add_params(struct text *result, const struct task *task)
{
	for (const struct task_param *param = task->params; param != NULL && param->name != NULL; param++) {
		if (param != task->params)
			text_add_char(result, ',');
		text_printf(result, "{\"name\":\"%s\",\"type\":\"%s\",\"required\":%s,\"doc\":", param->name, task_type_name(param->type),
		    param->required ? "true" : "false");
		text_add_quoted(result, param->doc != NULL ? param->doc : "");
		text_add_char(result, '}');
	}
}

static void
method_tasks(struct request *request, struct span raw)
{
	static const struct param none[] = {{0}};
	struct text result = {0};

	if (!request_params(request, raw, none, NULL))
		return;
	text_add_char(&result, '[');
	for (const struct task *const *at = request->server->tasks; *at != NULL; at++) {
		const struct task *task = *at;

		if (at != request->server->tasks)
			text_add_char(&result, ',');
		text_printf(&result, "{\"task\":\"%s\",\"lane\":\"%s\",\"idempotent\":%s,\"pure\":%s,\"doc\":", task->name,
		    lane_name(task_lane(task)), task->idempotent || task->pure ? "true" : "false", task->pure ? "true" : "false");
		text_add_quoted(&result, task->doc);
		text_add_lit(&result, ",\"params\":[");
		tasks_add_params(&result, task);
		text_add_lit(&result, "]}");
	}
	text_add_char(&result, ']');
	request_reply(request, &result);
}

/* ---- stats ----------------------------------------------------------------------------------------------------------------- */

struct stats_request {
	struct request *request;
	struct store_survey survey;
};

static void
stats_add_workers(struct text *result, const struct workers *workers)
{
	bool first = true;

	text_add_lit(result, ",\"workers\":[");
	for (unsigned i = 0; i < workers_slots(workers); i++) {
		const struct slot *slot = workers_slot(workers, i);
		const struct job *job = TAILQ_FIRST(&slot->jobs);

		if (slot->pid == 0 || slot->state == SLOT_EMPTY)
			continue;
		text_printf(result, "%s{\"pid\":%d,\"lane\":\"%s\",\"job\":", first ? "" : ",", (int)slot->pid,
		    lane_name(slot->pool == POOL_CPU ? LANE_CPU : LANE_IO));
		first = false;
		if (job == NULL) {
			text_add_lit(result, "null,\"since\":null}");
			continue;
		}
		text_add_integer(result, job->spec->id);
		text_add_lit(result, ",\"since\":");
		text_add_time(result, job->started_ms);
		text_add_char(result, '}');
	}
	text_add_char(result, ']');
}

static void
stats_done(struct store_survey *survey, void *arg)
{
	struct stats_request *request = arg;
	const struct server *server = request->request->server;
	struct dispatch_stats stats;
	struct webhooks_stats webhooks;
	struct text result = {0};

	webhooks_get_stats(server->webhooks, &webhooks);
	dispatch_get_stats(server->dispatch, &stats);
	text_printf(&result, "{\"version\":\"%s\",\"uptime_s\":", PACKAGE_VERSION);
	text_add_seconds_ms(&result, loop_mono_ms() - server->started_ms);
	text_printf(&result, ",\"pids\":{\"daemon\":%d,\"spawner\":%d}", (int)getpid(), (int)server->spawner_pid);
	text_printf(&result, ",\"pending\":%lld,\"running\":%lld,\"in_memory\":%lld,\"held\":%lld", (long long)stats.pending,
	    (long long)stats.running, (long long)stats.in_memory, (long long)stats.held);
	text_printf(&result, ",\"submitted\":%lld,\"started\":%lld,\"succeeded\":%lld,\"failed\":%lld,\"cancelled\":%lld,\"retried\":%lld",
	    (long long)stats.submitted, (long long)stats.started, (long long)stats.succeeded, (long long)stats.failed,
	    (long long)stats.cancelled, (long long)stats.retried);
	text_printf(&result, ",\"connections\":%u,\"queues\":%zu,\"commits\":%lld,\"commit_max_s\":", server->connections,
	    dispatch_queues(server->dispatch)->n, (long long)stats.commits);
	text_add_seconds_us(&result, stats.commit_max_us);
	text_printf(&result, ",\"io\":{\"threads_busy\":%u,\"threads_abandoned\":%u,\"waits\":%u}", stats.threads_busy,
	    stats.threads_abandoned, stats.waits_busy);
	text_printf(&result, ",\"webhooks\":{\"pending\":%lld,\"sent\":%lld,\"failed\":%lld}", (long long)survey->webhooks,
	    (long long)webhooks.sent, (long long)webhooks.failed);
	if (survey->error == 0)
		text_printf(&result, ",\"store\":{\"ended\":%lld,\"bytes\":%lld}", (long long)survey->done_rows, (long long)survey->file_bytes);
	stats_add_workers(&result, dispatch_workers(server->dispatch));
	text_add_char(&result, '}');
	request_reply(request->request, &result);
	free(request);
}

static void
method_stats(struct request *request, struct span raw)
{
	static const struct param none[] = {{0}};
	struct stats_request *stats;

	if (!request_params(request, raw, none, NULL))
		return;
	stats = mem_new(sizeof(*stats));
	stats->request = request;
	stats->survey.done = stats_done;
	stats->survey.arg = stats;
	dispatch_survey(request->server->dispatch, &stats->survey);
}

const struct method methods_info[] = {
    {"hello", ROLE_NONE, method_hello},
    {"ping", ROLE_NONE, method_ping},
    {"tasks", ROLE_READER, method_tasks},
    {"stats", ROLE_READER, method_stats},
    {0},
};
