/*
 * The command await: until all (or one) of many jobs have ended.
 *
 * The wait itself is one request that the daemon answers in the end. Of ids only counts are asked for with it, and the
 * table is fetched in slices afterwards, so that any number can be awaited; of a filter the ids come with it, since it
 * would select others by then. Where there is a terminal, counts are asked for now and then beside it.
 */
#include "await.h"

#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "pages.h"
#include "progress.h"
#include "select.h"
#include "show.h"
#include "wait.h"

#define AWAIT_TICK_MS 300

static struct option_duration await_wait;
static bool await_any;
static bool await_first_failure;
static bool await_quiet;

static const struct option_spec await_options[] = {
    {"wait", 'w', OPTION_DURATION, &await_wait, "TIME", "give up after TIME, with status 124; the jobs go on"},
    {"any", 0, OPTION_FLAG, &await_any, NULL, "until the first has ended"},
    {"first-failure", 0, OPTION_FLAG, &await_first_failure, NULL, "until all have ended or one has failed"},
    {"quiet", 'q', OPTION_FLAG, &await_quiet, NULL, "print nothing in the end; the status tells"},
    {0},
};

static struct fut_params *await_params(const struct select *select)
{
	struct fut_params *params = ctl_params();

	select_put(select, params);
	if (await_wait.given)
		fut_params_number(params, "wait", await_wait.seconds);
	if (await_any)
		fut_params_string(params, "return_when", "any");
	else if (await_first_failure)
		fut_params_string(params, "return_when", "first_failure");
	if (await_quiet || (!ctl.json && !select_is_filter(select)))
		fut_params_bool(params, "jobs", false);
	else if (!ctl.json)
		fut_params_json(params, "fields", "[]", SIZE_MAX);
	return params;
}

static int64_t await_count(struct span reply, const char *state)
{
	struct span counts;

	return ctl_member(reply, "counts", &counts) ? ctl_member_integer(counts, state, 0) : 0;
}

static int64_t await_total(struct span reply)
{
	int64_t total = 0;

	for (enum fut_state state = FUT_PENDING; state <= FUT_CANCELLED; state++)
		total += await_count(reply, fut_state_name(state));
	return total;
}

static void await_draw(struct span reply)
{
	struct progress progress = {
	    .failed = await_count(reply, "failed") + await_count(reply, "cancelled"),
	    .total = await_total(reply),
	};

	progress.ended = progress.failed + await_count(reply, "succeeded");
	if (progress.total > 1)
		progress_draw(&progress);
}

/* Asks for counts and draws them; how long that took tells when to do it again. */
static void await_look(const struct select *select)
{
	struct fut_params *params = ctl_params();
	char *result;

	select_put(select, params);
	fut_params_integer(params, "wait", 0);
	fut_params_bool(params, "jobs", false);
	if (fut_call(ctl.client, "await", params, &result) == 0) {
		await_draw(ctl_span(result));
		free(result);
	}
	fut_params_free(params);
}

static char *await_result(const struct select *select)
{
	/*
	 * A filter of states selects others as they change: what it counts later says nothing of those that are
	 * awaited.
	 */
	bool progress = progress_wanted() && !select->single && !select_has_states(select);
	int64_t request = ctl_send("await", await_params(select));
	int timeout_ms = progress ? AWAIT_TICK_MS : -1;
	char *result;
	int r;

	while ((r = fut_receive(ctl.client, request, timeout_ms, &result)) == FUT_E_TIMED_OUT)
		await_look(select);
	progress_clear();
	if (r < 0)
		ctl_die_failure();
	return result;
}

static void await_add_job(struct span job, void *arg)
{
	show_add_job(arg, job);
}

static void await_add_ids(struct span ids, struct select *select)
{
	struct jsonspan_iter iter;
	struct span one;
	struct text word = {0}, wrong = {0};
	int64_t id;

	if (jsonspan_type(ids) != JSONSPAN_ARRAY)
		return;
	jsonspan_iter_init(&iter, ids);
	while (jsonspan_next(&iter, &one)) {
		id = ctl_member_integer(one, "id", 0);
		if (id == 0 && jsonspan_integer(one, &id) < 0)
			continue;
		text_add_format(&word, "%s%lld", word.len > 0 ? "," : "", (long long)id);
	}
	if (word.len > 0) {
		char *words[] = {(char *)(uintptr_t)ctl_text(&word)};

		select_done(select);
		if (select_read(words, 1, select, &wrong) < 0)
			ctl_die(CTL_REFUSED, "%s", text_string(&wrong));
	}
	text_done(&word);
}

static void await_print(const struct select *select, struct span reply)
{
	struct select found = {0};
	const struct select *shown = select;
	struct table table;
	struct span ids;

	if (select_is_filter(select)) {
		if (ctl_member(reply, "done", &ids))
			await_add_ids(ids, &found);
		shown = &found;
	}
	show_begin_jobs(&table);
	if (shown->n_ranges > 0)
		(void)pages_each(shown, SHOW_FIELDS, await_add_job, &table);
	table_end(&table);
	select_done(&found);
}

static int await_main(struct operands *operands)
{
	struct select select;
	struct span reply, timed_out;
	bool over = false;
	char *result;
	int status = CTL_DONE;

	if (await_any && await_first_failure)
		ctl_die_usage("--any and --first-failure exclude each other");
	select_read_or_die(operands->at, operands->count, &select);
	result = await_result(&select);
	reply = ctl_span(result);
	if (ctl.json && !await_quiet)
		printf("%s\n", result);
	else if (!await_quiet)
		await_print(&select, reply);
	if (select_is_filter(&select) && await_total(reply) == 0)
		select_say_none(&select);
	if (ctl_member(reply, "timed_out", &timed_out))
		(void)jsonspan_bool(timed_out, &over);
	if (await_count(reply, "failed") + await_count(reply, "cancelled") > 0)
		status = CTL_JOB_FAILED;
	free(result);
	select_done(&select);
	return ctl_finish_output(over ? CTL_TIMED_OUT : status);
}

const struct command await_commands[] = {
    {
	.name = "await",
	.synopsis = "[OPTION]... SEL...",
	.summary = "wait until jobs have ended",
	.text = "Waits until all the jobs have ended, and prints them as a table. The status is 1\n"
		"when any failed or was cancelled.\n"
		COMMAND_SEL
		"\n"
		"Examples:\n"
		"  futurectl await last\n"
		"  futurectl await --wait 10m label=nightly\n",
	.options = {await_options},
	.operands = COMMAND_TAKES_JOBS,
	.states = "\"pending\",\"running\"",
	.run = await_main,
    },
    {0},
};
