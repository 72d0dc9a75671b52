/*
 * methods_submit: submit, map and run: from parameters to a spec, and from the store's answer to the reply. `run` goes on in methods_wait.c's awaits
 * (await.h).
 */
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/await.h"
#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/mem.h"
#include "daemon/methods.h"
#include "daemon/request.h"
#include "daemon/server.h"
#include "daemon/task.h"
#include "daemon/tasks/post.h"
#include "proto/selection.h"

#define AFTER_MAX 1000 /* parents of a job */
#define PARENTS_TOLD 160 /* bytes of their ids in a message */
#define ARGS_SORT_MAX ((size_t)1 << 20) /* args longer than this are compared byte by byte for a key */

struct submit_params {
	struct span task, args, items, limits;
	struct span after;
	char lane[8], queue[128], label[256], key[256], after_policy[16], webhook[2048];
	int64_t priority, max_attempts;
	int64_t delay_ms, not_before_ms, expires_ms, timeout_ms, backoff_ms, retain_ms, wait_ms;
};

#define COMMON_PARAMS                                                                                                  \
	{"task", PARAM_SPAN, PARAM_AT(submit_params, task), 0, 0, 0},                                                  \
	{"lane", PARAM_TEXT_OF(submit_params, lane)}, {"queue", PARAM_TEXT_OF(submit_params, queue)},                  \
	{"label", PARAM_TEXT_OF(submit_params, label)}, {"key", PARAM_TEXT_OF(submit_params, key)},                    \
	{"after", PARAM_SPAN, PARAM_AT(submit_params, after), 0, 0, 0},                                                \
	{"after_policy", PARAM_TEXT_OF(submit_params, after_policy)},                                                  \
	{"webhook", PARAM_TEXT_OF(submit_params, webhook)},                                                            \
	{"priority", PARAM_INTEGER, PARAM_AT(submit_params, priority), 0, -1000, 1000},                                \
	{"max_attempts", PARAM_INTEGER, PARAM_AT(submit_params, max_attempts), 0, 1, 1000000},                         \
	{"delay", PARAM_DURATION, PARAM_AT(submit_params, delay_ms), 0, 0, 0},                                         \
	{"not_before", PARAM_TIME, PARAM_AT(submit_params, not_before_ms), 0, 0, 0},                                   \
	{"expires", PARAM_DURATION, PARAM_AT(submit_params, expires_ms), 0, 0, 0},                                     \
	{"timeout", PARAM_DURATION, PARAM_AT(submit_params, timeout_ms), 0, 0, 0},                                     \
	{"backoff", PARAM_DURATION, PARAM_AT(submit_params, backoff_ms), 0, 0, 0},                                     \
	{"retain", PARAM_DURATION, PARAM_AT(submit_params, retain_ms), 0, 0, 0},                                       \
	{"limits", PARAM_SPAN, PARAM_AT(submit_params, limits), 0, 0, 0}

static const struct param submit_table[] = {COMMON_PARAMS, {"args", PARAM_SPAN, PARAM_AT(submit_params, args), 0, 0, 0}, {0}};
static const struct param run_table[] = {COMMON_PARAMS, {"args", PARAM_SPAN, PARAM_AT(submit_params, args), 0, 0, 0},
    {"wait", PARAM_DURATION, PARAM_AT(submit_params, wait_ms), 0, 0, 0}, {0}};
static const struct param map_table[] = {COMMON_PARAMS, {"items", PARAM_SPAN, PARAM_AT(submit_params, items), 0, 0, 0}, {0}};

enum submit_kind { SUBMIT_ONE, SUBMIT_MAP, SUBMIT_RUN };

/* A submission whose commit is under way. */
struct submission {
	struct request *request;
	enum submit_kind kind;
	char *items; /* the map's, until its commit */
	int64_t wait_ms;
};

/* ---- checks ---------------------------------------------------------------------------------------------------------------- */

