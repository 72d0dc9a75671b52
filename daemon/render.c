/*
 * render: see render.h. One small function a member, in one table, so that `fields` and the whole object are the same code.
 */
#include "daemon/render.h"

#include <string.h>

struct render {
	struct text *text;
	const struct dispatch *dispatch;
	const struct store_row *row;
	const struct job *job; /* when it runs, else NULL */
	enum job_state state;
};

static void
render_id(const struct render *render)
{
	text_add_integer(render->text, render->row->id);
}

static void
render_task(const struct render *render)
{
	text_add_quoted(render->text, render->row->spec.task);
}

static void
render_args(const struct render *render)
{
	if (render->row->spec.args.len > 0)
		text_add_span(render->text, render->row->spec.args);
	else
		text_add_lit(render->text, "[]");
}

static void
render_queue(const struct render *render)
{
	text_add_quoted(render->text, render->row->spec.queue);
}

static void
render_lane(const struct render *render)
{
	text_add_quoted(render->text, lane_name(spec_lane(&render->row->spec)));
}

static void
render_priority(const struct render *render)
{
	text_add_integer(render->text, render->row->spec.priority);
}

static void
render_label(const struct render *render)
{
	text_add_quoted(render->text, render->row->spec.label);
}

static void
render_key(const struct render *render)
{
	text_add_quoted(render->text, render->row->spec.key);
}

static void
render_owner(const struct render *render)
{
	text_add_quoted(render->text, render->row->spec.owner);
}

static void
render_after(const struct render *render)
{
	if (render->row->spec.after.len > 0)
		text_add_span(render->text, render->row->spec.after);
	else
		text_add_lit(render->text, "[]");
}

static void
render_retry_of(const struct render *render)
{
	if (render->row->spec.retry_of > 0)
		text_add_integer(render->text, render->row->spec.retry_of);
	else
		text_add_lit(render->text, "null");
}

static void
render_progress(const struct render *render)
{
	if (render->job != NULL && render->job->progress != NULL)
		progress_add_json(render->job->progress, render->text);
	else
		text_add_lit(render->text, "null");
}

static void
render_state_member(const struct render *render)
{
	text_add_quoted(render->text, job_state_name(render->state));
}

static void
render_reason(const struct render *render)
{
	if (render->state == JOB_PENDING)
		text_add_quoted(render->text, job_reason_name(dispatch_reason(render->dispatch, render->row)));
	else
		text_add_lit(render->text, "null");
}

static void
render_attempt(const struct render *render)
{
	text_add_integer(render->text, render->job != NULL ? render->job->attempts : render->row->attempt);
}

static void
render_max_attempts(const struct render *render)
{
	text_add_integer(render->text, render->row->spec.max_attempts);
}

static void
render_timeout(const struct render *render)
{
	if (render->row->spec.timeout_ms == SPEC_NONE)
		text_add_lit(render->text, "null");
	else
		text_add_seconds_ms(render->text, render->row->spec.timeout_ms);
}

static void
render_submitted(const struct render *render)
{
	text_add_time(render->text, render->row->spec.submitted_ms);
}

static void
render_not_before(const struct render *render)
{
	text_add_time(render->text, render->row->spec.not_before_ms);
}

static void
render_expires(const struct render *render)
{
	text_add_time(render->text, render->row->spec.expires_ms);
}

static void
render_started(const struct render *render)
{
	text_add_time(render->text, render->job != NULL ? render->job->started_ms : render->row->started_ms);
}

static void
render_finished(const struct render *render)
{
	text_add_time(render->text, render->row->place == STORE_DONE ? render->row->finished_ms : SPEC_NONE);
}

static void
render_result(const struct render *render)
{
	if (render->state == JOB_SUCCEEDED && render->row->json.len > 0)
		text_add_span(render->text, render->row->json);
	else
		text_add_lit(render->text, "null");
}

static void
render_error(const struct render *render)
{
	if ((render->state == JOB_FAILED || render->state == JOB_CANCELLED) && render->row->json.len > 0)
		text_add_span(render->text, render->row->json);
	else
		text_add_lit(render->text, "null");
}

static void
render_usage(const struct render *render)
{
	const struct usage *usage = &render->row->usage;
	int32_t worker = render->job != NULL ? render->job->worker : render->row->worker;

	if (render->state == JOB_PENDING) {
		text_add_lit(render->text, "null");
		return;
	}
	text_add_lit(render->text, "{\"user_s\":");
	if (usage->known) {
		text_add_seconds_us(render->text, usage->user_us);
		text_add_lit(render->text, ",\"system_s\":");
		text_add_seconds_us(render->text, usage->system_us);
		text_add_lit(render->text, ",\"max_rss_kib\":");
		if (usage->max_rss_kib > 0)
			text_add_integer(render->text, usage->max_rss_kib);
		else
			text_add_lit(render->text, "null");
	} else {
		text_add_lit(render->text, "null,\"system_s\":null,\"max_rss_kib\":null");
	}
	text_add_lit(render->text, ",\"worker\":");
	if (worker > 0)
		text_add_integer(render->text, worker);
	else
		text_add_lit(render->text, "null");
	text_add_lit(render->text, "}");
}

