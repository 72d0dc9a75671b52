/*
 * task: what a task is to the rest of the daemon: a row of a const table.
 *
 * The table (tasks/table.c) is handed down from main; no task is named in code outside tasks/. To add one: write its
 * row and its function in a file of its family in tasks/, name the row in tasks/table.c, document it, test it.
 */
#ifndef DAEMON_TASK_H
#define DAEMON_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/outcome.h"
#include "daemon/progress.h"
#include "proto/jsonspan.h"
#include "proto/state.h"

struct command; /* supervise.h */
struct wait;	/* waits.h */

enum task_kind {
	TASK_FUNCTION, /* lane cpu: runs in a worker process, may take as long as it likes */
	TASK_COMMAND,  /* lane cpu, or io if asked: a worker supervises one command */
	TASK_BLOCKING, /* lane io: runs in an I/O thread, may block */
	TASK_WAIT,     /* lane io: begun on the thread that holds all waits, must never block it */
};

enum task_type { TYPE_ANY, TYPE_STRING, TYPE_INTEGER, TYPE_NUMBER, TYPE_BOOLEAN, TYPE_ARRAY, TYPE_OBJECT };

struct task_param {
	const char *name;
	enum task_type type;
	bool required;
	const char *doc;
};

#define TASK_PARAMS_MAX 8

/* One attempt, as the function sees it. All of it lives until the function returns (for waits: until wait_finish). */
struct task_call {
	uint64_t job;
	unsigned attempt;
	struct span args; /* valid JSON, an array or an object, as the client sent it */
	void (*report)(const struct progress *progress); /* NULL: nobody listens; see task_report() */
};

/*
 * Tells how far the job is (FUNCTION; of other kinds nobody listens): fraction from 0 to 1, a short text or NULL. May be
 * called as often as one likes, and costs little: what is too much is left out, but never the last.
 */
void task_report(const struct task_call *call, double fraction, const char *text);

struct task {
	const char *name;
	const char *doc;
	enum task_kind kind;
	bool idempotent;
	bool pure;	 /* implies idempotent */
	bool privileged; /* reads the daemon's files or runs the caller's code: not for the role user unless [tasks]
			    user names it */
	bool any_args;	 /* params is not looked at */
	const struct task_param *params; /* ends with a NULL name */

	/*
	 * Whether a job with these args is idempotent, where that depends on them; NULL: as the flag says. Loop thread;
	 * must be quick.
	 */
	bool (*is_idempotent)(struct span args);

	/*
	 * Whether the role user may run it with these args: NULL when it may, else a static phrase saying why not. Loop
	 * thread; NULL function: no question. local_allowed is [http] local.
	 */
	const char *(*check_user)(struct span args, bool local_allowed);

	/* One of these, by kind. Each sets *ret_outcome (given zeroed), which its caller then owns. */
	void (*run)(const struct task_call *call, struct outcome *ret_outcome); /* FUNCTION, BLOCKING */
	int (*command)(const struct task_call *call, struct command *ret_command,
	    struct outcome *ret_outcome); /* COMMAND: 0, or -1 with the error in ret_outcome */
	void (*begin)(const struct task_call *call, struct wait *wait); /* WAIT */
};

const struct task *task_find(const struct task *const *table, struct span name_string);
const struct task *task_find_name(const struct task *const *table, const char *name);
enum lane task_lane(const struct task *task);
const char *task_type_name(enum task_type type);

/*
 * Binds args to the task's params, by position or by name: values[i] is the value of params[i], SPAN_NONE where it was
 * left out. 0, or -1 with a BadArguments error in *ret_outcome (missing, unknown, too many, or of another type).
 */
int task_bind(
    const struct task *task, struct span args, struct span values[TASK_PARAMS_MAX], struct outcome *ret_outcome);

/* A string's text, malloc'ed, and how long it is (NULL: nobody asks). value is known to be a string: it was bound as one. */
char *task_string(struct span value, size_t *ret_len) __attribute__((warn_unused_result, returns_nonnull));

extern const struct task *const tasks_builtin[]; /* tasks/table.c */

#endif