static const struct task *
submit_find_task(struct request *request, const struct submit_params *params)
{
	const struct task *task;
	char name[128] = "?";

	if (params->task.len == 0 || jsonspan_type(params->task) != JSONSPAN_STRING) {
		request_fail_param(request, "task", "task must be the name of a task");
		return NULL;
	}
	task = task_find(request->server->tasks, params->task);
	if (task == NULL) {
		if (jsonspan_string_copy(params->task, name, sizeof(name)) < 0)
			name[0] = '?';
		request_fail(request, RPC_NO_SUCH_TASK, "this daemon has no task %s; `tasks` lists them", name);
	}
	return task;
}

static bool
submit_check_role(struct request *request, const struct task *task, struct span args)
{
	char *why = methods_why_forbidden(request, request->peer->owner, task, args);

	if (why == NULL)
		return true;
	request_fail(request, RPC_FORBIDDEN, "%s", why);
	free(why);
	return false;
}

/* Names are looked at when they are looked up; here is only what can be told at once. */
static bool
submit_check_webhook(struct request *request, const char *url)
{
	const char *why;

	if (url[0] == '\0')
		return true;
	why = post_check_url(url);
	if (why != NULL) {
		request_fail_param(request, "webhook", "webhook must be an http or https URL: %s", why);
		return false;
	}
	if (request->peer->role != ROLE_OPERATOR && !request->server->config->http_local && post_url_is_local(url)) {
		request_fail(request, RPC_FORBIDDEN,
		    "webhook: loopback and link-local addresses are not for the role user ([http] local)");
		return false;
	}
	return true;
}

static bool
submit_is_args(struct span value)
{
	enum jsonspan_type type = jsonspan_type(value);

	return type == JSONSPAN_ARRAY || type == JSONSPAN_OBJECT;
}

/* The items of a map are each one job's args. */
static bool
submit_check_items(struct request *request, const struct task *task, struct span items, bool *ret_idempotent, int64_t *ret_count)
{
	struct jsonspan_iter iter;
	struct span item;
	bool idempotent = task->idempotent || task->pure;
	int64_t count = 0;

	if (items.len == 0 || jsonspan_type(items) != JSONSPAN_ARRAY) {
		request_fail_param(request, "items", "items must be an array, each element one job's args");
		return false;
	}
	jsonspan_iter_init(&iter, items);
	for (; jsonspan_next(&iter, &item); count++) {
		if (!submit_is_args(item)) {
			request_fail_param(request, "items", "item %lld is neither an array nor an object", (long long)count);
			return false;
		}
		if (!submit_check_role(request, task, item))
			return false;
		if (task->is_idempotent != NULL)
			idempotent = (count == 0 || idempotent) && task->is_idempotent(item);
	}
	*ret_idempotent = idempotent;
	*ret_count = count;
	return true;
}

static bool
submit_pool(struct request *request, const struct submit_params *params, const struct task *task, uint8_t *ret_pool)
{
	enum lane lane = task_lane(task);

	if (params->lane[0] != '\0' && lane_parse(params->lane, &lane) < 0) {
		request_fail_param(request, "lane", "lane must be \"cpu\" or \"io\"");
		return false;
	}
	if (lane != task_lane(task) && task->kind != TASK_COMMAND) {
		request_fail_param(request, "lane", "%s runs on the lane %s only", task->name, lane_name(task_lane(task)));
		return false;
	}
	switch (task->kind) {
	case TASK_FUNCTION:
		*ret_pool = POOL_CPU;
		break;
	case TASK_COMMAND:
		*ret_pool = lane == LANE_IO ? POOL_PROCESSES : POOL_CPU;
		break;
	case TASK_BLOCKING:
		*ret_pool = POOL_THREADS;
		break;
	case TASK_WAIT:
		*ret_pool = POOL_WAITS;
		break;
	}
	return true;
}

static bool
submit_check_times(struct request *request, struct submit_params *params)
{
	if (params->delay_ms != SPEC_NONE && params->not_before_ms != SPEC_NONE) {
		request_fail_param(request, "not_before", "give either delay or not_before");
		return false;
	}
	if (params->delay_ms == SPEC_NONE)
		params->delay_ms = 0; /* for a key the two are the same */
	return true;
}

