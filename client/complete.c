/*
 * The command complete: what may stand next on a command line of futurectl.
 *
 * It is made of the same tables that read and explain the command line, and of what the daemon says right now, so the
 * scripts for the shells hold no list of anything. A line of output is a word, a tab and what it is; or first a line
 * ":files" or ":command N" that says that the names of files, or a command line that begins with word N, are wanted.
 * Without a daemon, or with one that does not answer soon, there is just less to offer.
 */
#include "complete.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "show.h"

#define COMPLETE_SECONDS 2
#define COMPLETE_JOBS    100 /* the newest, of which ids and labels are offered */

enum complete_kind {
	COMPLETE_FILES,
	COMPLETE_WORDS,
	COMPLETE_QUEUES,
	COMPLETE_TASKS,
	COMPLETE_LABELS,
	COMPLETE_IDS,
};

/* What an option's value, or a filter's, may be. */
static const struct {
	const char *name;
	enum complete_kind kind;
	const char *words; /* with spaces between */
} complete_values[] = {
    {"arg-file", COMPLETE_FILES, NULL},
    {"token-file", COMPLETE_FILES, NULL},
    {"ca", COMPLETE_FILES, NULL},
    {"cert", COMPLETE_FILES, NULL},
    {"socket", COMPLETE_FILES, NULL},
    {"queue", COMPLETE_QUEUES, NULL},
    {"task", COMPLETE_TASKS, NULL},
    {"label", COMPLETE_LABELS, NULL},
    {"after", COMPLETE_IDS, NULL},
    {"state", COMPLETE_WORDS, "pending running succeeded failed cancelled"},
    {"lane", COMPLETE_WORDS, "cpu io"},
    {"stream", COMPLETE_WORDS, "stdout stderr"},
    {"after-policy", COMPLETE_WORDS, "succeeded finished failed"},
    {"order", COMPLETE_WORDS, "finished id"},
    {"events", COMPLETE_WORDS, "finished running progress"},
};

static const char *const complete_filters[] = {"label", "state", "queue", "task", "owner"};

/* The word to complete: what stands fixed before it ("--queue=", "3,5-9,"), and its beginning. */
struct complete {
	struct text fixed;
	const char *begun;
	const char *states; /* of jobs, as in struct command */
};

static void complete_offer(const struct complete *complete, const char *word, const char *what)
{
	if (strncmp(word, complete->begun, strlen(complete->begun)) != 0 || strpbrk(word, "\t\n") != NULL)
		return;
	printf("%s%s\t%s\n", text_string(&complete->fixed), word, what);
}

/*
 * Of the daemon
 */

static void complete_give_up(int number)
{
	(void)number;
	_exit(CTL_NO_DAEMON);
}

/* An answer of the daemon; where there is none the process ends with what it has offered so far. */
static char *complete_ask(const char *method, struct fut_params *params)
{
	fflush(stdout);
	signal(SIGALRM, complete_give_up);
	alarm(COMPLETE_SECONDS);
	if (ctl.client == NULL)
		ctl_connect();
	return ctl_call(method, params);
}

/* Offers a member of each element of an array; what is another member of it. */
static void complete_offer_each(const struct complete *complete, struct span array, const char *member,
    const char *what)
{
	struct jsonspan_iter iter;
	struct span one;
	char *word, *doc;

	if (jsonspan_type(array) != JSONSPAN_ARRAY)
		return;
	jsonspan_iter_init(&iter, array);
	while (jsonspan_next(&iter, &one)) {
		word = ctl_member_string(one, member);
		doc = what != NULL ? ctl_member_string(one, what) : NULL;
		if (word != NULL)
			complete_offer(complete, word, doc != NULL ? doc : "");
		free(word);
		free(doc);
	}
}

static char *complete_ask_jobs(const struct complete *complete, const char *fields)
{
	struct fut_params *params = ctl_params();
	struct text filter = {0};

	if (complete->states != NULL) {
		text_add_format(&filter, "{\"state\":[%s]}", complete->states);
		fut_params_json(params, "filter", ctl_text(&filter), SIZE_MAX);
	}
	fut_params_json(params, "fields", fields, SIZE_MAX);
	fut_params_string(params, "order", "-id");
	fut_params_integer(params, "limit", COMPLETE_JOBS);
	text_done(&filter);
	return complete_ask("list", params);
}

static void complete_offer_labels(const struct complete *complete)
{
	char *result = complete_ask_jobs(complete, "[\"label\"]");
	struct span jobs;

	if (ctl_member(ctl_span(result), "jobs", &jobs))
		complete_offer_each(complete, jobs, "label", NULL);
	free(result);
}

