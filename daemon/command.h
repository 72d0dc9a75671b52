/*
 * command: what a job of a TASK_COMMAND task is to run, and starting it: its environment, descriptors, session and
 * signals.
 *
 * A command gets descriptors 0, 1 and 2, 3 to tell its progress on, and no other, a session and process group of its
 * own, default signal dispositions, an empty mask, and no way to gain privileges (the spawner has given that up for all
 * below it). Worker process only: one thread.
 */
#ifndef DAEMON_COMMAND_H
#define DAEMON_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/outcome.h"
#include "daemon/runas.h"
#include "daemon/spec.h"

/* Made by a task of kind TASK_COMMAND; all of it malloc'ed and owned here. */
struct command {
	char **argv;	  /* ends with NULL, at least one */
	char *cwd;	  /* NULL: "/" */
	char **env;	  /* "NAME=value", each NAME once, ends with NULL; NULL: only the clean base */
	char *stdin_data; /* NULL: /dev/null */
	size_t stdin_len;
	mode_t umask; /* COMMAND_UMASK_NONE: 022 */
	struct spec_limits limits; /* the job's */
	const struct runas_user *as; /* the user that it becomes, not owned; NULL: none other than we */
	bool apart; /* its peak of memory is not to begin at ours: costs a fork */
};
#define COMMAND_UMASK_NONE ((mode_t)-1)
void command_done(struct command *command);

/* What a command is told about itself in its environment. */
struct command_identity {
	const char *mark; /* "FUTURED_TREE=…" */
	uint64_t job;
	unsigned attempt;
};

/*
 * The environment it will have: the clean base (PATH, HOME, USER, LOGNAME, SHELL, LANG of the user that it
 * will be), over it command->env, over that the identity. Ended with command_environment_free().
 */
char **command_environment(const struct command *command, const struct command_identity *identity);
void command_environment_free(char **env);
/* Looks the user up for the base, once; later calls, and forked children, use what was found. */
void command_prepare(void);

/* What it writes to: descriptors above 2, which stay the caller's. */
enum command_stream { COMMAND_STDOUT, COMMAND_STDERR, COMMAND_PROGRESS, COMMAND_STREAMS };

/* Where it is put. */
struct command_place {
	int streams[COMMAND_STREAMS];
	int cgroup;	    /* the folder of a control group, or -1 */
	bool cgroup_memory; /* limits.memory_mib is kept by that */
};

/*
 * How its limits are kept, soft and hard, from its first instruction, by each of its processes: memory_mib by
 * RLIMIT_DATA (what it may write to and shares with nobody; not RLIMIT_AS, which hits those who reserve addresses that
 * they never use), cpu_s by RLIMIT_CPU: SIGXCPU, and SIGKILL COMMAND_CPU_GRACE_S later, files by RLIMIT_NOFILE. What is
 * above our own hard limit becomes that. Where it cannot be put into its control group it runs beside that, under
 * rlimits.
 */
#define COMMAND_CPU_GRACE_S 5

/*
 * Starts it. It has been executed when 0 is returned; else -1 and a TaskError in *ret_outcome that names what could not
 * be done, with data {"errno":"ENOENT"}.
 */
int command_start(const struct command *command, const struct command_identity *identity,
    const struct command_place *place, pid_t *ret_pid, struct outcome *ret_outcome)
    __attribute__((warn_unused_result));

#endif
