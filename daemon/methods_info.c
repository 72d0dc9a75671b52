/*
 * methods_info: hello, ping and all that only looks: status, list, tasks, queues, stats.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/gather.h"
#include "daemon/mem.h"
#include "daemon/methods.h"
#include "daemon/server.h"
#include "daemon/task.h"

/* ---- hello, ping ----------------------------------------------------------------------------------------------------------- */

struct hello_params {
	char token[256], client[256];
};

static const struct param hello_table[] = {
    {"token", PARAM_TEXT_OF(hello_params, token)}, {"client", PARAM_TEXT_OF(hello_params, client)}, {0}};

static void
method_hello(struct request *request, struct span raw)
{
	static const char *const roles[] = {"none", "reader", "user", "operator"};
	struct hello_params params = {.token = ""};
	struct peer *peer = request->peer;
	struct text result = {0};

	if (!request_params(request, raw, hello_table, &params))
		return;
	if (params.token[0] != '\0' &&
	    !request->server->authenticate(request->server, params.token, &peer->role, peer->owner, sizeof(peer->owner))) {
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
	text_add_quoted(&result, roles[peer->role]);
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

/* ---- status ---------------------------------------------------------------------------------------------------------------- */

struct status_job {
	int64_t id;
	size_t at, len; /* its object in text */
};

struct status {
	struct request *request;
	struct selection selection;
	char *owner;
	render_fields fields;
	struct text text;
	struct status_job *jobs; /* by id */
	size_t n, capacity;
};

static void
status_free(struct status *status)
{
	selection_done(&status->selection);
	free(status->owner);
	text_done(&status->text);
	free(status->jobs);
	free(status);
}

static bool
status_row(const struct store_row *row, void *arg)
{
	struct status *status = arg;
	struct status_job *job;

	status->jobs = mem_room(status->jobs, status->n, &status->capacity, sizeof(*status->jobs));
	job = &status->jobs[status->n++];
	job->id = row->id;
	job->at = status->text.len;
	render_job(&status->text, status->request->server->dispatch, row, status->fields);
	job->len = status->text.len - job->at;
	return status->text.len <= (size_t)status->request->server->config->limit_message;
}

/* The first job whose id is not below id. */
static size_t
status_find(const struct status *status, int64_t id)
{
	size_t low = 0, high = status->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (status->jobs[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
status_check_unknown(struct status *status)
{
	const struct selection *selection = &status->selection;
	int64_t *unknown = NULL;
	size_t n = 0, capacity = 0;

	for (size_t i = 0; i < selection->n_asked; i++) {
		int64_t id = selection->asked[i].first;
		size_t at = status_find(status, id);

		if (!selection->is_range[i] && (at == status->n || status->jobs[at].id != id)) {
			unknown = mem_room(unknown, n, &capacity, sizeof(*unknown));
			unknown[n++] = id;
		}
	}
	if (n > 0)
		request_fail_ids(status->request, unknown, n);
	else if (status->n == 0 && !selection->filtered)
		request_fail(status->request, RPC_NOT_FOUND, "none of the jobs named exists");
	else
		return true;
	free(unknown);
	return false;
}

/* An id may be asked for many times: it stops behind the longest reply, which is then refused. */
static void
status_add(struct text *result, const struct status *status, size_t first, int64_t last_id)
{
	size_t max = (size_t)status->request->server->config->limit_message;

	for (size_t i = first; i < status->n && status->jobs[i].id <= last_id && result->len <= max; i++) {
		if (result->len > 1)
			text_add_char(result, ',');
		text_add(result, status->text.at + status->jobs[i].at, status->jobs[i].len);
	}
}

static void
status_done(int error, const char *reason, void *arg)
{
	struct status *status = arg;
	const struct selection *selection = &status->selection;
	struct text result = {0};

	if (error != 0) {
		request_fail(status->request, RPC_INTERNAL, "%s", reason);
	} else if (status->text.len > (size_t)status->request->server->config->limit_message) {
		request_fail(status->request, RPC_TOO_LARGE, "the reply is longer than [limits] message: ask for fewer jobs or with `fields`");
	} else if (status_check_unknown(status)) {
		if (selection->single) {
			text_add(&result, status->text.at, status->text.len);
		} else {
			text_add_char(&result, '[');
			if (selection->filtered)
				status_add(&result, status, 0, INT64_MAX);
			for (size_t i = 0; i < selection->n_asked; i++)
				status_add(&result, status, status_find(status, selection->asked[i].first), selection->asked[i].last);
			text_add_char(&result, ']');
		}
		request_reply(status->request, &result);
	}
	status_free(status);
}

struct status_params {
	struct span id, ids, filter, fields;
};

static const struct param status_table[] = {
    {"id", PARAM_SPAN, PARAM_AT(status_params, id), 0, 0, 0},
    {"ids", PARAM_SPAN, PARAM_AT(status_params, ids), 0, 0, 0},
    {"filter", PARAM_SPAN, PARAM_AT(status_params, filter), 0, 0, 0},
    {"fields", PARAM_SPAN, PARAM_AT(status_params, fields), 0, 0, 0},
    {0},
};

static void
method_status(struct request *request, struct span raw)
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	struct status_params params = {0};
	struct gather_what what = {.ranges = &all, .n_ranges = 1, .row = status_row, .done = status_done};
	const char *owner = request_owner_filter(request);
	render_fields fields = RENDER_ALL;
	struct selection selection;
	struct status *status;

	if (!request_params(request, raw, status_table, &params) || !methods_read_fields(request, params.fields, &fields) ||
	    !methods_read_selection(request, params.id, params.ids, params.filter, &selection))
		return;
	request_is_bulk(request);
	status = mem_new(sizeof(*status));
	status->request = request;
	status->selection = selection;
	status->owner = owner != NULL ? mem_text(owner) : NULL;
	status->fields = fields;
	if (selection.filtered) {
		what.filter = &status->selection.filter;
	} else {
		what.ranges = status->selection.ranges;
		what.n_ranges = status->selection.n_ranges;
	}
	what.owner = status->owner;
	what.fields = render_store_fields(fields);
	what.arg = status;
	gather_start(request->server->dispatch, &what);
}

/* ---- list ------------------------------------------------------------------------------------------------------------------ */

struct list {
	struct request *request;
	struct store_read read;
	struct selection_filter filter;
	bool has_filter;
	char *owner;
	render_fields fields;
};

static void
list_done(struct store_read *read, void *arg)
{
	struct list *list = arg;
	struct text result = {0};

	if (read->error != 0) {
		request_fail(list->request, RPC_INTERNAL, "%s", read->reason);
	} else {
		text_add_lit(&result, "{\"jobs\":[");
		for (size_t i = 0; i < read->n_rows; i++) {
			if (i > 0)
				text_add_char(&result, ',');
			render_job(&result, list->request->server->dispatch, &read->rows[i], list->fields);
		}
		text_add_lit(&result, "],\"next\":");
		if (read->more)
			text_add_integer(&result, read->next);
		else
			text_add_lit(&result, "null");
		text_add_char(&result, '}');
		request_reply(list->request, &result);
	}
	store_read_done(read);
	if (list->has_filter)
		selection_filter_done(&list->filter);
	free(list->owner);
	free(list);
}

struct list_params {
	struct span filter, fields;
	int64_t limit, after;
	char order[8];
};

static const struct param list_table[] = {
    {"filter", PARAM_SPAN, PARAM_AT(list_params, filter), 0, 0, 0},
    {"fields", PARAM_SPAN, PARAM_AT(list_params, fields), 0, 0, 0},
    {"limit", PARAM_INTEGER, PARAM_AT(list_params, limit), 0, 1, 1000},
    {"after", PARAM_INTEGER, PARAM_AT(list_params, after), 0, 0, SELECTION_ID_MAX},
    {"order", PARAM_TEXT_OF(list_params, order)},
    {0},
};

static void
method_list(struct request *request, struct span raw)
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	struct list_params params = {.limit = 100, .order = "id"};
	const char *owner = request_owner_filter(request), *what;
	render_fields fields = render_fields_of_list();
	struct selection_filter filter = {0};
	struct list *list;
	bool desc;

	if (!request_params(request, raw, list_table, &params) || !methods_read_fields(request, params.fields, &fields))
		return;
	desc = strcmp(params.order, "-id") == 0;
	if (!desc && strcmp(params.order, "id") != 0) {
		request_fail_param(request, "order", "order must be \"id\" or \"-id\"");
		return;
	}
	if (params.filter.len > 0 && selection_filter_read(params.filter, &filter, &what) != 0) {
		request_fail_param(request, "filter", "%s", what);
		return;
	}
	request_is_bulk(request);
	list = mem_new(sizeof(*list));
	list->request = request;
	list->filter = filter;
	list->has_filter = params.filter.len > 0;
	list->owner = owner != NULL ? mem_text(owner) : NULL;
	list->fields = fields;
	list->read = (struct store_read){.ranges = &all, .n_ranges = 1, .owner = list->owner, .desc = desc, .cursor = params.after};
	list->read.filter = list->has_filter ? &list->filter : NULL;
	list->read.max_rows = (size_t)params.limit;
	list->read.max_bytes = (size_t)request->server->config->limit_message / 4;
	list->read.fields = render_store_fields(fields);
	list->read.done = list_done;
	list->read.arg = list;
	dispatch_read(request->server->dispatch, &list->read);
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

/* ---- queues ---------------------------------------------------------------------------------------------------------------- */

struct queues_request {
	struct request *request;
	struct store_survey survey;
};

static void
queues_add(struct text *result, const struct queue *queue, int64_t oldest_ms)
{
	int64_t age_ms = loop_wall_ms() - oldest_ms;

	text_printf(result, "%s{\"queue\":", result->len > 1 ? "," : "");
	text_add_quoted(result, queue->name);
	text_printf(result, ",\"limit\":null,\"paused\":false,\"pending\":%lld,\"running\":%lld,\"oldest_s\":", (long long)queue->pending,
	    (long long)queue->running);
	if (oldest_ms == SPEC_NONE)
		text_add_lit(result, "null");
	else
		text_add_seconds_ms(result, age_ms > 0 ? age_ms : 0);
	text_add_char(result, '}');
}

static void
queues_done_cb(struct store_survey *survey, void *arg)
{
	struct queues_request *queues = arg;
	struct text result = {0};

	if (survey->error != 0) {
		request_fail(queues->request, RPC_INTERNAL, "the store could not be read");
	} else {
		text_add_char(&result, '[');
		for (size_t i = 0; i < survey->n_queues; i++) {
			const struct queue *queue =
			    queues_find(dispatch_queues(queues->request->server->dispatch), survey->queues[i].queue);

			if (queue != NULL)
				queues_add(&result, queue, survey->queues[i].submitted_ms);
		}
		text_add_char(&result, ']');
		request_reply(queues->request, &result);
	}
	for (size_t i = 0; i < survey->n_queues; i++)
		free((char *)(uintptr_t)survey->queues[i].queue);
	free(survey->queues);
	free(queues);
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
	queues->survey.done = queues_done_cb;
	queues->survey.arg = queues;
	dispatch_survey(request->server->dispatch, &queues->survey);
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
	struct text result = {0};

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
    {"status", ROLE_READER, method_status},
    {"list", ROLE_READER, method_list},
    {"tasks", ROLE_READER, method_tasks},
    {"queues", ROLE_READER, method_queues},
    {"stats", ROLE_READER, method_stats},
    {0},
};
