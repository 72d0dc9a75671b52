/*
 * The command explain: why a job is where it is, in a sentence, and what can be done about it.
 *
 * The sentence is made of the job object and, where its reason lies elsewhere, of what the daemon says of its parents, its
 * queue or its workers. These may have changed since the job was read; what is not there any more is left out.
 */
#include "explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "select.h"
#include "show.h"
#include "value.h"

#define EXPLAIN_PARENTS_MAX 5 /* named one by one */

struct explain {
	struct span job;
	long long id;
	char *queue;
	struct text sentence; /* goes on behind "Job 42 (exec) " */
	struct text advice;   /* a sentence of its own, or empty */
};

/*
 * Pieces of sentences
 */

/* before, and a time of the job in local time; nothing where it has none. */
static void explain_say(struct explain *explain, const char *name, const char *before)
{
	char *text = ctl_member_string(explain->job, name);
	struct text when = {0};
	double seconds;

	if (text != NULL && value_read_time(text, &seconds) == 0) {
		value_write_local_time(&when, seconds);
		text_add_format(&explain->sentence, "%s%s", before, ctl_text(&when));
	}
	text_done(&when);
	free(text);
}

/* "(in 2h05m)", or "(3m05s ago)". */
static void explain_say_distance(struct explain *explain, const char *name)
{
	char *text = ctl_member_string(explain->job, name);
	struct text distance = {0};
	double seconds, left;

	if (text != NULL && value_read_time(text, &seconds) == 0) {
		left = seconds - value_now();
		value_write_duration(&distance, left < 0 ? -left : left);
		text_add_format(
		    &explain->sentence, left < 0 ? " (%s ago)" : " (in %s)", ctl_text(&distance));
	}
	text_done(&distance);
	free(text);
}

static void explain_say_attempt(struct explain *explain, const char *before)
{
	long long attempt = ctl_member_integer(explain->job, "attempt", 0);
	long long most = ctl_member_integer(explain->job, "max_attempts", 0);

	if (attempt > 0 && most > 1)
		text_add_format(&explain->sentence, "%sattempt %lld of %lld", before, attempt, most);
}

/*
 * Why it is pending
 */

/* Of the parents, named in job, those that have not ended; as ranges, for some may be gone. */
static char *explain_fetch_parents(struct span after)
{
	struct fut_params *params = ctl_params();
	struct jsonspan_iter iter;
	struct span one;
	struct text ids = {0};
	char *result = NULL;

	jsonspan_iter_init(&iter, after);
	while (jsonspan_next(&iter, &one))
		text_add_format(&ids, "%s\"%.*s-%.*s\"", ids.len > 0 ? "," : "[", (int)one.len, one.at, (int)one.len,
		    one.at);
	text_add(&ids, "]", 1);
	fut_params_json(params, "ids", ctl_text(&ids), SIZE_MAX);
	fut_params_json(params, "fields", "[\"state\"]", SIZE_MAX);
	if (ctl_try("status", params, &result) < 0)
		result = NULL;
	text_done(&ids);
	return result;
}

static void explain_after(struct explain *explain)
{
	struct span after, parent;
	struct jsonspan_iter iter;
	char *result = NULL, *state;
	long long open = 0, first = 0, id;

	if (ctl_member(explain->job, "after", &after) && jsonspan_type(after) == JSONSPAN_ARRAY &&
	    jsonspan_length(after) > 0)
		result = explain_fetch_parents(after);
	text_add_string(&explain->sentence, "waits for the end of other jobs");
	if (result == NULL || jsonspan_type(ctl_span(result)) != JSONSPAN_ARRAY)
		return;
	jsonspan_iter_init(&iter, ctl_span(result));
	while (jsonspan_next(&iter, &parent)) {
		state = ctl_member_string(parent, "state");
		id = ctl_member_integer(parent, "id", 0);
		if (state != NULL && (strcmp(state, "pending") == 0 || strcmp(state, "running") == 0)) {
			first = first == 0 ? id : first;
			if (open < EXPLAIN_PARENTS_MAX)
				text_add_format(
				    &explain->sentence, "%s %lld (%s)", open == 0 ? ":" : ",", id, state);
			open++;
		}
		free(state);
	}
	if (open > EXPLAIN_PARENTS_MAX)
		text_add_format(&explain->sentence, " and %lld more", open - EXPLAIN_PARENTS_MAX);
	if (first != 0)
		text_add_format(&explain->advice, "'futurectl explain %lld' tells what that one waits for.", first);
	free(result);
}

