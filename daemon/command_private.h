/*
 * command_private: what the two ways of starting a command share.
 */
#ifndef DAEMON_COMMAND_PRIVATE_H
#define DAEMON_COMMAND_PRIVATE_H

#include "daemon/command.h"

/* Standard input, and behind it enum command_stream: descriptor i of the command is fds[i] of ours. */
#define COMMAND_FDS	    (1 + COMMAND_STREAMS)
#define COMMAND_PROGRESS_FD (1 + COMMAND_PROGRESS)

/* What a command may fail at before its first instruction. */
enum command_step { COMMAND_BECOME, COMMAND_ENTER, COMMAND_RUN };

/*
 * Starts it by fork, as its user, under its limits and in its control group; as command_spawn() does without. environ is env, so that the program is looked
 * for in its own PATH. 0 when it has been executed, else an errno, and at what.
 */
int command_fork(const struct command *command, char **env, const struct command_place *place,
    const int fds[COMMAND_FDS], pid_t *ret_pid, enum command_step *ret_failed);

#endif
