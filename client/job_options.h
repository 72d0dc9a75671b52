/*
 * job_options: what may be said of a job that is submitted; shared by run, submit and map.
 */
#ifndef CLIENT_JOB_OPTIONS_H
#define CLIENT_JOB_OPTIONS_H

#include <stdbool.h>

#include "args.h"
#include "futured.h"
#include "options.h"

struct job_options {
	const char *queue;
	const char *lane;
	const char *key;
	const char *label;
	const char *args; /* JSON */
	struct option_integer priority;
	struct option_integer max_attempts;
	struct option_duration delay;
	struct option_duration timeout;
	struct option_duration backoff;
	struct option_duration retain;
	struct option_duration expires;
	const char *not_before; /* a moment */
	const char *after;      /* ids */
	const char *after_policy;
	const char *webhook;
	const char *limit_memory; /* a size */
	struct option_duration limit_cpu;
	struct option_integer limit_files;
	bool io;
	bool no_env;
};

/* Filled by reading the tables. */
extern struct job_options job_options;
extern const struct option_spec job_options_table[];     /* of any job */
extern const struct option_spec job_options_command[];   /* of a command */

/* Dies where the options do not fit together or the operands. */
void job_options_check(const struct operands *operands, bool takes_words);
/* The parameters of submit but for task, args, items and key. */
struct fut_params *job_options_params(void);
/* The name of the task: "exec" for a command. */
const char *job_options_task(const struct operands *operands);

#endif
