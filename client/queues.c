/*
 * The commands about queues: queues, pause, resume and set-queue.
 */
#include "queues.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "show.h"
#include "value.h"

static struct option_integer queues_limit;
static bool queues_no_limit;

static const struct option_spec queues_set_options[] = {
    {"limit", 'n', OPTION_INTEGER, &queues_limit, "N", "at most N of its jobs run at once"},
    {"no-limit", 0, OPTION_FLAG, &queues_no_limit, NULL, "as many as there is room for"},
    {0},
};

static void queues_add_age(struct table *table, struct span queue)
{
	struct text out = {0};
	struct span value;
	double seconds;

	if (!table->terminal) {
		show_add_member(table, queue, "oldest_s", TABLE_PLAIN);
		return;
	}
	if (ctl_member(queue, "oldest_s", &value) && jsonspan_number(value, &seconds) == 0)
		value_write_duration(&out, seconds);
	table_add(table, ctl_text(&out), TABLE_DIM);
	text_done(&out);
}

static void queues_add(struct table *table, struct span queue)
{
	show_add_member(table, queue, "queue", TABLE_PLAIN);
	show_add_member(table, queue, "limit", TABLE_PLAIN);
	table_add(table, ctl_member_is_true(queue, "paused") ? "paused" : "", TABLE_YELLOW);
	show_add_member(table, queue, "pending", TABLE_PLAIN);
	show_add_member(table, queue, "running", TABLE_PLAIN);
	queues_add_age(table, queue);
}

static void queues_begin(struct table *table, FILE *out)
{
	static const char *const heads[] = {"QUEUE", ">LIMIT", "PAUSED", ">PENDING", ">RUNNING", ">OLDEST"};

	table_begin(table, heads, sizeof(heads) / sizeof(heads[0]));
	table->out = out;
}

void queues_print(struct span queues, FILE *out)
{
	struct jsonspan_iter iter;
	struct table table;
	struct span queue;

	queues_begin(&table, out);
	if (jsonspan_type(queues) == JSONSPAN_ARRAY) {
		jsonspan_iter_init(&iter, queues);
		while (jsonspan_next(&iter, &queue))
			queues_add(&table, queue);
	}
	table_end(&table);
}

static int queues_main(struct operands *operands)
{
	char *result;

	(void)operands; /* none */
	ctl_connect();
	result = ctl_call("queues", ctl_params());
	if (ctl.json)
		puts(result);
	else
		queues_print(ctl_span(result), stdout);
	free(result);
	return ctl_finish_output(CTL_DONE);
}

/* Does it to each queue named, and prints how it is then. */
static int queues_change(const struct operands *operands, const char *method)
{
	struct fut_params *params;
	struct table table;
	char *result;

	if (operands->count == 0)
		ctl_die_usage("which queue? 'futurectl queues' lists them");
	ctl_connect();
	if (!ctl.json)
		queues_begin(&table, stdout);
	for (size_t i = 0; i < operands->count; i++) {
		params = ctl_params();
		fut_params_string(params, "queue", operands->at[i]);
		if (queues_limit.given)
			fut_params_integer(params, "limit", queues_limit.value);
		else if (queues_no_limit)
			fut_params_json(params, "limit", "null", SIZE_MAX);
		result = ctl_call(method, params);
		if (ctl.json)
			printf("%s%s", i == 0 ? "[" : ",", result);
		else
			queues_add(&table, ctl_span(result));
		free(result);
	}
	if (ctl.json)
		puts("]");
	else
		table_end(&table);
	return ctl_finish_output(CTL_DONE);
}

static int queues_pause_main(struct operands *operands)
{
	return queues_change(operands, "pause");
}

static int queues_resume_main(struct operands *operands)
{
	return queues_change(operands, "resume");
}

/* "set-queue slow 4", and with the limit as an option. */
static int queues_set_main(struct operands *operands)
{
	const char *last = operands->count > 1 ? operands->at[operands->count - 1] : NULL;

	if (last != NULL && !queues_limit.given && !queues_no_limit) {
		if (strcmp(last, "none") == 0)
			queues_no_limit = true;
		else if (value_read_integer(last, &queues_limit.value) == 0)
			queues_limit.given = true;
		else
			ctl_die_usage("the limit is a number or 'none', not '%s'", last);
		operands->count--;
	}
	if (operands->count > 0 && queues_limit.given == queues_no_limit)
		ctl_die_usage(queues_no_limit ? "--limit and --no-limit exclude each other"
					      : "which limit? Give --limit N or --no-limit");
	if (queues_limit.given && queues_limit.value < 1)
		ctl_die_usage("--limit is 1 or more; 'futurectl pause' stops a queue");
	return queues_change(operands, "set_queue");
}

const struct command queues_commands[] = {
    {
	.name = "queues",
	.synopsis = "",
	.summary = "the queues and how full they are",
	.text = "Lists the queues: how many may run at once, what waits and runs, and for how long\n"
		"the oldest has waited.\n",
	.operands = COMMAND_TAKES_NOTHING,
	.run = queues_main,
    },
    {
	.name = "pause",
	.synopsis = "QUEUE...",
	.summary = "start nothing more from a queue",
	.text = "Pauses queues: what runs goes on, what waits stays, and jobs are still taken. It\n"
		"holds until 'futurectl resume', also over a restart of the daemon.\n",
	.operands = COMMAND_TAKES_QUEUE,
	.run = queues_pause_main,
    },
    {
	.name = "resume",
	.synopsis = "QUEUE...",
	.summary = "let a paused queue go on",
	.text = "Lets queues go on that were paused.\n",
	.operands = COMMAND_TAKES_QUEUE,
	.run = queues_resume_main,
    },
    {
	.name = "set-queue",
	.synopsis = "QUEUE LIMIT\nQUEUE... --limit N\nQUEUE... --no-limit",
	.summary = "how many jobs of a queue may run at once",
	.text = "Sets the limit of queues, for what starts from now on; LIMIT is a number or 'none'.\n"
		"It is kept over a restart of the daemon.\n"
		"\n"
		"Example:\n"
		"  futurectl set-queue downloads 4\n",
	.options = {queues_set_options},
	.operands = COMMAND_TAKES_QUEUE,
	.run = queues_set_main,
    },
    {0},
};
