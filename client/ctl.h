/*
 * What the files of futurectl share.
 *
 * futurectl is one process for one command: it connects, does it, and ends with the status of the protocol. Memory that
 * lasts as long as the process is not freed one by one; running out of it ends the process. One thread; signals only
 * set flags and wake the wait (ctl_wait.c).
 *
 * From the bottom: ctl (saying, ending, connecting) - options, value, table, progress - select, args, wait - the
 * families of commands (submit, stream, map, await, jobs, bulk...) - commands (the table of their tables) - main.
 */
#ifndef CLIENT_CTL_H
#define CLIENT_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "futured.h"
#include "proto/jsonspan.h"
#include "text.h"

/* Exit statuses of the protocol's command line. */
enum ctl_status {
	CTL_DONE = 0,
	CTL_JOB_FAILED = 1, /* or was cancelled */
	CTL_REFUSED = 2,    /* or used wrongly */
	CTL_NO_DAEMON = 69,
	CTL_BUSY = 75,
	CTL_DENIED = 77,
	CTL_TIMED_OUT = 124,
	CTL_OWN_FAULT = 125, /* of run with a command */
	CTL_NOT_RUNNABLE = 126,
	CTL_NOT_FOUND = 127,
};

struct ctl {
	const char *socket;
	const char *connect;
	const char *ca, *certificate, *key;
	const char *token_file;
	bool json;
	bool help;
	bool version;

	const char *command; /* its name, for messages; NULL before it is known */
	bool runs_command;   /* run -- COMMAND: what is futurectl's own fault has a status of its own */
	bool (*has_option)(const char *name); /* whether the command takes --NAME */
	struct fut_client *client;
	void (*restore)(void); /* gives the terminal back before anything is said on it; NULL: nothing to do */
};

extern struct ctl ctl;

/* What was said on the command line besides options. */
struct operands {
	char **at; /* a NULL follows the last */
	size_t count;
	char **command; /* behind a leading "--": COMMAND [ARG...] up to NULL; else NULL */
};

/* What the operands of a command are, for completion. */
enum command_operands {
	COMMAND_TAKES_NOTHING,
	COMMAND_TAKES_TASK,    /* and its arguments; a program behind "--" where takes_command */
	COMMAND_TAKES_JOBS,    /* SEL... */
	COMMAND_TAKES_JOB,     /* one id */
	COMMAND_TAKES_FILTERS, /* FILTER... */
	COMMAND_TAKES_QUEUE,
	COMMAND_TAKES_ROLE, /* behind a name */
};

#define COMMAND_TABLES_MAX 3

/* Each family of commands has a table of them at the end of its file; one without a name ends it. */
struct command {
	const char *name;
	const char *synopsis; /* lines behind "futurectl NAME " */
	const char *summary;  /* a phrase for the list of commands; NULL: it is not listed */
	const char *text;     /* what it does, and examples */
	const struct option_spec *options[COMMAND_TABLES_MAX + 1]; /* besides those of futurectl itself; NULL after the last */
	enum command_operands operands;
	const char *states; /* of the jobs that are worth offering, JSON strings with commas between; NULL: any */
	bool takes_command; /* "--" begins a command, not operands */
	bool own_status;    /* the exit status is that of the command it runs, and its own faults are CTL_OWN_FAULT */
	int (*run)(struct operands *operands); /* returns the exit status */
};

/* How help explains SEL. */
#define COMMAND_SEL \
	"SEL is ids and ranges (3,5-9), 'last' (your own newest job), or filters:\n" \
	"label=TEXT, state=STATE, queue=NAME, task=TASK, owner=OWNER. Several of one filter\n" \
	"mean any of them, different filters mean all of them.\n"

/* ctl.c */

/* Gives the terminal back, once. */
void ctl_restore(void);
/* A line on standard error, "futurectl: ..."; progress is cleared before it. */
void ctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same and the end of the process. */
_Noreturn void ctl_die(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What was said on the command line is wrong: says so, and where help is. */
_Noreturn void ctl_die_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void ctl_die_memory(void);
/* The client's last call failed: says what and what to do about it. Returns the exit status for it. */
int ctl_say_failure(void);
_Noreturn void ctl_die_failure(void);
/* Connects as the options say, or dies. */
void ctl_connect(void);
/* As fut_call, but dies where it fails. params is freed. */
char *ctl_call(const char *method, struct fut_params *params);
/* As ctl_call, but returns the code where it fails. */
int ctl_try(const char *method, struct fut_params *params, char **ret_result);
/* fut_send, likewise. */
int64_t ctl_send(const char *method, struct fut_params *params);
/* New parameters, or dies. */
struct fut_params *ctl_params(void);
/* The text of a buffer that was built, or dies without memory. */
const char *ctl_text(const struct text *text);
/* Writes all of it; -1 with errno. */
int ctl_write(int fd, const char *bytes, size_t len);
/* A value and a line end on standard output. */
void ctl_print_line(struct span value);
/* Flushes standard output; says so and returns CTL_REFUSED where it could not be written, else status. */
int ctl_finish_output(int status);

struct span ctl_span(const char *json);
/* A member of what may be no object at all. */
bool ctl_member(struct span object, const char *name, struct span *ret_value);
/* A string member unescaped (the caller frees it), or NULL where there is none; dies without memory. */
char *ctl_member_string(struct span object, const char *name);
/* Whether a member is a string that means text. */
bool ctl_member_is(struct span object, const char *name, const char *text);
/* Whether a member is true. */
bool ctl_member_is_true(struct span object, const char *name);
/* An integer member, or otherwise. */
int64_t ctl_member_integer(struct span object, const char *name, int64_t otherwise);

/* commands.c */

/* The commands in the order of the help, or NULL behind the last. */
const struct command *commands_at(size_t index);
const struct command *commands_find(const char *name);
/* Fills tables with all options of a command (NULL: of none), and NULL behind them. */
void commands_list_options(const struct command *command,
    const struct option_spec *tables[COMMAND_TABLES_MAX + 2]);
/* The whole of futurectl. */
int commands_main(int argc, char **argv);

#endif
