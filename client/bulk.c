/*
 * The commands that do something to each job of a selection and tell what came of it: cancel, retry and forget.
 *
 * The whole selection is one request, which the daemon refuses untouched where its reply would be too large. Then it
 * goes in slices: ranges are cut, a filter is listed, up to the highest id that it had at the start (retry makes jobs
 * that may fit it as well).
 */
#include "bulk.h"

#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "pages.h"
#include "select.h"
#include "show.h"

#define BULK_SLICE 10000 /* ids in one request */

/* How the answers of a method are read. */
struct bulk_method {
	const char *name;
	const char *member; /* a boolean: whether it was done */
	const char *done, *undone;
	const char *detail; /* another member, or NULL */
	const char *heads[3];
	size_t n_heads;
};

static const struct bulk_method bulk_cancel = {
    "cancel", "cancelled", "cancelling", "had ended", "was", {">ID", "CANCEL", "WAS"}, 3};
static const struct bulk_method bulk_retry = {
    "retry", "retried", "retried", "not retried", "new", {">ID", "RETRY", ">NEW"}, 3};
static const struct bulk_method bulk_forget = {
    "forget", "forgotten", "forgotten", "not ended", NULL, {">ID", "FORGET"}, 2};

static struct option_duration bulk_grace;
static const char *bulk_reason;

static const struct option_spec bulk_cancel_options[] = {
    {"grace", 'g', OPTION_DURATION, &bulk_grace, "TIME", "from SIGTERM to SIGKILL (default: 5s)"},
    {"reason", 0, OPTION_TEXT, &bulk_reason, "TEXT", "kept with the job as its error's message"},
    {0},
};

struct bulk {
	const struct bulk_method *method;
	struct table table;
	int64_t count; /* of answers printed */
	bool refused;  /* some could not be done */

	struct fut_range slice[BULK_SLICE]; /* gathered from a listing, still to be asked for */
	size_t n_slice;
	int64_t gathered, until;
};

static void bulk_add_answer(struct bulk *bulk, struct span one)
{
	const struct bulk_method *method = bulk->method;
	struct span value;
	bool done = false;
	char *refused = ctl_member_string(one, "refused"), note[64];

	bulk->count++;
	bulk->refused = bulk->refused || refused != NULL;
	if (ctl.json) {
		fputs(bulk->count == 1 ? "[" : ",", stdout);
		fwrite(one.at, 1, one.len, stdout);
		free(refused);
		return;
	}
	if (ctl_member(one, method->member, &value))
		(void)jsonspan_bool(value, &done);
	show_add_member(&bulk->table, one, "id", TABLE_PLAIN);
	snprintf(note, sizeof(note), "refused: %s", refused != NULL ? refused : "");
	if (refused != NULL)
		table_add(&bulk->table, note, TABLE_RED);
	else
		table_add(&bulk->table, done ? method->done : method->undone, done ? TABLE_YELLOW : TABLE_DIM);
	free(refused);
	if (method->detail != NULL)
		show_add_member(&bulk->table, one, method->detail, TABLE_PLAIN);
}

static void bulk_add_answers(struct bulk *bulk, struct span result)
{
	struct jsonspan_iter iter;
	struct span one;

	if (jsonspan_type(result) != JSONSPAN_ARRAY) {
		bulk_add_answer(bulk, result);
		return;
	}
	jsonspan_iter_init(&iter, result);
	while (jsonspan_next(&iter, &one))
		bulk_add_answer(bulk, one);
}

/* Asks for a selection in one request. 0, or why it was refused, which is the caller's to judge. */
static int bulk_ask(struct bulk *bulk, const struct select *select)
{
	struct fut_params *params = ctl_params();
	char *result;
	int r;

	select_put(select, params);
	if (bulk_grace.given)
		fut_params_number(params, "grace", bulk_grace.seconds);
	if (bulk_reason != NULL)
		fut_params_string(params, "reason", bulk_reason);
	r = ctl_try(bulk->method->name, params, &result);
	if (r == 0) {
		bulk_add_answers(bulk, ctl_span(result));
		free(result);
	}
	return r;
}

/*
 * Asks for ranges, of which all jobs may be gone: in halves where that is too much for one reply. Few are asked for at
 * first, so this does not go deep.
 */
static void bulk_ask_parts(struct bulk *bulk, struct fut_range *ranges, size_t n_ranges)
{
	struct select select = {.ranges = ranges, .n_ranges = n_ranges};
	int r = bulk_ask(bulk, &select);
	struct fut_range half = ranges[0];

	if (r == FUT_E_TOO_LARGE && n_ranges > 1) {
		bulk_ask_parts(bulk, ranges, n_ranges / 2);
		bulk_ask_parts(bulk, ranges + n_ranges / 2, n_ranges - n_ranges / 2);
	} else if (r == FUT_E_TOO_LARGE && half.first < half.last) {
		half.last = half.first + (half.last - half.first) / 2;
		bulk_ask_parts(bulk, &half, 1);
		half = (struct fut_range){half.last + 1, ranges[0].last};
		bulk_ask_parts(bulk, &half, 1);
	} else if (r < 0 && r != FUT_E_NOT_FOUND) {
		ctl_die_failure();
	}
}

