/*
 * args: from words on a command line to the args of a job.
 */
#ifndef CLIENT_ARGS_H
#define CLIENT_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl.h"
#include "text.h"

/*
 * The declared types of a task's parameters, asked of the daemon when they are first needed. What is not known (no such
 * task, a parameter more than it has) counts as any.
 */
struct args_task {
	const char *name;
	char *reply; /* NULL: not asked yet */
	struct span params; /* an array in reply, or SPAN_NONE */
};

void args_task_done(struct args_task *task);

/*
 * Appends one value: the word itself where it is JSON and parameter index of the task is no string, else as a string.
 */
void args_write_word(struct text *out, struct args_task *task, size_t index, const char *word);
/* Appends an array of all. */
void args_write_words(struct text *out, const char *task, char **words, size_t count);

/* What goes along with every command. */
struct args_exec {
	bool no_env;
	const char *input; /* its standard input, NULL for none */
	size_t input_len;
};

/* Appends the object for exec: argv up to NULL, then the tail that args_write_exec_tail made. */
void args_write_exec(struct text *out, char *const *argv, const struct text *tail);
/* Working directory, umask, environment (on a Unix socket, unless no_env) and input, as members that follow argv. */
void args_write_exec_tail(struct text *tail, const struct args_exec *exec);

/* Appends a string; dies where it is not UTF-8, naming it with what. */
void args_write_string(struct text *out, const char *string, const char *what);

/* All of standard input, for a command; dies over 16 MiB. */
void args_read_input(struct text *out);

#endif