static bool
submit_is_among(const int64_t *ids, size_t n, int64_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

/* The parents as a JSON array without spaces or repetition, so that a key compares what is meant; empty when there are none. */
static bool
submit_read_after(struct request *request, const struct submit_params *params, struct text *ret_after)
{
	int64_t ids[AFTER_MAX];
	struct jsonspan_iter iter;
	struct span value;
	size_t n = 0;

	if (params->after.len == 0)
		return true;
	if (jsonspan_type(params->after) != JSONSPAN_ARRAY || jsonspan_length(params->after) > AFTER_MAX) {
		request_fail_param(request, "after", "after must be an array of at most %d ids", AFTER_MAX);
		return false;
	}
	jsonspan_iter_init(&iter, params->after);
	while (jsonspan_next(&iter, &value)) {
		if (jsonspan_integer(value, &ids[n]) < 0 || ids[n] < 1 || ids[n] > SELECTION_ID_MAX) {
			text_done(ret_after);
			request_fail_param(request, "after", "after must be an array of ids of jobs");
			return false;
		}
		if (submit_is_among(ids, n, ids[n]))
			continue;
		text_add_char(ret_after, n == 0 ? '[' : ',');
		text_add_integer(ret_after, ids[n++]);
	}
	if (n > 0)
		text_add_char(ret_after, ']');
	return true;
}

static bool
submit_policy(struct request *request, const struct submit_params *params, uint8_t *ret_policy)
{
	static const char *const words[] = {
	    [AFTER_SUCCEEDED] = "succeeded", [AFTER_FINISHED] = "finished", [AFTER_FAILED] = "failed"};

	*ret_policy = AFTER_SUCCEEDED;
	if (params->after_policy[0] == '\0')
		return true;
	for (uint8_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(params->after_policy, words[i]) == 0) {
			*ret_policy = i;
			return true;
		}
	}
	request_fail_param(request, "after_policy", "after_policy must be \"succeeded\", \"finished\" or \"failed\"");
	return false;
}

/* ---- the digest of a key's payload ----------------------------------------------------------------------------------------- */

static void
digest_add(EVP_MD_CTX *ctx, const char *bytes, size_t len)
{
	EVP_DigestUpdate(ctx, bytes, len);
	EVP_DigestUpdate(ctx, "", 1);
}

static void
digest_add_text(EVP_MD_CTX *ctx, const char *text)
{
	digest_add(ctx, text, text != NULL ? strlen(text) : 0);
}

/* Members sorted, white space gone; long ones as they are. */
static void
digest_add_json(EVP_MD_CTX *ctx, struct span value)
{
	json_t *json = NULL;
	char *sorted = NULL;

	if (value.len <= ARGS_SORT_MAX)
		json = json_loadb(value.at, value.len, JSON_DECODE_ANY, NULL);
	if (json != NULL)
		sorted = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
	if (sorted != NULL)
		digest_add(ctx, sorted, strlen(sorted));
	else
		digest_add(ctx, value.at, value.len);
	free(sorted);
	json_decref(json);
}

static void
submit_digest(const struct submit_params *params, const struct spec *spec, uint8_t digest[SPEC_DIGEST])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int64_t numbers[] = {spec->pool, spec->priority, params->delay_ms, params->not_before_ms, params->expires_ms, spec->timeout_ms,
	    spec->max_attempts, spec->backoff_ms, spec->retain_ms, spec->attempts_given, spec->after_policy, spec->limits.memory_mib, spec->limits.cpu_s, spec->limits.files};

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		abort();
	digest_add(ctx, spec->task, strlen(spec->task));
	digest_add(ctx, spec->queue, strlen(spec->queue));
	digest_add(ctx, params->label, strlen(params->label));
	digest_add_text(ctx, spec->webhook);
	digest_add(ctx, spec->after.at, spec->after.len);
	digest_add(ctx, (const char *)numbers, sizeof(numbers));
	if (params->items.len > 0) {
		digest_add(ctx, "items", 5);
		digest_add_json(ctx, params->items);
	} else {
		digest_add_json(ctx, spec->args);
	}
	EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
}

