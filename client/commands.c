/*
 * The table of futurectl's commands, its help, and the way from a command line to one of them.
 *
 * To add a command: an entry in commands[], its function and options in the file of its family, and a paragraph in
 * futurectl.1.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "await.h"
#include "ctl.h"
#include "info.h"
#include "job_options.h"
#include "jobs.h"
#include "map.h"
#include "options.h"
#include "output.h"
#include "submit.h"

static const struct option_spec commands_global[] = {
    {"socket", 'S', OPTION_TEXT, &ctl.socket, "PATH", "the daemon's Unix socket"},
    {"connect", 'C', OPTION_TEXT, &ctl.connect, "HOST:PORT", "a daemon by TCP, with a token"},
    {"token-file", 0, OPTION_TEXT, &ctl.token_file, "FILE", "where the token for --connect stands"},
    {"json", 'j', OPTION_FLAG, &ctl.json, NULL, "print what the daemon answered, as JSON"},
    {"help", 'h', OPTION_FLAG, &ctl.help, NULL, "print this help"},
    {"version", 'V', OPTION_FLAG, &ctl.version, NULL, "print the version"},
    {0},
};

static const struct option_spec *const commands_no_options[] = {commands_global, NULL};
static const struct option_spec *const commands_run_options[] = {
    run_options, job_options_table, job_options_command, commands_global, NULL};
static const struct option_spec *const commands_submit_options[] = {
    submit_options, job_options_table, job_options_command, commands_global, NULL};
static const struct option_spec *const commands_map_options[] = {
    map_options, job_options_table, job_options_command, commands_global, NULL};
static const struct option_spec *const commands_await_options[] = {await_options, commands_global, NULL};
static const struct option_spec *const commands_result_options[] = {jobs_result_options, commands_global, NULL};
static const struct option_spec *const commands_output_options[] = {output_options, commands_global, NULL};
static const struct option_spec *const commands_follow_options[] = {output_follow_options, commands_global, NULL};
static const struct option_spec *const commands_list_options[] = {jobs_list_options, commands_global, NULL};
static const struct option_spec *const commands_cancel_options[] = {jobs_cancel_options, commands_global, NULL};

#define COMMANDS_SEL \
	"SEL is ids and ranges (3,5-9), 'last' (your own newest job), or filters:\n" \
	"label=TEXT, state=STATE, queue=NAME, task=TASK, owner=OWNER. Several of one filter\n" \
	"mean any of them, different filters mean all of them.\n"

static const struct command commands[] = {
    {"run", "[OPTION]... TASK [ARG]...\n[OPTION]... -- COMMAND [ARG]...", "do it now: submit, wait, print the result",
	"Submits one job, waits for its end and prints its result as JSON.\n"
	"\n"
	"The output of a command is passed on as it comes, and its exit status becomes\n"
	"futurectl's own: 128+n when signal n ended it, 127 when it was not found, 126 when\n"
	"it could not be run, 125 when futurectl itself was at fault. Standard input goes\n"
	"along, read to its end first, unless it is a terminal or -n is given; so do the\n"
	"working directory, the umask and, on a Unix socket, the environment.\n"
	"\n"
	"Ctrl-C cancels the job and waits for its end; once more leaves at once.\n"
	"An ARG is read as JSON where it is JSON, unless the task wants a string there.\n"
	"\n"
	"Examples:\n"
	"  futurectl run math.factorize 600851475143\n"
	"  futurectl run -- sh -c 'echo hi; exit 7'\n"
	"  tar c /etc | futurectl run --label backup -- sh -c 'xz > /tmp/etc.tar.xz'\n",
	commands_run_options, true, run_main},
    {"submit", "[OPTION]... TASK [ARG]...\n[OPTION]... -- COMMAND [ARG]...", "hand it over and print the job's id",
	"Submits one job and prints its id. When the id is printed the job is on disk and\n"
	"outlives client and daemon. Arguments are as with run; standard input goes along\n"
	"only with --stdin.\n"
	"\n"
	"Examples:\n"
	"  id=$(futurectl submit --timeout 10m --key nightly-1 -- make -C /srv/site)\n"
	"  futurectl await $id\n",
	commands_submit_options, true, submit_main},
    {"map", "[OPTION]... TASK [-a FILE]\n[OPTION]... [-a FILE] -- COMMAND {}",
	"one job for each line of input, results in order",
	"Reads items, one a line, from standard input or FILE; submits a job for each;\n"
	"prints the results as JSON, a line each, in the same order. A job that failed gives\n"
	"null, and its cause on standard error.\n"
	"\n"
	"For a task, a line that is a JSON array or object is all its arguments, any other\n"
	"its one argument. For a command, {} in its arguments stands for the line; without\n"
	"any {} the line is its last argument.\n"
	"\n"
	"Ctrl-C cancels all that has not ended. With --key KEY, input that takes several\n"
	"requests has KEY#2, KEY#3... for those behind the first.\n"
	"\n"
	"Examples:\n"
	"  seq 1000000000000 1000000000100 | futurectl map math.factorize\n"
	"  find /usr/share/doc -type f | futurectl map file.sha256\n"
	"  ls *.wav | futurectl map -- flac --silent {}\n",
	commands_map_options, true, map_main},
    {"await", "[OPTION]... SEL...", "wait until jobs have ended",
	"Waits until all the jobs have ended, and prints them as a table. The status is 1\n"
	"when any failed or was cancelled.\n"
	COMMANDS_SEL
	"\n"
	"Examples:\n"
	"  futurectl await last\n"
	"  futurectl await --wait 10m label=nightly\n",
	commands_await_options, false, await_main},
    {"status", "SEL...", "show jobs as they stand",
	"Prints the jobs as a table; one job on a terminal with all that is known of it.\n"
	COMMANDS_SEL,
	commands_no_options, false, jobs_status_main},
    {"result", "[OPTION]... ID", "print a job's result, waiting for it if need be",
	"Prints the result of a job as JSON. Of a job that failed or was cancelled it tells\n"
	"the cause, with status 1. ID may be 'last'.\n",
	commands_result_options, false, jobs_result_main},
    {"output", "[OPTION]... ID", "print what a job's command has written so far",
	"Prints what the command of the latest attempt wrote. It does not wait; 'futurectl\n"
	"follow' does. ID may be 'last'.\n",
	commands_output_options, false, output_main},
    {"follow", "[OPTION]... ID", "pass a job's output on until its end",
	"Passes what the command writes on as it comes, from the start, each stream to\n"
	"one's own. The status is 1 when the job failed or was cancelled. Ctrl-C leaves the\n"
	"job alone. ID may be 'last'.\n",
	commands_follow_options, false, output_follow_main},
    {"list", "[OPTION]... [FILTER]...", "list jobs, the newest first",
	"Lists jobs as a table, the newest first. FILTER is label=TEXT, state=STATE,\n"
	"queue=NAME, task=TASK or owner=OWNER; the options of these names say the same.\n"
	"\n"
	"Examples:\n"
	"  futurectl list state=failed,cancelled\n"
	"  futurectl list --json --all queue=slow\n",
	commands_list_options, false, jobs_list_main},
    {"cancel", "[OPTION]... SEL...", "end jobs, whatever they are doing",
	"Asks for the jobs' end. Once this returns it is promised: each will end cancelled,\n"
	"when its whole process tree is gone, for which 'futurectl await' waits. A job that\n"
	"had ended stays as it is.\n"
	COMMANDS_SEL,
	commands_cancel_options, false, jobs_cancel_main},
    {"tasks", "", "what the daemon can run",
	"Lists the tasks and the arguments they take, [those] that may be left out in\n"
	"brackets.\n",
	commands_no_options, false, info_tasks_main},
    {"queues", "", "the queues and how full they are",
	"Lists the queues: how many may run at once, what waits and runs, and for how long\n"
	"the oldest has waited.\n",
	commands_no_options, false, info_queues_main},
    {"stats", "", "counters and workers of the daemon",
	"Prints the daemon's counters and gauges, and its workers.\n",
	commands_no_options, false, info_stats_main},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

/* Of the protocol's command line, but not of this version. */
static const char *const commands_later[] = {
    "watch", "explain", "retry", "forget", "pause", "resume", "set-queue", "drain", "top", "token"};

