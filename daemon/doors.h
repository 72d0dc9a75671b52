/*
 * doors: what the configuration asks of who may reach what, made ready before the spawner's birth.
 */
#ifndef DAEMON_DOORS_H
#define DAEMON_DOORS_H

#include "daemon/config.h"
#include "daemon/task.h"

/*
 * Whether the tasks that [tasks] user names are there, and [exec] run_as can be done as it is set: commands can become their owners, and no task of the table that users may
 * have would read with root's rights. 0, or -1 and *ret_reason, the caller's to free.
 */
int doors_check_tasks(const struct config *config, const struct task *const *tasks, char **ret_reason)
    __attribute__((warn_unused_result));

/* From now on no task reads the state folder, which is there with its output folder, the tokens file or the key. 0 or -1. */
int doors_keep_private(const struct config *config) __attribute__((warn_unused_result));

#endif
