/*
 * The commands that look at jobs: status, result and list.
 */
#include "jobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "pages.h"
#include "select.h"
#include "show.h"
#include "stream.h"

#define JOBS_LIST_LIMIT 100

static struct option_duration jobs_result_wait;

static struct {
	const char *state, *queue, *task, *label, *owner;
	struct option_integer limit, after;
	bool all, reverse;
} jobs_list;

static const struct option_spec jobs_result_options[] = {
    {"wait", 'w', OPTION_DURATION, &jobs_result_wait, "TIME",
	"wait no longer than TIME (0: not at all), with status 124"},
    {0},
};

static const struct option_spec jobs_list_options[] = {
    {"state", 's', OPTION_TEXT, &jobs_list.state, "STATE,...", "pending, running, succeeded, failed, cancelled"},
    {"queue", 'q', OPTION_TEXT, &jobs_list.queue, "NAME,...", "only of these queues"},
    {"task", 't', OPTION_TEXT, &jobs_list.task, "TASK,...", "only of these tasks"},
    {"label", 'l', OPTION_TEXT, &jobs_list.label, "TEXT", "only with this label"},
    {"owner", 'o', OPTION_TEXT, &jobs_list.owner, "OWNER,...", "only of these owners, as uid:1000"},
    {"limit", 'n', OPTION_INTEGER, &jobs_list.limit, "N", "at most N jobs (default: 100)"},
    {"all", 'a', OPTION_FLAG, &jobs_list.all, NULL, "all that fit, however many"},
    {"after", 0, OPTION_INTEGER, &jobs_list.after, "ID", "go on behind this job"},
    {"reverse", 'r', OPTION_FLAG, &jobs_list.reverse, NULL, "the oldest first"},
    {0},
};

static void jobs_add_row(struct span job, void *arg)
{
	show_add_job(arg, job);
}

/* Prints jobs as the elements of an array; arg counts them. */
static void jobs_print_element(struct span job, void *arg)
{
	int64_t *count = arg;

	fputs((*count)++ == 0 ? "[" : ",", stdout);
	fwrite(job.at, 1, job.len, stdout);
}

static void jobs_end_array(int64_t count)
{
	puts(count == 0 ? "[]" : "]");
}

/* One job, on a terminal: all that is known of it. */
static void jobs_print_page(const struct select *select)
{
	struct fut_params *params = ctl_params();
	char *result;

	select_put(select, params);
	result = ctl_call("status", params);
	show_print_job(ctl_span(result));
	free(result);
}

static int jobs_status_main(struct operands *operands)
{
	struct select select;
	struct table table;
	int64_t count = 0;

	select_read_or_die(operands->at, operands->count, &select);
	if (ctl.json) {
		(void)pages_each(&select, PAGES_ALL_FIELDS, jobs_print_element, &count);
		jobs_end_array(count);
	} else if (select.single && table_is_terminal()) {
		jobs_print_page(&select);
		count = 1;
	} else {
		show_begin_jobs(&table);
		count = pages_each(&select, SHOW_FIELDS, jobs_add_row, &table);
		table_end(&table);
	}
	if (count == 0)
		select_say_none(&select);
	select_done(&select);
	return ctl_finish_output(CTL_DONE);
}

static int jobs_result_main(struct operands *operands)
{
	struct stream stream = {
	    .id = select_read_id(operands->at, operands->count),
	    .wait_s = jobs_result_wait.given ? jobs_result_wait.seconds : FUT_FOREVER,
	    .fields = ctl.json ? NULL : "[\"state\",\"result\",\"error\"]",
	};
	struct span job, result;
	bool succeeded;

	stream_run(&stream);
	if (stream.job == NULL) {
		ctl_say("job %lld has not ended", (long long)stream.id);
		return CTL_TIMED_OUT;
	}
	job = ctl_span(stream.job);
	succeeded = ctl_member_is(job, "state", "succeeded");
	if (ctl.json)
		ctl_print_line(job);
	else if (succeeded && ctl_member(job, "result", &result))
		ctl_print_line(result);
	else
		show_say_cause(job);
	free(stream.job);
	return ctl_finish_output(succeeded ? CTL_DONE : CTL_JOB_FAILED);
}