static void complete_offer_id(const struct complete *complete, struct span job)
{
	static const char *const members[] = {"state", "task", "label"};
	struct text what = {0};
	char id[32], *text;

	snprintf(id, sizeof(id), "%lld", (long long)ctl_member_integer(job, "id", 0));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		text = ctl_member_string(job, members[i]);
		if (text != NULL && strpbrk(text, "\t\n") == NULL)
			text_add_format(&what, "%s%s", what.len > 0 ? " " : "", text);
		free(text);
	}
	complete_offer(complete, id, ctl_text(&what));
	text_done(&what);
}

static void complete_offer_ids(const struct complete *complete)
{
	struct jsonspan_iter iter;
	struct span jobs, job;
	char *result;

	complete_offer(complete, "last", "your newest job");
	if (complete->begun[0] != '\0' && strspn(complete->begun, "0123456789") == 0)
		return;
	result = complete_ask_jobs(complete, "[\"state\",\"task\",\"label\"]");
	if (ctl_member(ctl_span(result), "jobs", &jobs) && jsonspan_type(jobs) == JSONSPAN_ARRAY) {
		jsonspan_iter_init(&iter, jobs);
		while (jsonspan_next(&iter, &job))
			complete_offer_id(complete, job);
	}
	free(result);
}

static void complete_offer_answer(const struct complete *complete, const char *method, const char *member,
    const char *what)
{
	char *result = complete_ask(method, ctl_params());

	complete_offer_each(complete, ctl_span(result), member, what);
	free(result);
}

/*
 * Of the tables
 */

static void complete_offer_words(const struct complete *complete, const char *words)
{
	char word[32];
	size_t len;

	for (; *words != '\0'; words += len + (words[len] == ' ')) {
		len = strcspn(words, " ");
		snprintf(word, sizeof(word), "%.*s", (int)len, words);
		complete_offer(complete, word, "");
	}
}

static void complete_offer_commands(const struct complete *complete)
{
	const struct command *command;

	for (size_t i = 0; (command = commands_at(i)) != NULL; i++)
		if (command->summary != NULL)
			complete_offer(complete, command->name, command->summary);
	complete_offer(complete, "help", "how to use them");
}

static void complete_offer_options(const struct complete *complete, const struct option_spec *const *tables)
{
	char word[64];

	for (; *tables != NULL; tables++) {
		for (const struct option_spec *spec = *tables; spec->name != NULL; spec++) {
			snprintf(word, sizeof(word), "--%s", spec->name);
			complete_offer(complete, word, spec->help);
		}
	}
}

/* The value of an option or a filter. A list goes on behind its last comma, but for labels, which may hold one. */
static void complete_offer_value(struct complete *complete, const char *name)
{
	size_t i = 0, count = sizeof(complete_values) / sizeof(complete_values[0]);
	const char *comma = strrchr(complete->begun, ',');

	while (i < count && strcmp(complete_values[i].name, name) != 0)
		i++;
	if (i == count)
		return;
	if (comma != NULL && complete_values[i].kind != COMPLETE_LABELS && complete_values[i].kind != COMPLETE_FILES) {
		text_add(&complete->fixed, complete->begun, (size_t)(comma + 1 - complete->begun));
		complete->begun = comma + 1;
	}
	switch (complete_values[i].kind) {
	case COMPLETE_FILES: puts(":files"); break;
	case COMPLETE_WORDS: complete_offer_words(complete, complete_values[i].words); break;
	case COMPLETE_QUEUES: complete_offer_answer(complete, "queues", "queue", NULL); break;
	case COMPLETE_TASKS: complete_offer_answer(complete, "tasks", "task", "doc"); break;
	case COMPLETE_LABELS: complete_offer_labels(complete); break;
	case COMPLETE_IDS: complete_offer_ids(complete); break;
	}
}

/* FILTER: its name up to the "=", or its value. */
static void complete_offer_filters(struct complete *complete)
{
	const char *equals = strchr(complete->begun, '=');
	char word[32];

	if (equals != NULL) {
		snprintf(word, sizeof(word), "%.*s", (int)(equals - complete->begun), complete->begun);
		text_add(&complete->fixed, complete->begun, (size_t)(equals + 1 - complete->begun));
		complete->begun = equals + 1;
		complete_offer_value(complete, word);
		return;
	}
	for (size_t i = 0; i < sizeof(complete_filters) / sizeof(complete_filters[0]); i++) {
		snprintf(word, sizeof(word), "%s=", complete_filters[i]);
		complete_offer(complete, word, "a filter");
	}
}

