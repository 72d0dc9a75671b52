/*
 * SEL on the command line. Reading is pure; only `last` asks the daemon.
 */
#include "select.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "proto/selection.h"
#include "value.h"

static const char *const select_names[SELECT_KEY_COUNT] = {
    [SELECT_STATE] = "state",
    [SELECT_TASK] = "task",
    [SELECT_QUEUE] = "queue",
    [SELECT_LABEL] = "label",
    [SELECT_OWNER] = "owner",
};

static int select_add_range(struct select *select, int64_t first, int64_t last)
{
	struct fut_range *ranges = reallocarray(select->ranges, select->n_ranges + 1, sizeof(*ranges));

	if (ranges == NULL)
		ctl_die_memory();
	select->ranges = ranges;
	ranges[select->n_ranges++] = (struct fut_range){first, last};
	return 0;
}

/* A decimal id without a sign: its length, or 0. */
static size_t select_read_number(const char *text, int64_t *ret)
{
	size_t digits = strspn(text, "0123456789");
	int64_t id = 0;

	if (digits == 0 || digits > 16)
		return 0;
	for (size_t i = 0; i < digits; i++)
		id = id * 10 + (text[i] - '0');
	if (id < 1 || id > SELECTION_ID_MAX)
		return 0;
	*ret = id;
	return digits;
}

/* "7", "5-9" or "last", up to a comma or the end: its length, or 0. */
static size_t select_read_range(struct select *select, const char *text)
{
	int64_t first, last;
	size_t len = strcspn(text, ","), digits, more;

	if (len == 4 && strncmp(text, "last", 4) == 0) {
		select_add_range(select, SELECT_LAST, SELECT_LAST);
		return len;
	}
	digits = select_read_number(text, &first);
	if (digits == 0)
		return 0;
	last = first;
	if (text[digits] == '-') {
		more = select_read_number(text + digits + 1, &last);
		digits = more == 0 ? 0 : digits + 1 + more;
		select->single = false;
	}
	if (digits != len || last < first)
		return 0;
	select_add_range(select, first, last);
	return len;
}

static int select_read_ids(struct select *select, const char *word, struct text *wrong)
{
	for (const char *at = word;; at++) {
		size_t len = select_read_range(select, at);

		if (len == 0) {
			text_add_format(wrong, "'%s' is no selection of jobs: write ids (3,5-9), 'last', or a filter "
			    "(label=, state=, queue=, task=)", word);
			return -1;
		}
		at += len;
		if (*at == '\0')
			return 0;
		select->single = false;
	}
}

static int select_add_one(struct select *select, enum select_key key, const char *value, size_t len, struct text *wrong)
{
	struct text *values = &select->values[key];
	enum job_state state;
	char name[16];

	if (key == SELECT_STATE) {
		if (len < sizeof(name)) {
			memcpy(name, value, len);
			name[len] = '\0';
		}
		if (len >= sizeof(name) || job_state_parse(name, &state) < 0) {
			text_add_format(wrong, "'%.*s' is no state: there are pending, running, succeeded, failed and "
			    "cancelled", (int)len, value);
			return -1;
		}
	}
	if (values->len > 0)
		text_add(values, ",", 1);
	if (text_add_quoted(values, value, len) == 0)
		return 0;
	text_add_format(wrong, "the %s is not valid UTF-8", select_names[key]);
	return -1;
}

int select_add_value(struct select *select, enum select_key key, const char *value, struct text *wrong)
{
	size_t len;

	/* A label is free text and may hold a comma; the others cannot. */
	if (key == SELECT_LABEL)
		return select_add_one(select, key, value, strlen(value), wrong);
	for (const char *at = value;; at += len + 1) {
		len = strcspn(at, ",");
		if (select_add_one(select, key, at, len, wrong) < 0)
			return -1;
		if (at[len] == '\0')
			return 0;
	}
}

static int select_read_word(struct select *select, const char *word, struct text *wrong)
{
	const char *equals = strchr(word, '=');

	if (equals == NULL)
		return select_read_ids(select, word, wrong);
	for (enum select_key key = 0; key < SELECT_KEY_COUNT; key++)
		if (strlen(select_names[key]) == (size_t)(equals - word) &&
		    strncmp(select_names[key], word, (size_t)(equals - word)) == 0)
			return select_add_value(select, key, equals + 1, wrong);
	text_add_format(wrong, "'%s' is no filter: there are label=, state=, queue=, task= and owner=", word);
	return -1;
}

int select_read(char *const *words, size_t count, struct select *ret_select, struct text *wrong)
{
	struct select select = {.single = count == 1};

	if (count == 0) {
		text_add_string(wrong,
		    "which jobs? Give ids (3,5-9), 'last', or a filter (label=, state=, queue=, task=)");
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		if (select_read_word(&select, words[i], wrong) < 0) {
			select_done(&select);
			return -1;
		}
	}
	if (select.n_ranges > 0 && select_is_filter(&select)) {
		text_add_string(wrong, "ids and filters cannot stand in one selection");
		select_done(&select);
		return -1;
	}
	select.single = select.single && select.n_ranges == 1;
	*ret_select = select;
	return 0;
}