static void jobs_list_read(const struct operands *operands, struct select *select)
{
	const struct {
		enum select_key key;
		const char *value;
	} filters[] = {
	    {SELECT_STATE, jobs_list.state}, {SELECT_QUEUE, jobs_list.queue}, {SELECT_TASK, jobs_list.task},
	    {SELECT_LABEL, jobs_list.label}, {SELECT_OWNER, jobs_list.owner},
	};
	struct text wrong = {0};

	if (operands->count > 0 && select_read(operands->at, operands->count, select, &wrong) < 0)
		ctl_die_usage("%s", text_string(&wrong));
	if (select->n_ranges > 0)
		ctl_die_usage("list takes filters, not ids: 'futurectl status' takes those");
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (filters[i].value != NULL && select_add_value(select, filters[i].key, filters[i].value, &wrong) < 0)
			ctl_die_usage("%s", text_string(&wrong));
	if (jobs_list.limit.given && (jobs_list.limit.value < 1 || jobs_list.all))
		ctl_die_usage(jobs_list.all ? "--limit and --all exclude each other" : "--limit is 1 or more");
	if (jobs_list.after.given && jobs_list.after.value < 1)
		ctl_die_usage("--after takes the id of a job");
}

static int jobs_list_main(struct operands *operands)
{
	int64_t limit = JOBS_LIST_LIMIT;
	struct select select = {0};
	struct table table;
	int64_t count = 0, listed;

	jobs_list_read(operands, &select);
	if (jobs_list.all)
		limit = -1;
	else if (jobs_list.limit.given)
		limit = jobs_list.limit.value;
	ctl_connect();
	if (ctl.json) {
		listed = pages_each_listed(&select, PAGES_LIST_FIELDS, jobs_list.reverse, jobs_list.after.value, limit,
		    jobs_print_element, &count);
		jobs_end_array(count);
	} else {
		show_begin_jobs(&table);
		listed = pages_each_listed(&select, SHOW_FIELDS, jobs_list.reverse, jobs_list.after.value, limit,
		    jobs_add_row, &table);
		table_end(&table);
	}
	if (listed == 0 && select_is_filter(&select))
		select_say_none(&select);
	select_done(&select);
	return ctl_finish_output(CTL_DONE);
}

const struct command jobs_commands[] = {
    {
	.name = "status",
	.synopsis = "SEL...",
	.summary = "show jobs as they stand",
	.text = "Prints the jobs as a table; one job on a terminal with all that is known of it.\n"
		COMMAND_SEL,
	.operands = COMMAND_TAKES_JOBS,
	.run = jobs_status_main,
    },
    {
	.name = "result",
	.synopsis = "[OPTION]... ID",
	.summary = "print a job's result, waiting for it if need be",
	.text = "Prints the result of a job as JSON. Of a job that failed or was cancelled it tells\n"
		"the cause, with status 1. ID may be 'last'.\n",
	.options = {jobs_result_options},
	.operands = COMMAND_TAKES_JOB,
	.run = jobs_result_main,
    },
    {
	.name = "list",
	.synopsis = "[OPTION]... [FILTER]...",
	.summary = "list jobs, the newest first",
	.text = "Lists jobs as a table, the newest first. FILTER is label=TEXT, state=STATE,\n"
		"queue=NAME, task=TASK or owner=OWNER; the options of these names say the same.\n"
		"\n"
		"Examples:\n"
		"  futurectl list state=failed,cancelled\n"
		"  futurectl list --json --all queue=slow\n",
	.options = {jobs_list_options},
	.operands = COMMAND_TAKES_FILTERS,
	.run = jobs_list_main,
    },
    {0},
};