static void explain_delayed(struct explain *explain)
{
	text_add_string(&explain->sentence, "is not to start before");
	explain_say(explain, "not_before", " ");
	explain_say_distance(explain, "not_before");
}

static void explain_retrying(struct explain *explain)
{
	text_add_string(&explain->sentence, "did not succeed and will be started again after a pause");
	explain_say_attempt(explain, ": it has used ");
	text_add_format(&explain->advice, "'futurectl output --stderr %lld' shows what its command said.",
	    explain->id);
}

static void explain_paused(struct explain *explain)
{
	text_add_format(&explain->sentence, "waits since its queue, '%s', is paused", explain->queue);
	text_add_format(&explain->advice, "'futurectl resume %s' lets it go on.", explain->queue);
}

/* The queue's limit, or 0. */
static long long explain_fetch_limit(const char *name)
{
	char *result = NULL;
	struct jsonspan_iter iter;
	struct span queue;
	long long limit = 0;

	if (ctl_try("queues", ctl_params(), &result) < 0 || jsonspan_type(ctl_span(result)) != JSONSPAN_ARRAY)
		return 0;
	jsonspan_iter_init(&iter, ctl_span(result));
	while (jsonspan_next(&iter, &queue))
		if (ctl_member_is(queue, "queue", name))
			limit = ctl_member_integer(queue, "limit", 0);
	free(result);
	return limit;
}

static void explain_queue_limit(struct explain *explain)
{
	long long limit = explain_fetch_limit(explain->queue);

	text_add_format(&explain->sentence, "waits since its queue, '%s', already runs as many as it may",
	    explain->queue);
	if (limit > 0)
		text_add_format(&explain->sentence, ", which is %lld", limit);
	text_add_format(&explain->advice, "'futurectl set-queue %s N' lets more of them run at once.", explain->queue);
}

static void explain_capacity(struct explain *explain)
{
	bool io = ctl_member_is(explain->job, "lane", "io");

	text_add_format(&explain->sentence, "waits for a free place: all of the %s lane are taken, or others go before it",
	    io ? "io" : "cpu");
	text_add_string(&explain->advice, "'futurectl top' shows what runs; --priority puts a job before others.");
}

static void explain_ready(struct explain *explain)
{
	text_add_string(&explain->sentence, "is about to start: there is a place for it");
}

static const struct {
	const char *reason;
	void (*write)(struct explain *explain);
} explain_reasons[] = {
    {"after", explain_after},
    {"delayed", explain_delayed},
    {"retrying", explain_retrying},
    {"paused", explain_paused},
    {"queue_limit", explain_queue_limit},
    {"capacity", explain_capacity},
    {"ready", explain_ready},
};

static void explain_pending(struct explain *explain)
{
	char *reason = ctl_member_string(explain->job, "reason");
	size_t i, count = sizeof(explain_reasons) / sizeof(explain_reasons[0]);

	for (i = 0; i < count && reason != NULL && strcmp(explain_reasons[i].reason, reason) != 0; i++)
		;
	if (reason != NULL && i < count)
		explain_reasons[i].write(explain);
	else
		text_add_format(&explain->sentence, "is pending: %s", reason != NULL ? reason : "nobody says why");
	explain_say(explain, "expires", "; it fails if it has not begun by ");
	free(reason);
}

/*
 * How it runs, and how it ended
 */

