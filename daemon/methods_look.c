/*
 * methods_look: looking at jobs: status (a selection, in the order asked) and list (pages).
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/gather.h"
#include "daemon/mem.h"
#include "daemon/methods.h"
#include "daemon/picked.h"
#include "daemon/server.h"

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
status_knows(int64_t id, const void *who)
{
	const struct status *status = who;
	size_t at = status_find(status, id);

	return at < status->n && status->jobs[at].id == id;
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
	} else if (picked_check_unknown(status->request, selection, status_knows, status, status->n > 0)) {
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
	what.room = &request->room;
	what.most = (size_t)request->server->config->limit_message;
	what.fields = render_store_fields(fields);
	what.arg = status;
	gather_start(request->server->dispatch, &what);
}

/* ---- list ------------------------------------------------------------------------------------------------------------------ */

#define LIST_LOOK_MS 200 /* a filter that fits little ends a page early after this */

struct list {
	struct request *request;
	struct store_read read;
	struct selection_filter filter;
	bool has_filter;
	char *owner;
	render_fields fields;
	struct text text; /* the objects so far */
	size_t n, limit;
	int64_t last;     /* id of the last of them, or where the reading stopped */
	int64_t until_ms; /* monotonic */
};

static void
list_free(struct list *list)
{
	if (list->has_filter)
		selection_filter_done(&list->filter);
	text_done(&list->text);
	free(list->owner);
	free(list);
}

static void
list_reply(struct list *list, bool more)
{
	struct text result = {0};

	text_add_lit(&result, "{\"jobs\":[");
	text_add(&result, list->text.at, list->text.len);
	text_add_lit(&result, "],\"next\":");
	if (more)
		text_add_integer(&result, list->last);
	else
		text_add_lit(&result, "null");
	text_add_char(&result, '}');
	request_reply(list->request, &result);
	list_free(list);
}

static void
list_read(void *arg)
{
	struct list *list = arg;

	dispatch_read(list->request->server->dispatch, &list->read);
}

/* The next slice; what has become more than a little waits until there is room for the longest page. */
static void
list_next(struct list *list)
{
	struct store_read *read = &list->read;
	size_t longest = (size_t)list->request->server->config->limit_message / 4;

	if (!read->strict || (read->large == 0 && list->text.len < ROOM_SMALL)) {
		list_read(list);
		return;
	}
	read->strict = false;
	read->max_bytes = longest;
	room_take(&list->request->room, longest + read->large, list_read, list);
}

/* A slice is here. One row more than fits was asked for, so that `next` is null at the very end. */
static void
list_done(struct store_read *read, void *arg)
{
	struct list *list = arg;
	size_t max = (size_t)list->request->server->config->limit_message / 4;
	bool more = read->more, full = false, late;
	size_t i;

	if (read->error != 0) {
		request_fail(list->request, RPC_INTERNAL, "%s", read->reason);
		list_free(list);
		return;
	}
	for (i = 0; i < read->n_rows && !full; i++) {
		full = list->n == list->limit || list->text.len > max;
		if (full)
			break;
		if (list->n++ > 0)
			text_add_char(&list->text, ',');
		render_job(&list->text, list->request->server->dispatch, &read->rows[i], list->fields);
		list->last = read->rows[i].id;
	}
	if (!full && more)
		list->last = read->next;
	read->cursor = read->next;
	read->max_rows = list->limit - list->n + 1;
	store_read_done(read);
	late = loop_mono_ms() >= list->until_ms && (list->n > 0 || read->large == 0); /* a page before a large job would be empty */
	if (full || !more || late)
		list_reply(list, full || more);
	else
		list_next(list);
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
	list->limit = (size_t)params.limit;
	list->until_ms = loop_mono_ms() + LIST_LOOK_MS;
	list->read.max_rows = list->limit + 1;
	list->read.max_bytes = ROOM_SMALL;
	list->read.strict = true;
	list->read.fields = render_store_fields(fields);
	list->read.done = list_done;
	list->read.arg = list;
	list_read(list);
}

const struct method methods_look[] = {
    {"status", ROLE_READER, method_status},
    {"list", ROLE_READER, method_list},
    {0},
};
