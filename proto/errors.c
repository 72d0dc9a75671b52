/*
 * errors: see errors.h. Two tables: adding an error is adding a row (and its number or name to the enum).
 */
#include "errors.h"

#include <stddef.h>
#include <string.h>

static const struct {
	int code;
	const char *word;
	const char *message;
} errors[] = {
    {RPC_PARSE_ERROR, "parse_error", "the line is not JSON"},
    {RPC_INVALID_REQUEST, "invalid_request", "not a JSON-RPC 2.0 request"},
    {RPC_METHOD_NOT_FOUND, "method_not_found", "no such method"},
    {RPC_BAD_PARAMS, "bad_params", "a parameter is wrong"},
    {RPC_INTERNAL, "internal", "internal error"},
    {RPC_NOT_FOUND, "not_found", "no such job"},
    {RPC_UNAUTHENTICATED, "unauthenticated", "a valid token is needed"},
    {RPC_FORBIDDEN, "forbidden", "your role does not allow this"},
    {RPC_BUSY, "busy", "a limit is reached, try again later"},
    {RPC_TOO_LARGE, "too_large", "too large"},
    {RPC_NO_SUCH_TASK, "no_such_task", "no such task"},
    {RPC_KEY_CONFLICT, "key_conflict", "the key was used with other parameters"},
    {RPC_STORAGE_FULL, "storage_full", "the disk is full, nothing can be accepted"},
    {RPC_OUTCOME_UNKNOWN, "outcome_unknown", "it is not known whether this took effect; ask again with the same key"},
    {RPC_SHUTTING_DOWN, "shutting_down", "the server is shutting down"},
};

static const char *const job_errors[JOB_ERROR_COUNT] = {
    [JOB_ERROR_NONE] = "",
    [JOB_ERROR_TASK_ERROR] = "TaskError",
    [JOB_ERROR_BAD_ARGUMENTS] = "BadArguments",
    [JOB_ERROR_EXIT_STATUS] = "ExitStatus",
    [JOB_ERROR_SIGNAL] = "Signal",
    [JOB_ERROR_TIMED_OUT] = "TimedOut",
    [JOB_ERROR_OUT_OF_MEMORY] = "OutOfMemory",
    [JOB_ERROR_RESULT_TOO_LARGE] = "ResultTooLarge",
    [JOB_ERROR_WORKER_DIED] = "WorkerDied",
    [JOB_ERROR_LOST] = "Lost",
    [JOB_ERROR_EXPIRED] = "Expired",
    [JOB_ERROR_DEPENDENCY_FAILED] = "DependencyFailed",
    [JOB_ERROR_CANCELLED] = "Cancelled",
};

/* The row of code; a number that is not in the table is an internal error. */
static size_t
errors_find(int code)
{
	size_t internal = 0;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].code == code)
			return i;
		if (errors[i].code == RPC_INTERNAL)
			internal = i;
	}
	return internal;
}

const char *
rpc_error_word(int code)
{
	return errors[errors_find(code)].word;
}

const char *
rpc_error_message(int code)
{
	return errors[errors_find(code)].message;
}

const char *
job_error_name(enum job_error error)
{
	return job_errors[error];
}

enum job_error
job_error_parse(const char *name)
{
	for (unsigned i = JOB_ERROR_NONE + 1; i < JOB_ERROR_COUNT; i++) {
		if (strcmp(name, job_errors[i]) == 0)
			return (enum job_error)i;
	}
	return JOB_ERROR_NONE;
}