const struct command *commands_find(const char *name)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

void commands_print_help(void)
{
	printf("Usage: futurectl [OPTION]... COMMAND [ARGUMENT]...\n"
	       "Hands work to futured, the job service of this machine, and gets futures back.\n\nCommands:\n");
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].summary);
	printf("\nOptions (before the command or behind it):\n");
	options_print(commands_global);
	printf("\nWithout --socket and --connect the socket is $FUTURED_SOCKET, else\n"
	       "$XDG_RUNTIME_DIR/futured.sock if it is there, else /run/futured/futured.sock.\n"
	       "\nTry:\n"
	       "  futurectl run -- echo hello\n"
	       "  futurectl run math.factorize 600851475143\n"
	       "  futurectl submit -- sleep 60; futurectl list; futurectl cancel last\n"
	       "\n'futurectl COMMAND --help' tells more of each command, futurectl(1) all of it.\n");
}

void commands_print_command_help(const struct command *command)
{
	const char *line = command->synopsis;
	const char *word = "Usage:";

	for (;;) {
		size_t len = strcspn(line, "\n");

		printf("%s futurectl %s%s%.*s\n", word, command->name, len > 0 ? " " : "", (int)len, line);
		word = "      ";
		if (line[len] == '\0')
			break;
		line += len + 1;
	}
	printf("\n%s\nOptions:\n", command->text);
	for (size_t i = 0; command->options[i] != NULL; i++)
		options_print(command->options[i]);
	if (command->takes_command)
		printf("\nTIME is seconds (90, 1.5) or has units: 250ms, 1h30m, 2d.\n");
}