static void explain_running(struct explain *explain)
{
	struct span usage, timeout;
	struct text limit = {0}, progress = {0};
	long long worker = 0;
	double seconds;

	text_add_string(&explain->sentence, "is running");
	explain_say(explain, "started", " since ");
	explain_say_distance(explain, "started");
	explain_say_attempt(explain, ", in ");
	if (ctl_member(explain->job, "usage", &usage))
		worker = ctl_member_integer(usage, "worker", 0);
	if (worker > 0)
		text_add_format(&explain->sentence, ", under process %lld", worker);
	show_write_progress(explain->job, &progress);
	if (progress.len > 0)
		text_add_format(&explain->sentence, ", and has come to %s", ctl_text(&progress));
	if (ctl_member(explain->job, "timeout", &timeout) && jsonspan_number(timeout, &seconds) == 0) {
		value_write_duration(&limit, seconds);
		text_add_format(&explain->sentence, "; it is ended after %s", ctl_text(&limit));
	}
	text_add_format(&explain->advice, "'futurectl follow %lld' shows its output, 'futurectl cancel %lld' ends it.",
	    explain->id, explain->id);
	text_done(&limit);
	text_done(&progress);
}

static void explain_succeeded(struct explain *explain)
{
	text_add_string(&explain->sentence, "succeeded");
	explain_say(explain, "finished", " at ");
	explain_say_attempt(explain, ", in ");
	text_add_format(&explain->advice, "'futurectl result %lld' prints its result.", explain->id);
}

static void explain_cancelled(struct explain *explain)
{
	struct span error = SPAN_NONE;
	char *by, *message;

	if (!ctl_member(explain->job, "error", &error))
		error = SPAN_NONE;
	by = ctl_member_string(error, "by");
	message = ctl_member_string(error, "message");
	text_add_string(&explain->sentence, "was cancelled");
	if (by != NULL)
		text_add_format(&explain->sentence, " by %s", by);
	explain_say(explain, "finished", ", and ended at ");
	if (message != NULL)
		text_add_format(&explain->sentence, ": %s", message);
	text_add_format(&explain->advice, "'futurectl retry %lld' submits it again.", explain->id);
	free(by);
	free(message);
}

/* What each type of error means, and what may be done; a @ in it is the job's id. */
static const struct {
	const char *type, *means, *advice;
} explain_errors[] = {
    {"TaskError", "its task could not do it", "When the cause is gone, 'futurectl retry @' submits it again."},
    {"BadArguments", "its arguments do not fit its task", "'futurectl tasks' shows what each task takes."},
    {"ExitStatus", "its command ended with a status other than 0",
	"'futurectl output --stderr @' shows what it said; 'futurectl retry @' submits it again."},
    {"Signal", "its command was ended by a signal",
	"'futurectl output --stderr @' shows what it said; 'futurectl retry @' submits it again."},
    {"TimedOut", "it took longer than its --timeout", "Submit it with a longer --timeout, or without."},
    {"OutOfMemory", "it needed more memory than it may have", "Submit it with a higher --limit-memory."},
    {"ResultTooLarge", "its result is larger than a result may be",
	"Let it write to a file, or have the daemon's [limits] result raised."},
    {"WorkerDied", "the process that ran it died under it",
	"The daemon's log tells more; 'futurectl retry @' submits it again."},
    {"Lost", "the daemon or the machine went down while it ran, and it may not be run twice unasked",
	"See how far it came; then 'futurectl retry @' submits it again. --max-attempts allows that beforehand."},
    {"Expired", "it had not begun when the time of --expires was over",
	"'futurectl retry @' submits it again."},
    {"DependencyFailed", "a job that it was to follow did not end as --after-policy asks",
	"'futurectl status @' names them under 'after'; once that is mended, 'futurectl retry @' submits it "
	"again."},
};

static void explain_advise(struct explain *explain, const char *advice)
{
	for (; *advice != '\0'; advice++) {
		if (*advice == '@')
			text_add_format(&explain->advice, "%lld", explain->id);
		else
			text_add(&explain->advice, advice, 1);
	}
}