/* ---- answers --------------------------------------------------------------------------------------------------------------- */

static void
submission_reply(struct submission *submission, int64_t first, int64_t count, bool existing)
{
	struct text result = {0};

	if (submission->kind == SUBMIT_MAP) {
		text_printf(&result, "{\"first\":%lld,\"count\":%lld", (long long)first, (long long)count);
	} else {
		text_add_lit(&result, "{\"id\":");
		text_add_integer(&result, first);
		if (!existing)
			text_add_lit(&result, ",\"state\":\"pending\"");
	}
	if (existing)
		text_add_lit(&result, ",\"existing\":true");
	text_add_char(&result, '}');
	request_reply(submission->request, &result);
}

/* ids: a JSON array. */
static void
submission_fail_parents(struct request *request, const char *ids)
{
	size_t len = strlen(ids) - 2; /* without the brackets */
	struct text data = {0};
	char message[256];

	snprintf(message, sizeof(message), "after names jobs that do not exist: %.*s%s", (int)(len < PARENTS_TOLD ? len : PARENTS_TOLD),
	    ids + 1, len > PARENTS_TOLD ? "…" : "");
	text_printf(&data, ",\"ids\":%s", ids);
	request_fail_data(request, RPC_NOT_FOUND, message, text_span(&data));
	text_done(&data);
}

static void
submission_done(enum dispatch_answer answer, int64_t first, int64_t count, const char *reason, void *ctx)
{
	struct submission *submission = ctx;
	struct request *request = submission->request;

	if (submission->kind == SUBMIT_RUN)
		peer_unreserve_wait(request->peer);
	switch (answer) {
	case DISPATCH_ADDED:
	case DISPATCH_EXISTING:
		if (submission->kind == SUBMIT_RUN)
			await_run(request, first, submission->wait_ms, answer == DISPATCH_ADDED);
		else
			submission_reply(submission, first, count, answer == DISPATCH_EXISTING);
		break;
	case DISPATCH_KEY_CONFLICT:
		request_fail(request, RPC_KEY_CONFLICT, "this key was given to job %lld with other parameters", (long long)first);
		break;
	case DISPATCH_NO_PARENT:
		submission_fail_parents(request, reason);
		break;
	case DISPATCH_STORAGE_FULL:
		request_fail(request, RPC_STORAGE_FULL, "there is no room to keep the job: %s", reason);
		break;
	case DISPATCH_UNAVAILABLE:
		request_fail(request, RPC_BUSY, "the store cannot take the job now: %s", reason);
		break;
	case DISPATCH_UNKNOWN:
		request_fail(request, RPC_OUTCOME_UNKNOWN, "it is not known whether the job was kept: %s; ask again with the same key", reason);
		break;
	}
	free(submission->items);
	free(submission);
}

/* ---- the methods ----------------------------------------------------------------------------------------------------------- */

static void
submit_fill_spec(const struct request *request, const struct submit_params *params, const struct task *task, struct spec *spec)
{
	spec->task = task->name;
	spec->queue = params->queue[0] != '\0' ? params->queue : "default";
	spec->owner = request->peer->owner;
	spec->label = params->label[0] != '\0' ? params->label : NULL;
	spec->key = params->key[0] != '\0' ? params->key : NULL;
	spec->webhook = params->webhook[0] != '\0' ? params->webhook : NULL;
	spec->pure = task->pure;
	spec->attempts_given = params->max_attempts != 0;
	if (spec->attempts_given && task->kind == TASK_COMMAND)
		spec->idempotent = true; /* the submitter says that it may be started again */
	spec->max_attempts = params->max_attempts != 0 ? (int32_t)params->max_attempts : spec->idempotent ? 3 : 1;
	spec->restricted = request->peer->role != ROLE_OPERATOR;
	spec->priority = (int16_t)params->priority;
	spec->submitted_ms = loop_wall_ms();
	spec->not_before_ms = params->delay_ms > 0 ? spec->submitted_ms + params->delay_ms : params->not_before_ms;
	spec->timeout_ms = params->timeout_ms;
	spec->backoff_ms = params->backoff_ms;
	spec->retain_ms = params->retain_ms;
	spec->expires_ms = params->expires_ms != SPEC_NONE ? spec->submitted_ms + params->expires_ms : SPEC_NONE;
	if (spec->key != NULL)
		submit_digest(params, spec, spec->digest);
}

