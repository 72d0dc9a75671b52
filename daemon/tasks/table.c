/*
 * table: the tasks that every daemon has, in the order in which they are shown.
 */
#include "tasks.h"

const struct task *const tasks_builtin[] = {
    &task_noop,
    &task_noop_io,
    &task_math_factorize,
    &task_math_is_prime,
    &task_file_sha256,
    &task_file_read,
    &task_exec,
    &task_http_fetch,
    &task_time_sleep,
    &task_net_resolve,
    NULL,
};