static void explain_failed(struct explain *explain)
{
	struct text cause = {0};
	struct span error = SPAN_NONE;

	if (!ctl_member(explain->job, "error", &error))
		error = SPAN_NONE;
	text_add_string(&explain->sentence, "failed");
	explain_say(explain, "finished", " at ");
	explain_say_attempt(explain, ", in ");
	for (size_t i = 0; i < sizeof(explain_errors) / sizeof(explain_errors[0]); i++) {
		if (!ctl_member_is(error, "type", explain_errors[i].type))
			continue;
		text_add_format(&explain->sentence, ": %s", explain_errors[i].means);
		explain_advise(explain, explain_errors[i].advice);
	}
	show_write_cause(explain->job, &cause);
	text_add_format(&explain->sentence, ". %s", ctl_text(&cause));
	text_done(&cause);
}

static const struct {
	const char *state;
	void (*write)(struct explain *explain);
} explain_states[] = {
    {"pending", explain_pending},
    {"running", explain_running},
    {"succeeded", explain_succeeded},
    {"failed", explain_failed},
    {"cancelled", explain_cancelled},
};

/* --json: of a form of its own, since the daemon has no such answer. */
static void explain_print_json(const struct explain *explain)
{
	static const char *const members[] = {"id", "state", "reason", "error"};
	struct text out = {0};
	struct span value;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (ctl_member(explain->job, members[i], &value))
			text_add_format(&out, "%s\"%s\":%.*s", out.len > 0 ? "," : "{", members[i], (int)value.len,
			    value.at);
	text_add_string(&out, ",\"explanation\":");
	(void)text_add_quoted(&out, text_string(&explain->sentence), explain->sentence.len);
	text_add_string(&out, ",\"advice\":");
	if (explain->advice.len == 0)
		text_add_string(&out, "null");
	else
		(void)text_add_quoted(&out, text_string(&explain->advice), explain->advice.len);
	text_add(&out, "}", 1);
	puts(ctl_text(&out));
	text_done(&out);
}

static void explain_print(const struct explain *explain)
{
	table_print(ctl_text(&explain->sentence), TABLE_PLAIN);
	putchar('\n');
	if (explain->advice.len > 0) {
		table_print(ctl_text(&explain->advice), TABLE_DIM);
		putchar('\n');
	}
}

static int explain_main(struct operands *operands)
{
	struct explain explain = {.id = select_read_id(operands->at, operands->count)};
	struct fut_params *params = ctl_params();
	char *result, *task;

	fut_params_integer(params, "id", explain.id);
	result = ctl_call("status", params);
	explain.job = ctl_span(result);
	explain.queue = ctl_member_string(explain.job, "queue");
	task = ctl_member_string(explain.job, "task");
	text_add_format(&explain.sentence, "Job %lld (%s) ", explain.id, task != NULL ? task : "?");
	for (size_t i = 0; i < sizeof(explain_states) / sizeof(explain_states[0]); i++)
		if (ctl_member_is(explain.job, "state", explain_states[i].state))
			explain_states[i].write(&explain);
	if (explain.sentence.at[explain.sentence.len - 1] != '.')
		text_add(&explain.sentence, ".", 1);
	if (ctl.json)
		explain_print_json(&explain);
	else
		explain_print(&explain);
	text_done(&explain.sentence);
	text_done(&explain.advice);
	free(explain.queue);
	free(task);
	free(result);
	return ctl_finish_output(CTL_DONE);
}

const struct command explain_commands[] = {
    {
	.name = "explain",
	.synopsis = "ID",
	.summary = "why a job is where it is, and what to do",
	.text = "Says in a sentence why a job has not begun, how it runs, or why it ended as it did,\n"
		"and what can be done about it. ID may be 'last'.\n",
	.operands = COMMAND_TAKES_JOB,
	.run = explain_main,
    },
    {0},
};