static int commands_print_version(void)
{
	printf("futurectl %s\n", fut_library_version());
	return ctl_finish_output(CTL_DONE);
}

static _Noreturn void commands_die_unknown(const char *name)
{
	for (size_t i = 0; i < sizeof(commands_later) / sizeof(commands_later[0]); i++)
		if (strcmp(commands_later[i], name) == 0)
			ctl_die_usage("the command '%s' is not in this version", name);
	ctl_die_usage("unknown command '%s'; to run a program, write: futurectl run -- %s", name, name);
}

/* "futurectl help [COMMAND]" and --help. */
static int commands_help(const char *name)
{
	const struct command *command = name != NULL ? commands_find(name) : NULL;

	if (name != NULL && command == NULL)
		commands_die_unknown(name);
	if (command != NULL)
		commands_print_command_help(command);
	else
		commands_print_help();
	return ctl_finish_output(CTL_DONE);
}

/* Whether run was meant to run a command, told from words that could not be read. */
static bool commands_means_command(const struct command *command, int argc, char **argv)
{
	for (int i = 1; command->run == run_main && i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return true;
	return false;
}

static int commands_run(const struct command *command, int argc, char **argv)
{
	struct operands operands;
	struct text wrong = {0};
	int status;

	ctl.command = command->name;
	ctl.runs_command = commands_means_command(command, argc, argv);
	if (options_read(command->options, false, command->takes_command, argc, argv, &operands, &wrong) < 0)
		ctl_die_usage("%s: %s", command->name, text_string(&wrong));
	ctl.runs_command = command->run == run_main && operands.command != NULL;
	if (ctl.help)
		status = commands_help(command->name);
	else if (ctl.version)
		status = commands_print_version();
	else
		status = command->run(&operands);
	free(operands.at);
	return status;
}

static int commands_choose(const struct operands *operands)
{
	const struct command *command;

	if (ctl.version)
		return commands_print_version();
	if (operands->count > 0 && strcmp(operands->at[0], "help") == 0)
		return commands_help(operands->at[1]);
	if (ctl.help)
		return commands_help(operands->at[0]);
	if (operands->count == 0)
		ctl_die_usage("a command is missing");
	command = commands_find(operands->at[0]);
	if (command == NULL)
		commands_die_unknown(operands->at[0]);
	return commands_run(command, (int)operands->count, operands->at);
}

int commands_main(int argc, char **argv)
{
	struct operands operands;
	struct text wrong = {0};
	int status;

	setlocale(LC_CTYPE, "");
	if (options_read(commands_no_options, true, false, argc, argv, &operands, &wrong) < 0)
		ctl_die_usage("%s", text_string(&wrong));
	status = commands_choose(&operands);
	free(operands.at);
	fut_free(ctl.client);
	return status;
}
