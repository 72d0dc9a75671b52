/*
 * fuzz_request: a line of JSON-RPC from its reading to its replies: envelope, batch, parameters of every kind, times,
 * fields, filters and selections, as request.c and the methods read them.
 *
 * The input is lines; each is handed to a connection that is none. The methods are of this file: `now` answers at once,
 * `late` when the line has been handled, the last first, `fail` with an error, `large` with more than may go into a
 * reply. What is asserted: each request that wants an answer gets one, with its own id, and no other does (jansson and
 * the specification say which those are); a reply is JSON on one line, and an error has a code of the contract and its
 * word; a parameter that is accepted is within its range and, written again, is read again
 * as it was; a selection has the jobs that were named, sorted and apart.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/mem.h"
#include "daemon/methods.h"
#include "daemon/server.h"
#include "daemon/task.h"
#include "proto/datetime.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGE_MAX   4096
#define SELECTION_MAX 1000
#define LATE_MAX      1200 /* more than a batch may have */

struct all_params {
	char text[16];
	struct span span, id, ids, filter, fields, limits;
	int64_t integer, duration_ms, time_ms;
	bool truth;
};

static const struct param all_table[] = {
    {"text", PARAM_TEXT_OF(all_params, text)},
    {"span", PARAM_SPAN, PARAM_AT(all_params, span), 0, 0, 0},
    {"integer", PARAM_INTEGER, PARAM_AT(all_params, integer), 0, -1000, 1000},
    {"duration", PARAM_DURATION, PARAM_AT(all_params, duration_ms), 0, 0, 0},
    {"time", PARAM_TIME, PARAM_AT(all_params, time_ms), 0, 0, 0},
    {"truth", PARAM_BOOL, PARAM_AT(all_params, truth), 0, 0, 0},
    {"id", PARAM_SPAN, PARAM_AT(all_params, id), 0, 0, 0},
    {"ids", PARAM_SPAN, PARAM_AT(all_params, ids), 0, 0, 0},
    {"filter", PARAM_SPAN, PARAM_AT(all_params, filter), 0, 0, 0},
    {"fields", PARAM_SPAN, PARAM_AT(all_params, fields), 0, 0, 0},
    {"limits", PARAM_SPAN, PARAM_AT(all_params, limits), 0, 0, 0},
    {0},
};

static struct config config;
static struct server server;
static struct peer peer;
static struct text sent; /* since the line was handed over */
static struct request *late[LATE_MAX];
static size_t n_late;

/* ---- what was read ---------------------------------------------------------------------------------------------- */

static void
check_ranges(const struct selection *selection)
{
	uint64_t count = 0;

	for (size_t i = 0; i < selection->n_ranges; i++) {
		const struct id_range *range = &selection->ranges[i];

		FUZZ_CHECK(range->first >= 1 && range->first <= range->last && range->last <= SELECTION_ID_MAX, "a range that is none");
		FUZZ_CHECK(i == 0 || range->first > selection->ranges[i - 1].last + 1, "ranges that touch");
		FUZZ_CHECK(selection_has(selection, range->first) && selection_has(selection, range->last) &&
			!selection_has(selection, range->first - 1) && !selection_has(selection, range->last + 1),
		    "a range without its ends");
		count += (uint64_t)(range->last - range->first) + 1;
	}
	FUZZ_CHECK(count == selection->count && count <= SELECTION_MAX, "%llu ids", (unsigned long long)count);
	for (size_t i = 0; i < selection->n_asked; i++)
		FUZZ_CHECK(selection_has(selection, selection->asked[i].first) && selection_has(selection, selection->asked[i].last),
		    "an id that was asked is not selected");
}

/* Its ranges, written as a client would, are the same selection. */
static void
check_written(const struct selection *selection)
{
	struct selection again;
	struct text text = {0};
	const char *param, *what;
	struct span value;

	for (size_t i = 0; i < selection->n_ranges; i++)
		text_printf(&text, "%c\"%lld-%lld\"", i == 0 ? '[' : ',', (long long)selection->ranges[i].first,
		    (long long)selection->ranges[i].last);
	text_add_char(&text, ']');
	FUZZ_CHECK(jsonspan_validate(text_span(&text), &value, NULL) == 0, "no JSON");
	FUZZ_CHECK(selection_read(SPAN_NONE, value, SPAN_NONE, SELECTION_MAX, &again, &param, &what) == 0, "refused: %s", what);
	FUZZ_CHECK(again.count == selection->count && again.n_ranges == selection->n_ranges &&
		memcmp(again.ranges, selection->ranges, again.n_ranges * sizeof(*again.ranges)) == 0, "another selection");
	selection_done(&again);
	text_done(&text);
}

static void
check_names(char *const *names, size_t n)
{
	FUZZ_CHECK((names != NULL) == (n > 0), "an array without names");
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(jsonspan_is_text(names[i], strlen(names[i])), "a name that is no text");
}

