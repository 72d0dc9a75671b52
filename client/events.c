/*
 * The command watch: a line for each of many jobs as it ends, and for what happens to it before where that is asked for.
 *
 * Nothing is gathered: the daemon sends as fast as lines are written, so any number of jobs can be watched.
 */
#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "select.h"
#include "show.h"
#include "value.h"

static const char *events_order;
static const char *events_wanted;
static struct option_duration events_wait;

static const struct option_spec events_options[] = {
    {"order", 'o', OPTION_TEXT, &events_order, "ORDER", "finished (default): as they end; id: by rising id"},
    {"events", 'e', OPTION_TEXT, &events_wanted, "EVENT,...", "of finished (default), running and progress"},
    {"wait", 'w', OPTION_DURATION, &events_wait, "TIME", "leave after TIME, with status 124; the jobs go on"},
    {0},
};

static const char *const events_names[] = {
    [FUT_EVENT_FINISHED] = "finished",
    [FUT_EVENT_RUNNING] = "running",
    [FUT_EVENT_PROGRESS] = "progress",
    [FUT_EVENT_END] = "end",
};

/* "running,finished" as a JSON array. */
static void events_put_wanted(struct fut_params *params)
{
	struct text out = {0};
	size_t len;

	for (const char *at = events_wanted;; at += len + 1) {
		len = strcspn(at, ",");
		text_add(&out, out.len == 0 ? "[" : ",", 1);
		if (text_add_quoted(&out, at, len) < 0)
			ctl_die_usage("--events is not valid UTF-8");
		if (at[len] == '\0')
			break;
	}
	text_add(&out, "]", 1);
	fut_params_json(params, "events", ctl_text(&out), SIZE_MAX);
	text_done(&out);
}

static struct fut_watch *events_begin(const struct select *select)
{
	struct fut_params *params = ctl_params();
	struct fut_watch *watch;

	select_put(select, params);
	if (events_order != NULL)
		fut_params_string(params, "order", events_order);
	if (events_wanted != NULL)
		events_put_wanted(params);
	if (!ctl.json)
		fut_params_json(params, "fields", SHOW_FIELDS, SIZE_MAX);
	if (fut_watch(ctl.client, params, NULL, NULL, &watch) < 0)
		ctl_die_failure();
	fut_params_free(params);
	return watch;
}

static void events_print(enum fut_event event, struct span job)
{
	static const char *const heads[] = {
	    "EVENT", ">ID", "STATE", "TASK", "QUEUE", "LABEL", ">SUBMITTED", ">TIME", "NOTE"};
	struct table table;

	if (ctl.json) {
		printf("{\"event\":\"%s\",\"job\":%.*s}\n", events_names[event], (int)job.len, job.at);
	} else if (table_is_terminal()) {
		show_print_line(job);
	} else {
		table_begin(&table, heads, sizeof(heads) / sizeof(heads[0]));
		table_add(&table, events_names[event], TABLE_PLAIN);
		show_add_job(&table, job);
		table_end(&table);
	}
	fflush(stdout);
}

static int events_main(struct operands *operands)
{
	double until = value_now() + events_wait.seconds, left = FUT_FOREVER;
	struct fut_watch *watch;
	struct fut_job *job = NULL;
	struct select select;
	enum fut_event event;
	int status = CTL_DONE, r;

	select_read_or_die(operands->at, operands->count, &select);
	watch = events_begin(&select);
	for (;;) {
		if (events_wait.given)
			left = until > value_now() ? until - value_now() : 0;
		r = fut_watch_next(watch, left, &event, &job);
		if (r <= 0 || ferror(stdout))
			break;
		events_print(event, ctl_span(fut_job_json(job)));
		if (event == FUT_EVENT_FINISHED && fut_job_state(job) != FUT_SUCCEEDED)
			status = CTL_JOB_FAILED;
		fut_job_free(job);
	}
	if (r == FUT_E_TIMED_OUT)
		status = CTL_TIMED_OUT;
	else if (r < 0)
		ctl_die_failure();
	if (fut_watch_count(watch) == 0)
		select_say_none(&select);
	fut_watch_free(watch);
	select_done(&select);
	return ctl_finish_output(status);
}

const struct command events_commands[] = {
    {
	.name = "watch",
	.synopsis = "[OPTION]... SEL...",
	.summary = "a line for each job as it ends",
	.text = "Prints a line for each of the jobs as it ends; those that had ended come first. It\n"
		"ends with the last of them, with status 1 when any failed or was cancelled.\n"
		COMMAND_SEL
		"\n"
		"Examples:\n"
		"  futurectl watch label=nightly\n"
		"  futurectl watch --events running,progress,finished --json 100-199\n",
	.options = {events_options},
	.operands = COMMAND_TAKES_JOBS,
	.states = "\"pending\",\"running\"",
	.run = events_main,
    },
    {0},
};