static void bulk_flush(struct bulk *bulk)
{
	if (bulk->n_slice > 0)
		bulk_ask_parts(bulk, bulk->slice, bulk->n_slice);
	bulk->n_slice = 0;
	bulk->gathered = 0;
}

/* Adds one id; as a range, since it may be gone by the time it is asked for. */
static void bulk_gather(struct span job, void *arg)
{
	struct bulk *bulk = arg;
	int64_t id = ctl_member_integer(job, "id", 0);
	struct fut_range *last = bulk->n_slice > 0 ? &bulk->slice[bulk->n_slice - 1] : NULL;

	if (id > bulk->until)
		return;
	if (last != NULL && last->last + 1 == id)
		last->last = id;
	else
		bulk->slice[bulk->n_slice++] = (struct fut_range){id, id};
	if (++bulk->gathered == BULK_SLICE)
		bulk_flush(bulk);
}

static void bulk_run_range(struct bulk *bulk, const struct fut_range *range)
{
	struct fut_range part = *range;
	int64_t before = bulk->count, top = pages_find_last(&(struct select){.n_ranges = 0});

	for (; part.first <= range->last && part.first <= top; part.first = part.last + 1) {
		part.last = range->last - part.first < BULK_SLICE ? range->last : part.first + BULK_SLICE - 1;
		bulk_ask_parts(bulk, &part, 1);
	}
	if (bulk->count == before)
		ctl_die(CTL_REFUSED, "there is no job from %lld to %lld", (long long)range->first,
		    (long long)range->last);
}

static void bulk_run_slices(struct bulk *bulk, const struct select *select)
{
	if (!select_is_filter(select)) {
		for (size_t i = 0; i < select->n_ranges; i++)
			bulk_run_range(bulk, &select->ranges[i]);
		return;
	}
	bulk->until = pages_find_last(select);
	(void)pages_each_listed(select, "[]", true, 0, -1, bulk_gather, bulk);
	bulk_flush(bulk);
}

static int bulk_run(struct operands *operands, const struct bulk_method *method)
{
	static struct bulk bulk;
	struct select select;
	int r;

	bulk.method = method;
	select_read_or_die(operands->at, operands->count, &select);
	if (!ctl.json)
		table_begin(&bulk.table, method->heads, method->n_heads);
	r = bulk_ask(&bulk, &select);
	if (r == FUT_E_TOO_LARGE && !select.single)
		bulk_run_slices(&bulk, &select);
	else if (r < 0)
		ctl_die_failure();
	if (ctl.json)
		puts(bulk.count == 0 ? "[]" : "]");
	else
		table_end(&bulk.table);
	if (bulk.count == 0)
		select_say_none(&select);
	if (bulk.refused)
		ctl_say("some of the jobs were refused, as the answers tell: try these again later");
	select_done(&select);
	return ctl_finish_output(bulk.refused ? CTL_REFUSED : CTL_DONE);
}

static int bulk_cancel_main(struct operands *operands)
{
	return bulk_run(operands, &bulk_cancel);
}

static int bulk_retry_main(struct operands *operands)
{
	return bulk_run(operands, &bulk_retry);
}

static int bulk_forget_main(struct operands *operands)
{
	return bulk_run(operands, &bulk_forget);
}

const struct command bulk_commands[] = {
    {
	.name = "cancel",
	.synopsis = "[OPTION]... SEL...",
	.summary = "end jobs, whatever they are doing",
	.text = "Asks for the jobs' end. Once this returns it is promised: each will end cancelled,\n"
		"when its whole process tree is gone, for which 'futurectl await' waits. A job that\n"
		"had ended stays as it is.\n"
		COMMAND_SEL,
	.options = {bulk_cancel_options},
	.operands = COMMAND_TAKES_JOBS,
	.states = "\"pending\",\"running\"",
	.run = bulk_cancel_main,
    },
    {
	.name = "retry",
	.synopsis = "SEL...",
	.summary = "submit failed and cancelled jobs again",
	.text = "Makes a new job, with everything the old one was submitted with, of each that\n"
		"failed or was cancelled, and prints the new ids. Others are left alone.\n"
		COMMAND_SEL
		"\n"
		"Example:\n"
		"  futurectl retry state=failed label=nightly\n",
	.operands = COMMAND_TAKES_JOBS,
	.states = "\"failed\",\"cancelled\"",
	.run = bulk_retry_main,
    },
    {
	.name = "forget",
	.synopsis = "SEL...",
	.summary = "drop ended jobs before their time",
	.text = "Drops jobs that have ended, with their results and output. Others are left alone.\n"
		COMMAND_SEL
		"\n"
		"Example:\n"
		"  futurectl forget state=succeeded\n",
	.operands = COMMAND_TAKES_JOBS,
	.states = "\"succeeded\",\"failed\",\"cancelled\"",
	.run = bulk_forget_main,
    },
    {0},
};