static void
check_filter(const struct selection_filter *filter)
{
	FUZZ_CHECK(filter->states < 1u << JOB_STATE_COUNT, "states that there are not");
	check_names(filter->tasks, filter->n_tasks);
	check_names(filter->queues, filter->n_queues);
	check_names(filter->labels, filter->n_labels);
	check_names(filter->owners, filter->n_owners);
}

static void
check_time(int64_t ms)
{
	struct text text = {0};
	int64_t again;
	char *cstr;

	FUZZ_CHECK(ms >= 0, "a time before 1970");
	text_add_time(&text, ms);
	FUZZ_CHECK(text.len > 2, "no time");
	cstr = mem_copy(text.at + 1, text.len - 2); /* without the quotes */
	FUZZ_CHECK(datetime_read(cstr, &again) == 0 && again == ms, "%s is not %lld ms", cstr, (long long)ms);
	free(cstr);
	text_done(&text);
}

static void
check_params(const struct all_params *params)
{
	FUZZ_CHECK(strlen(params->text) < sizeof(params->text) && jsonspan_is_text(params->text, strlen(params->text)), "text");
	FUZZ_CHECK(params->integer >= -1000 && params->integer <= 1000, "integer %lld", (long long)params->integer);
	FUZZ_CHECK(params->duration_ms >= SPEC_NONE && params->duration_ms <= INT64_C(10000000000000), "duration");
	FUZZ_CHECK(params->span.at == NULL || jsonspan_validate(params->span, NULL, NULL) == 0, "span");
	if (params->time_ms != SPEC_NONE)
		check_time(params->time_ms);
}

/* Reads all there is; false when the request has been failed for it. */
static bool
read_all(struct request *request, struct span raw)
{
	struct all_params params = {.duration_ms = SPEC_NONE, .time_ms = SPEC_NONE};
	render_fields fields = 0;
	struct selection selection;
	struct spec_limits limits = {0};
	const struct task *task = task_find_name(tasks_builtin, "exec");

	if (!request_params(request, raw, all_table, &params))
		return false;
	check_params(&params);
	if (!methods_read_fields(request, params.fields, &fields) || !methods_read_limits(request, params.limits, task, &limits))
		return false;
	FUZZ_CHECK(limits.memory_mib >= 0 && limits.cpu_s >= 0 && limits.files >= 0, "a limit below nothing");
	if (params.id.at == NULL && params.ids.at == NULL && params.filter.at == NULL)
		return true;
	if (!methods_read_selection(request, params.id, params.ids, params.filter, &selection))
		return false;
	if (selection.filtered) {
		check_filter(&selection.filter);
	} else {
		check_ranges(&selection);
		check_written(&selection);
	}
	selection_done(&selection);
	return true;
}

/* ---- methods ---------------------------------------------------------------------------------------------------- */

static void
method_now(struct request *request, struct span params)
{
	if (read_all(request, params))
		request_reply_lit(request, "true");
}

static void
method_late(struct request *request, struct span params)
{
	if (!read_all(request, params))
		return;
	FUZZ_CHECK(n_late < LATE_MAX, "more requests than a batch may have");
	request_is_bulk(request);
	late[n_late++] = request;
}

static void
method_fail(struct request *request, struct span params)
{
	if (read_all(request, params))
		request_fail(request, RPC_BUSY, "%s", "the text with \" \\ \n and \xc3\xa4");
}

static void
method_large(struct request *request, struct span params)
{
	struct text result = {0};

	if (!read_all(request, params))
		return;
	text_add_char(&result, '"');
	memset(text_room(&result, MESSAGE_MAX / 2), 'a', MESSAGE_MAX / 2);
	result.len += MESSAGE_MAX / 2;
	text_add_char(&result, '"');
	request_reply(request, &result);
}

static const struct method methods[] = {
    {"now", ROLE_NONE, method_now},
    {"late", ROLE_READER, method_late},
    {"fail", ROLE_USER, method_fail},
    {"large", ROLE_USER, method_large},
    {"operator", ROLE_OPERATOR, method_now},
    {0},
};
static const struct method *const tables[] = {methods, NULL};

/* ---- what is to come of a line ----------------------------------------------------------------------------------- */

/* The id of the answer that a request is to get (a new reference), NULL when it is a notification. */
static json_t *
expected_id(const json_t *request)
{
	const json_t *id = json_object_get(request, "id");
	const char *version = json_string_value(json_object_get(request, "jsonrpc")), *key;
	json_t *member;

	if (json_is_integer(id) || json_is_string(id) || json_is_null(id))
		return json_incref((json_t *)(uintptr_t)id);
	if (id != NULL || version == NULL || strcmp(version, "2.0") != 0 || !json_is_string(json_object_get(request, "method")))
		return json_null();
	json_object_foreach((json_t *)(uintptr_t)request, key, member)
	{
		if (strcmp(key, "jsonrpc") != 0 && strcmp(key, "method") != 0 && strcmp(key, "params") != 0)
			return json_null();
	}
	return NULL;
}