bool select_is_filter(const struct select *select)
{
	for (enum select_key key = 0; key < SELECT_KEY_COUNT; key++)
		if (select->values[key].len > 0)
			return true;
	return false;
}

bool select_has_states(const struct select *select)
{
	return select->values[SELECT_STATE].len > 0;
}

void select_write_filter(const struct select *select, struct text *out)
{
	const char *comma = "";

	text_add(out, "{", 1);
	for (enum select_key key = 0; key < SELECT_KEY_COUNT; key++) {
		if (select->values[key].len == 0)
			continue;
		text_add_format(out, "%s\"%s\":[%s]", comma, select_names[key], text_string(&select->values[key]));
		comma = ",";
	}
	text_add(out, "}", 1);
}

void select_done(struct select *select)
{
	free(select->ranges);
	for (enum select_key key = 0; key < SELECT_KEY_COUNT; key++)
		text_done(&select->values[key]);
	*select = (struct select){0};
}

/* One page of one job at most; it may be empty and still not be the end. */
static struct fut_jobs *select_list_last(const char *filter, int64_t *after)
{
	struct fut_params *params = ctl_params();
	struct fut_jobs *jobs;

	fut_params_json(params, "filter", filter, SIZE_MAX);
	fut_params_string(params, "order", "-id");
	fut_params_integer(params, "limit", 1);
	fut_params_json(params, "fields", "[]", SIZE_MAX);
	if (*after > 0)
		fut_params_integer(params, "after", *after);
	if (fut_list(ctl.client, params, &jobs, after) < 0)
		ctl_die_failure();
	fut_params_free(params);
	return jobs;
}

static int64_t select_find_last(void)
{
	const char *owner = fut_owner(ctl.client);
	struct select mine = {0};
	struct text filter = {0};
	struct fut_jobs *jobs;
	int64_t after = 0, id = 0;

	if (select_add_one(&mine, SELECT_OWNER, owner, strlen(owner), &filter) < 0)
		ctl_die(CTL_REFUSED, "%s", text_string(&filter));
	select_write_filter(&mine, &filter);
	do {
		jobs = select_list_last(ctl_text(&filter), &after);
		if (fut_jobs_count(jobs) > 0)
			id = fut_job_id(fut_jobs_at(jobs, 0));
		fut_jobs_free(jobs);
	} while (id == 0 && after > 0);
	if (id == 0)
		ctl_die(CTL_REFUSED, "'last': %s has no jobs", owner);
	text_done(&filter);
	select_done(&mine);
	return id;
}

void select_read_or_die(char *const *words, size_t count, struct select *ret_select)
{
	struct text wrong = {0};

	if (select_read(words, count, ret_select, &wrong) < 0)
		ctl_die_usage("%s", text_string(&wrong));
	if (ctl.client == NULL)
		ctl_connect();
	for (size_t i = 0; i < ret_select->n_ranges; i++)
		if (ret_select->ranges[i].first == SELECT_LAST)
			ret_select->ranges[i].first = ret_select->ranges[i].last = select_find_last();
}

void select_say_none(const struct select *select)
{
	struct text filter = {0};

	for (enum select_key key = 0; key < SELECT_KEY_COUNT; key++)
		if (select->values[key].len > 0)
			text_add_format(&filter, " %s=%s", select_names[key], text_string(&select->values[key]));
	ctl_say("no job fits%s", ctl_text(&filter));
	text_done(&filter);
}

int64_t select_read_id(char *const *words, size_t count)
{
	struct select select;
	struct text wrong = {0};
	int64_t id;

	/* Not before it is known to be a proper selection is it worth a connection. */
	if (count != 1 || select_read(words, count, &select, &wrong) < 0 || !select.single)
		ctl_die_usage("give the id of one job, or 'last'");
	select_done(&select);
	select_read_or_die(words, count, &select);
	id = select.ranges[0].first;
	select_done(&select);
	return id;
}

void select_put(const struct select *select, struct fut_params *params)
{
	struct text out = {0};

	if (select->single) {
		fut_params_integer(params, "id", select->ranges[0].first);
		return;
	}
	if (select_is_filter(select)) {
		select_write_filter(select, &out);
		fut_params_json(params, "filter", ctl_text(&out), SIZE_MAX);
	} else {
		text_add(&out, "[", 1);
		for (size_t i = 0; i < select->n_ranges; i++) {
			const struct fut_range *range = &select->ranges[i];

			if (range->first == range->last)
				text_add_format(&out, "%s%lld", i > 0 ? "," : "", (long long)range->first);
			else
				text_add_format(&out, "%s\"%lld-%lld\"", i > 0 ? "," : "", (long long)range->first,
				    (long long)range->last);
		}
		text_add(&out, "]", 1);
		fut_params_json(params, "ids", ctl_text(&out), SIZE_MAX);
	}
	text_done(&out);
}