static const struct {
	const char *name;
	unsigned store_fields;
	void (*write)(const struct render *render);
} render_members[] = {
    {"id", 0, render_id},
    {"task", STORE_FIELD_SPEC, render_task},
    {"args", STORE_FIELD_ARGS, render_args},
    {"queue", STORE_FIELD_SPEC, render_queue},
    {"lane", 0, render_lane},
    {"priority", STORE_FIELD_SPEC, render_priority},
    {"label", STORE_FIELD_SPEC, render_label},
    {"key", STORE_FIELD_SPEC, render_key},
    {"owner", 0, render_owner},
    {"after", STORE_FIELD_SPEC, render_after},
    {"retry_of", STORE_FIELD_SPEC, render_retry_of},
    {"state", 0, render_state_member},
    {"reason", STORE_FIELD_SPEC, render_reason},
    {"attempt", 0, render_attempt},
    {"max_attempts", STORE_FIELD_SPEC, render_max_attempts},
    {"timeout", STORE_FIELD_SPEC, render_timeout},
    {"submitted", STORE_FIELD_SPEC, render_submitted},
    {"not_before", STORE_FIELD_SPEC, render_not_before},
    {"expires", STORE_FIELD_SPEC, render_expires},
    {"started", 0, render_started},
    {"finished", 0, render_finished},
    {"progress", 0, render_progress},
    {"result", STORE_FIELD_RESULT, render_result},
    {"error", STORE_FIELD_ERROR, render_error},
    {"usage", 0, render_usage},
};

#define RENDER_MEMBERS (sizeof(render_members) / sizeof(render_members[0]))

int
render_read_fields(struct span fields, render_fields *ret_fields, const char **ret_what)
{
	struct jsonspan_iter iter;
	struct span name;
	render_fields found = 1;
	size_t i;

	if (jsonspan_type(fields) != JSONSPAN_ARRAY) {
		*ret_what = "fields must be an array of names";
		return -1;
	}
	jsonspan_iter_init(&iter, fields);
	while (jsonspan_next(&iter, &name)) {
		for (i = 0; i < RENDER_MEMBERS; i++) {
			if (jsonspan_type(name) == JSONSPAN_STRING && jsonspan_is(name, render_members[i].name))
				break;
		}
		if (i == RENDER_MEMBERS) {
			*ret_what = "fields names something that is no member of a job object";
			return -1;
		}
		found |= (render_fields)1 << i;
	}
	*ret_fields = found;
	return 0;
}

render_fields
render_fields_of_list(void)
{
	render_fields fields = 0;

	for (size_t i = 0; i < RENDER_MEMBERS; i++) {
		if (strcmp(render_members[i].name, "args") != 0 && strcmp(render_members[i].name, "result") != 0)
			fields |= (render_fields)1 << i;
	}
	return fields;
}

unsigned
render_store_fields(render_fields fields)
{
	unsigned store_fields = 0;

	for (size_t i = 0; i < RENDER_MEMBERS; i++) {
		if (fields & ((render_fields)1 << i))
			store_fields |= render_members[i].store_fields;
	}
	return store_fields;
}

static const struct job *
render_running_job(const struct dispatch *dispatch, const struct store_row *row)
{
	const struct job *job;

	if (row->place == STORE_DONE)
		return NULL;
	job = dispatch_job(dispatch, row->id);
	return job != NULL && dispatch_is_running(job) ? job : NULL;
}

enum job_state
render_state(const struct dispatch *dispatch, const struct store_row *row)
{
	return render_running_job(dispatch, row) != NULL ? JOB_RUNNING : row->state;
}

void
render_job(struct text *text, const struct dispatch *dispatch, const struct store_row *row, render_fields fields)
{
	struct render render = {text, dispatch, row, render_running_job(dispatch, row), row->state};
	bool first = true;

	if (render.job != NULL)
		render.state = JOB_RUNNING;
	text_add_char(text, '{');
	for (size_t i = 0; i < RENDER_MEMBERS; i++) {
		if ((fields & ((render_fields)1 << i)) == 0)
			continue;
		if (!first)
			text_add_char(text, ',');
		first = false;
		text_add_char(text, '"');
		text_add_cstr(text, render_members[i].name);
		text_add_lit(text, "\":");
		render_members[i].write(&render);
	}
	text_add_char(text, '}');
}

void
render_running(struct text *text, const struct dispatch *dispatch, const struct job *job, render_fields fields)
{
	struct store_row row = {.id = job->spec->id, .place = STORE_RUNNING, .state = JOB_RUNNING, .attempt = job->attempts};

	row.started_ms = job->started_ms;
	row.finished_ms = row.run_at_ms = SPEC_NONE;
	row.worker = job->worker;
	row.spec = *job->spec;
	render_job(text, dispatch, &row, fields);
}