/* An array of the ids of all answers that the line is to get. */
static json_t *
expected_ids(const json_t *line)
{
	json_t *ids = json_array(), *id;
	size_t n = json_array_size(line);

	if (json_is_array(line) && n > 0 && n <= 1000) {
		for (size_t i = 0; i < n; i++) {
			id = expected_id(json_array_get(line, i));
			if (id != NULL)
				json_array_append_new(ids, id);
		}
		return ids;
	}
	id = line == NULL || json_is_array(line) ? json_null() : expected_id(line);
	if (id != NULL)
		json_array_append_new(ids, id);
	return ids;
}

/* One reply: the id that it answers is taken from ids. */
static void
check_reply(const json_t *reply, json_t *ids)
{
	const json_t *id = json_object_get(reply, "id"), *error = json_object_get(reply, "error");
	const char *word = json_string_value(json_object_get(json_object_get(error, "data"), "code")), *known;
	bool succeeded = json_object_get(reply, "result") != NULL;
	int code = (int)json_integer_value(json_object_get(error, "code"));
	size_t at;

	FUZZ_CHECK(json_object_size(reply) == 3 && succeeded != (error != NULL), "neither a result nor an error");
	FUZZ_CHECK(strcmp(json_string_value(json_object_get(reply, "jsonrpc")), "2.0") == 0, "another version");
	for (at = 0; at < json_array_size(ids) && !json_equal(json_array_get(ids, at), id); at++)
		;
	FUZZ_CHECK(at < json_array_size(ids), "an answer that nobody waits for");
	json_array_remove(ids, at);
	if (error == NULL)
		return;
	known = rpc_error_word(code);
	FUZZ_CHECK(word != NULL && known != NULL && strcmp(word, known) == 0, "code %d is called %s", code, word);
	FUZZ_CHECK(json_string_length(json_object_get(error, "message")) > 0, "an error without a message");
}

static void
check_sent(json_t *ids)
{
	struct span value;
	json_t *reply;

	if (sent.len == 0) {
		FUZZ_CHECK(json_array_size(ids) == 0, "%zu requests are not answered", json_array_size(ids));
		return;
	}
	FUZZ_CHECK(sent.at[sent.len - 1] == '\n' && memchr(sent.at, '\n', sent.len - 1) == NULL, "more than one line");
	FUZZ_CHECK(jsonspan_validate_reply(text_span(&sent), &value, NULL) == 0, "a reply that we would not read");
	reply = json_loadb(sent.at, sent.len, JSON_REJECT_DUPLICATES, NULL);
	FUZZ_CHECK(reply != NULL, "a reply that is no JSON: %.*s", (int)sent.len, sent.at);
	if (json_is_array(reply)) {
		for (size_t i = 0; i < json_array_size(reply); i++)
			check_reply(json_array_get(reply, i), ids);
	} else {
		check_reply(reply, ids);
	}
	FUZZ_CHECK(json_array_size(ids) == 0, "%zu requests are not answered", json_array_size(ids));
	json_decref(reply);
}

static void
play(struct span bytes)
{
	struct span line = fuzz_tight(bytes);
	bool valid = jsonspan_validate(line, NULL, NULL) == 0;
	json_t *tree = valid ? json_loadb(line.at, line.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL) : NULL;
	json_t *ids = expected_ids(tree);

	text_clear(&sent);
	request_handle_line(&peer, line);
	fuzz_release(line); /* it lives during the call alone */
	while (n_late > 0)
		request_reply_lit(late[--n_late], "[\"late\"]");
	FUZZ_CHECK(peer.refs == 1 && peer.n_bulk == 0, "%u requests are left", peer.refs - 1);
	check_sent(ids);
	json_decref(ids);
	json_decref(tree);
}

/* ---- a connection that is none ----------------------------------------------------------------------------------- */

static void
peer_send(struct peer *to, const char *bytes, size_t len)
{
	(void)to;
	text_add(&sent, bytes, len);
}

static void
peer_nothing(struct peer *to)
{
	(void)to;
}

static bool
peer_never(const struct peer *to)
{
	(void)to;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct peer_calls calls = {
	    .send = peer_send,
	    .idle = peer_nothing,
	    .resume = peer_nothing,
	    .is_clogged = peer_never,
	    .free = peer_nothing,
	};
	struct fuzz_input input = {data, size};
	struct span line;

	config = (struct config){.limit_message = MESSAGE_MAX, .limit_selection = SELECTION_MAX};
	server = (struct server){.config = &config, .methods = tables, .tasks = tasks_builtin};
	peer = (struct peer){.server = &server,
	    .role = ROLE_USER,
	    .owner = "uid:1000",
	    .refs = 1,
	    .calls = &calls};
	TAILQ_INIT(&peer.waits);
	TAILQ_INIT(&peer.turns);
	while (fuzz_line(&input, &line))
		play(line);
	text_done(&sent);
	return 0;
}
