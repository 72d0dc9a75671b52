/*
 * The commands that look at the daemon itself and end it: tasks, stats and drain.
 */
#include "info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "show.h"
#include "table.h"
#include "value.h"

static struct option_duration info_wait;

static const struct option_spec info_drain_options[] = {
    {"wait", 'w', OPTION_DURATION, &info_wait, "TIME", "wait no longer than TIME for what runs"},
    {0},
};

/* Asks a method without parameters. With --json it prints the answer and returns NULL. */
static char *info_ask(const char *method)
{
	char *result;

	ctl_connect();
	result = ctl_call(method, ctl_params());
	if (!ctl.json)
		return result;
	puts(result);
	free(result);
	return NULL;
}

/* "argv:array [cwd:string]" */
static void info_add_params(struct table *table, struct span task)
{
	struct jsonspan_iter iter;
	struct span params, param;
	struct text out = {0};
	char *name, *type;

	if (ctl_member(task, "params", &params) && jsonspan_type(params) == JSONSPAN_ARRAY) {
		jsonspan_iter_init(&iter, params);
		while (jsonspan_next(&iter, &param)) {
			bool required = ctl_member_is_true(param, "required");

			name = ctl_member_string(param, "name");
			type = ctl_member_string(param, "type");
			text_add_format(&out, "%s%s%s:%s%s", out.len > 0 ? " " : "", required ? "" : "[",
			    name != NULL ? name : "", type != NULL ? type : "any", required ? "" : "]");
			free(name);
			free(type);
		}
	}
	table_add(table, ctl_text(&out), TABLE_PLAIN);
	text_done(&out);
}

static int info_tasks_main(struct operands *operands)
{
	static const char *const heads[] = {"TASK", "LANE", "KIND", "ARGUMENTS", "DOES"};
	char *result = info_ask("tasks");
	struct jsonspan_iter iter;
	struct table table;
	struct span task;

	(void)operands; /* none */
	if (result == NULL)
		return ctl_finish_output(CTL_DONE);
	table_begin(&table, heads, sizeof(heads) / sizeof(heads[0]));
	if (jsonspan_type(ctl_span(result)) == JSONSPAN_ARRAY) {
		jsonspan_iter_init(&iter, ctl_span(result));
		while (jsonspan_next(&iter, &task)) {
			show_add_member(&table, task, "task", TABLE_CYAN);
			show_add_member(&table, task, "lane", TABLE_PLAIN);
			table_add(&table,
			    ctl_member_is_true(task, "pure")	       ? "pure"
			    : ctl_member_is_true(task, "idempotent") ? "idempotent"
							       : "",
			    TABLE_DIM);
			info_add_params(&table, task);
			show_add_member(&table, task, "doc", TABLE_PLAIN);
		}
	}
	table_end(&table);
	free(result);
	return ctl_finish_output(CTL_DONE);
}

/* Every scalar below value as a row: its path with dots between, and itself. path is left as it was. */
static void info_add_tree(struct table *table, struct text *path, struct span value)
{
	enum jsonspan_type type = jsonspan_type(value);
	struct span key = SPAN_NONE, below;
	struct jsonspan_iter iter;
	struct text cell = {0};
	size_t before = path->len, index = 0;
	char name[128];

	if (type != JSONSPAN_OBJECT && type != JSONSPAN_ARRAY) {
		show_write_value(value, &cell);
		table_add(table, ctl_text(path), TABLE_PLAIN);
		table_add(table, ctl_text(&cell), TABLE_CYAN);
		text_done(&cell);
		return;
	}
	jsonspan_iter_init(&iter, value);
	while (type == JSONSPAN_OBJECT ? jsonspan_next_member(&iter, &key, &below) : jsonspan_next(&iter, &below)) {
		if (type == JSONSPAN_ARRAY)
			snprintf(name, sizeof(name), "%zu", index++);
		else if (jsonspan_string_copy(key, name, sizeof(name)) < 0)
			continue;
		text_add_format(path, "%s%s", before > 0 ? "." : "", name);
		info_add_tree(table, path, below);
		path->len = before;
		path->at[before] = '\0';
	}
}

static int info_stats_main(struct operands *operands)
{
	static const char *const heads[] = {"FIGURE", "VALUE"};
	char *result = info_ask("stats");
	struct text path = {0};
	struct table table;

	(void)operands; /* none */
	if (result == NULL)
		return ctl_finish_output(CTL_DONE);
	table_begin(&table, heads, sizeof(heads) / sizeof(heads[0]));
	info_add_tree(&table, &path, ctl_span(result));
	table_end(&table);
	text_done(&path);
	free(result);
	return ctl_finish_output(CTL_DONE);
}

static int info_drain_main(struct operands *operands)
{
	struct fut_params *params = ctl_params();
	struct span drained;
	bool done = true;
	char *result;

	(void)operands; /* none */
	if (info_wait.given)
		fut_params_number(params, "wait", info_wait.seconds);
	ctl_connect();
	result = ctl_call("drain", params);
	if (ctl.json)
		puts(result);
	if (ctl_member(ctl_span(result), "drained", &drained))
		(void)jsonspan_bool(drained, &done);
	if (!done)
		ctl_say("the time was over while jobs still ran: they are ended, and 'futurectl list' tells at the next start");
	free(result);
	return ctl_finish_output(done ? CTL_DONE : CTL_TIMED_OUT);
}

const struct command info_commands[] = {
    {
	.name = "tasks",
	.synopsis = "",
	.summary = "what the daemon can run",
	.text = "Lists the tasks and the arguments they take, [those] that may be left out in\n"
		"brackets.\n",
	.operands = COMMAND_TAKES_NOTHING,
	.run = info_tasks_main,
    },
    {
	.name = "stats",
	.synopsis = "",
	.summary = "counters and workers of the daemon",
	.text = "Prints the daemon's counters and gauges, and its workers.\n",
	.operands = COMMAND_TAKES_NOTHING,
	.run = info_stats_main,
    },
    {
	.name = "drain",
	.synopsis = "[OPTION]...",
	.summary = "end the daemon once what runs has ended",
	.text = "The daemon takes no more jobs and starts none, waits for those that run, and ends.\n"
		"What has not begun stays, and goes on with the next start.\n",
	.options = {info_drain_options},
	.operands = COMMAND_TAKES_NOTHING,
	.run = info_drain_main,
    },
    {0},
};
