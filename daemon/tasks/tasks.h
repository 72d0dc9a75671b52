/*
 * tasks: the rows of the table of tasks that every daemon has (table.c), each in the file of its family.
 */
#ifndef DAEMON_TASKS_TASKS_H
#define DAEMON_TASKS_TASKS_H

#include "daemon/task.h"

extern const struct task task_exec;
extern const struct task task_file_read;
extern const struct task task_file_sha256;
extern const struct task task_http_fetch;
extern const struct task task_math_factorize;
extern const struct task task_math_is_prime;
extern const struct task task_net_resolve;
extern const struct task task_noop;
extern const struct task task_noop_io;
extern const struct task task_time_sleep;

#endif