static void
submit_hand_over(struct request *request, enum submit_kind kind, const struct submit_params *params, const struct task *task,
    const struct spec *spec, int64_t count)
{
	struct submission *submission = mem_new(sizeof(*submission));
	struct span items = SPAN_NONE;
	const char *what = NULL;
	int error;

	submission->request = request;
	submission->kind = kind;
	submission->wait_ms = params->wait_ms;
	if (kind == SUBMIT_MAP) {
		submission->items = mem_copy(params->items.at, params->items.len);
		items = (struct span){submission->items, params->items.len};
	}
	error = dispatch_submit(request->server->dispatch, spec, task, items, count, submission_done, submission, NULL, &what);
	if (error == 0)
		return;
	if (kind == SUBMIT_RUN)
		peer_unreserve_wait(request->peer);
	free(submission->items);
	free(submission);
	if (error == RPC_BUSY)
		request_fail(request, error, "%s is reached", what);
	else
		request_fail(request, error, "the daemon is ending and takes nothing more");
}

static void
submit_any(struct request *request, struct span raw, enum submit_kind kind, const struct param *table)
{
	struct submit_params params = {.args = SPAN_LIT("[]"), .delay_ms = SPEC_NONE, .not_before_ms = SPEC_NONE,
	    .expires_ms = SPEC_NONE, .timeout_ms = SPEC_NONE, .retain_ms = SPEC_NONE, .backoff_ms = 1000, .wait_ms = SPEC_NONE};
	const struct task *task;
	struct spec spec = {0};
	struct text after = {0};
	int64_t count = 1;

	if (!request_params(request, raw, table, &params) || !submit_check_times(request, &params) ||
	    (task = submit_find_task(request, &params)) == NULL || !submit_pool(request, &params, task, &spec.pool) ||
	    !submit_check_webhook(request, params.webhook) || !methods_read_limits(request, params.limits, task, &spec.limits) ||
	    !submit_policy(request, &params, &spec.after_policy))
		return;
	if (kind == SUBMIT_MAP) {
		if (!submit_check_items(request, task, params.items, &spec.idempotent, &count))
			return;
		if (count == 0) {
			request_reply_lit(request, "{\"first\":null,\"count\":0}");
			return;
		}
	} else {
		if (!submit_is_args(params.args)) {
			request_fail_param(request, "args", "args must be an array (by position) or an object (by name)");
			return;
		}
		if (!submit_check_role(request, task, params.args))
			return;
		spec.args = params.args;
		spec.idempotent = task->is_idempotent != NULL ? task->is_idempotent(spec.args) : task->idempotent || task->pure;
	}
	if (!submit_read_after(request, &params, &after))
		return;
	spec.after = text_span(&after);
	if (kind == SUBMIT_RUN && peer_reserve_wait(request->peer) < 0) {
		request_fail(request, RPC_BUSY, "[limits] waits_per_connection is reached");
	} else {
		submit_fill_spec(request, &params, task, &spec);
		submit_hand_over(request, kind, &params, task, &spec, count);
	}
	text_done(&after);
}

static void
method_submit(struct request *request, struct span params)
{
	submit_any(request, params, SUBMIT_ONE, submit_table);
}

static void
method_map(struct request *request, struct span params)
{
	submit_any(request, params, SUBMIT_MAP, map_table);
}

static void
method_run(struct request *request, struct span params)
{
	submit_any(request, params, SUBMIT_RUN, run_table);
}

const struct method methods_submit[] = {
    {"submit", ROLE_USER, method_submit},
    {"map", ROLE_USER, method_map},
    {"run", ROLE_USER, method_run},
    {0},
};
