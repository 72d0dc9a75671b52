/*
 * The commands of futurectl, their help, and the way from a command line to one of them.
 *
 * To add a command: an entry in the table of its family's file, and a paragraph in futurectl.1. A new family: its table
 * in commands_families, and its file in local.mk.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "await.h"
#include "bulk.h"
#include "complete.h"
#include "ctl.h"
#include "events.h"
#include "explain.h"
#include "info.h"
#include "jobs.h"
#include "map.h"
#include "options.h"
#include "output.h"
#include "queues.h"
#include "submit.h"
#include "token.h"
#include "top.h"

static const struct option_spec commands_options[] = {
    {"socket", 'S', OPTION_TEXT, &ctl.socket, "PATH", "the daemon's Unix socket"},
    {"connect", 'C', OPTION_TEXT, &ctl.connect, "HOST:PORT", "a daemon by TCP, with a token"},
    {"token-file", 0, OPTION_TEXT, &ctl.token_file, "FILE", "where the token for --connect stands"},
    {"ca", 0, OPTION_TEXT, &ctl.ca, "FILE", "speak TLS: who may have signed the daemon's certificate"},
    {"cert", 0, OPTION_TEXT, &ctl.certificate, "FILE", "speak TLS: one's own certificate"},
    {"key", 0, OPTION_TEXT, &ctl.key, "FILE", "and its key"},
    {"json", 'j', OPTION_FLAG, &ctl.json, NULL, "print what the daemon answered, as JSON"},
    {"help", 'h', OPTION_FLAG, &ctl.help, NULL, "print this help"},
    {"version", 'V', OPTION_FLAG, &ctl.version, NULL, "print the version"},
    {0},
};

/* In the order of the help. */
static const struct command *const commands_families[] = {
    submit_commands,
    map_commands,
    await_commands,
    events_commands,
    jobs_commands,
    explain_commands,
    bulk_commands,
    output_commands,
    queues_commands,
    info_commands,
    top_commands,
    token_commands,
    complete_commands,
};

const struct command *commands_at(size_t index)
{
	for (size_t i = 0; i < sizeof(commands_families) / sizeof(commands_families[0]); i++)
		for (const struct command *command = commands_families[i]; command->name != NULL; command++)
			if (index-- == 0)
				return command;
	return NULL;
}

const struct command *commands_find(const char *name)
{
	const struct command *command;

	for (size_t i = 0; (command = commands_at(i)) != NULL; i++)
		if (strcmp(command->name, name) == 0)
			break;
	return command;
}

void commands_list_options(const struct command *command,
    const struct option_spec *tables[COMMAND_TABLES_MAX + 2])
{
	size_t count = 0;

	for (; command != NULL && command->options[count] != NULL; count++)
		tables[count] = command->options[count];
	tables[count++] = commands_options;
	tables[count] = NULL;
}

static void commands_print_help(void)
{
	const struct command *command;

	printf("Usage: futurectl [OPTION]... COMMAND [ARGUMENT]...\n"
	       "Hands work to futured, the job service of this machine, and gets futures back.\n\nCommands:\n");
	for (size_t i = 0; (command = commands_at(i)) != NULL; i++)
		if (command->summary != NULL)
			printf("  %-9s %s\n", command->name, command->summary);
	printf("\nOptions (before the command or behind it):\n");
	options_print(commands_options);
	printf("\nWithout --socket and --connect the socket is $FUTURED_SOCKET, else\n"
	       "$XDG_RUNTIME_DIR/futured.sock if it is there, else that in the state folder\n"
	       "$XDG_STATE_HOME/futured if a daemon answers there, else /run/futured/futured.sock.\n"
	       "\nTry:\n"
	       "  futurectl run -- echo hello\n"
	       "  futurectl run math.factorize 600851475143\n"
	       "  futurectl submit -- sleep 60; futurectl list; futurectl cancel last\n"
	       "\n'futurectl COMMAND --help' tells more of each command, futurectl(1) all of it.\n");
}

static bool commands_take_time(const struct option_spec *const *tables)
{
	for (; *tables != NULL; tables++)
		for (const struct option_spec *spec = *tables; spec->name != NULL; spec++)
			if (spec->kind == OPTION_DURATION)
				return true;
	return false;
}

static void commands_print_command_help(const struct command *command)
{
	const struct option_spec *tables[COMMAND_TABLES_MAX + 2];
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
	commands_list_options(command, tables);
	for (size_t i = 0; tables[i] != NULL; i++)
		options_print(tables[i]);
	if (commands_take_time(tables))
		printf("\nTIME is seconds (90, 1.5) or has units: 250ms, 1h30m, 2d.\n");
}

static int commands_print_version(void)
{
	printf("futurectl %s\n", fut_library_version());
	return ctl_finish_output(CTL_DONE);
}

static _Noreturn void commands_die_unknown(const char *name)
{
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

/* Whether a command was meant to be run, told from words that could not be read. */
static bool commands_means_command(const struct command *command, int argc, char **argv)
{
	for (int i = 1; command->own_status && i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return true;
	return false;
}

/* Of the command that runs. */
static bool commands_has_option(const char *name)
{
	const struct option_spec *tables[COMMAND_TABLES_MAX + 2];
	char word[64];

	commands_list_options(commands_find(ctl.command), tables);
	snprintf(word, sizeof(word), "--%s", name);
	return options_match(tables, word) != NULL;
}

static int commands_run(const struct command *command, int argc, char **argv)
{
	const struct option_spec *tables[COMMAND_TABLES_MAX + 2];
	struct operands operands;
	struct text wrong = {0};
	int status;

	ctl.command = command->name;
	ctl.has_option = commands_has_option;
	ctl.runs_command = commands_means_command(command, argc, argv);
	commands_list_options(command, tables);
	if (options_read(tables, false, command->takes_command, argc, argv, &operands, &wrong) < 0)
		ctl_die_usage("%s: %s", command->name, text_string(&wrong));
	ctl.runs_command = command->own_status && operands.command != NULL;
	if (ctl.help)
		status = commands_help(command->name);
	else if (ctl.version)
		status = commands_print_version();
	else if (command->operands == COMMAND_TAKES_NOTHING && operands.count > 0)
		ctl_die_usage("%s takes no arguments, not '%s'", command->name, operands.at[0]);
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
	const struct option_spec *tables[COMMAND_TABLES_MAX + 2];
	struct operands operands;
	struct text wrong = {0};
	int status;

	setlocale(LC_CTYPE, "");
	commands_list_options(NULL, tables);
	if (options_read(tables, true, false, argc, argv, &operands, &wrong) < 0)
		ctl_die_usage("%s", text_string(&wrong));
	status = commands_choose(&operands);
	free(operands.at);
	fut_free(ctl.client);
	return status;
}