static void complete_offer_operand(struct complete *complete, const struct command *command, size_t before)
{
	complete->states = command->states;
	switch (command->operands) {
	case COMMAND_TAKES_NOTHING: break;
	case COMMAND_TAKES_TASK:
		if (before == 0)
			complete_offer_answer(complete, "tasks", "task", "doc");
		else
			puts(":files");
		break;
	case COMMAND_TAKES_JOBS:
		complete_offer_filters(complete);
		if (strchr(complete->begun, '=') == NULL && complete->fixed.len == 0)
			complete_offer_value(complete, "after");
		break;
	case COMMAND_TAKES_JOB:
		if (before == 0)
			complete_offer_ids(complete);
		break;
	case COMMAND_TAKES_FILTERS: complete_offer_filters(complete); break;
	case COMMAND_TAKES_QUEUE: complete_offer_answer(complete, "queues", "queue", NULL); break;
	case COMMAND_TAKES_ROLE:
		if (before == 1)
			complete_offer_words(complete, "reader user operator");
		break;
	}
}

/*
 * The command line so far
 */

struct complete_line {
	const struct command *command;
	const struct option_spec *tables[COMMAND_TABLES_MAX + 2];
	const struct option_spec *wants; /* the option whose value comes next, or NULL */
	bool help;                       /* "help" stands in the command's place */
	bool ended;                      /* by "--" */
	bool runs;                       /* that "--" begins a command */
	size_t operands;                 /* so far */
};

/* Where the daemon is has to be known here too. */
static void complete_take_option(const struct option_spec *spec, const char *value)
{
	if (spec->into == &ctl.socket || spec->into == &ctl.connect || spec->into == &ctl.token_file ||
	    spec->into == &ctl.ca || spec->into == &ctl.certificate || spec->into == &ctl.key)
		*(const char **)spec->into = value;
}

static void complete_take_word(struct complete_line *line, const char *word)
{
	const struct option_spec *spec = line->ended ? NULL : options_match(line->tables, word);
	const char *equals = strchr(word, '=');

	if (line->wants != NULL) {
		complete_take_option(line->wants, word);
		line->wants = NULL;
	} else if (spec != NULL && equals != NULL) {
		complete_take_option(spec, equals + 1);
	} else if (spec != NULL) {
		line->wants = spec->kind == OPTION_FLAG ? NULL : spec;
	} else if (!line->ended && strcmp(word, "--") == 0) {
		line->ended = true;
		line->runs = line->command != NULL && line->command->takes_command && line->operands == 0;
	} else if (line->command != NULL || line->help) {
		line->operands++;
	} else if (word[0] != '-') {
		line->command = commands_find(word);
		line->help = line->command == NULL && strcmp(word, "help") == 0;
		commands_list_options(line->command, line->tables);
	}
}

static void complete_last(const struct complete_line *line, const char *word)
{
	struct complete complete = {.begun = word};
	const struct option_spec *spec = line->ended ? NULL : options_match(line->tables, word);
	const char *equals = strchr(word, '=');

	if (line->wants != NULL) {
		complete_offer_value(&complete, line->wants->name);
	} else if (spec != NULL && equals != NULL) {
		text_add(&complete.fixed, word, (size_t)(equals + 1 - word));
		complete.begun = equals + 1;
		complete_offer_value(&complete, spec->name);
	} else if (!line->ended && word[0] == '-') {
		complete_offer_options(&complete, line->tables);
		if (line->command != NULL && line->command->takes_command)
			complete_offer(&complete, "--", "a command follows");
	} else if (line->command != NULL) {
		complete_offer_operand(&complete, line->command, line->operands);
	} else if (!line->help || line->operands == 0) {
		complete_offer_commands(&complete);
	}
	text_done(&complete.fixed);
}

/* The words behind "--" are a command line up to the word that is to be completed, its name the first. */
static int complete_main(struct operands *operands)
{
	struct complete_line line = {.command = NULL};
	char **words = operands->command;
	size_t i;

	if (words == NULL || words[0] == NULL || words[1] == NULL)
		ctl_die_usage("give the words of a command line behind '--', the last one being completed");
	commands_list_options(NULL, line.tables);
	for (i = 1; words[i + 1] != NULL && !line.runs; i++)
		complete_take_word(&line, words[i]);
	if (line.runs)
		printf(":command %zu\n", i);
	else
		complete_last(&line, words[i]);
	return ctl_finish_output(CTL_DONE);
}

const struct command complete_commands[] = {
    {
	.name = "complete",
	.synopsis = "-- WORD...",
	.text = "Prints what the last of the words, a command line with its name first, may become;\n"
		"for the completion of shells.\n",
	.operands = COMMAND_TAKES_NOTHING,
	.takes_command = true,
	.run = complete_main,
    },
    {0},
};
