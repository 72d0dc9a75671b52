/*
 * The errors of the contract: number, word and default message of each, and the types an ended job's error may have.
 * One table, used by the daemon to answer and by the client to understand. Pure.
 */
#ifndef PROTO_ERRORS_H
#define PROTO_ERRORS_H

enum rpc_error {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_BAD_PARAMS = -32602,
	RPC_INTERNAL = -32603,
	RPC_NOT_FOUND = -32001,
	RPC_UNAUTHENTICATED = -32002,
	RPC_FORBIDDEN = -32003,
	RPC_BUSY = -32004,
	RPC_TOO_LARGE = -32005,
	RPC_NO_SUCH_TASK = -32006,
	RPC_KEY_CONFLICT = -32007,
	RPC_STORAGE_FULL = -32008,
	RPC_OUTCOME_UNKNOWN = -32009,
	RPC_SHUTTING_DOWN = -32010,
};

/* The word in error.data.code ("not_found", "bad_params", ...); "internal" for any other number. Static. */
const char *rpc_error_word(int code);
/* A sentence for users where the caller has none better. Static. */
const char *rpc_error_message(int code);

/* error.type of a failed or cancelled job. */
enum job_error {
	JOB_ERROR_NONE,
	JOB_ERROR_TASK_ERROR,
	JOB_ERROR_BAD_ARGUMENTS,
	JOB_ERROR_EXIT_STATUS,
	JOB_ERROR_SIGNAL,
	JOB_ERROR_TIMED_OUT,
	JOB_ERROR_OUT_OF_MEMORY,
	JOB_ERROR_RESULT_TOO_LARGE,
	JOB_ERROR_WORKER_DIED,
	JOB_ERROR_LOST,
	JOB_ERROR_EXPIRED,
	JOB_ERROR_DEPENDENCY_FAILED,
	JOB_ERROR_CANCELLED,
	JOB_ERROR_COUNT,
};

/* "TaskError", "BadArguments", ...; "" for JOB_ERROR_NONE. Static. */
const char *job_error_name(enum job_error error);
/* The reverse; JOB_ERROR_NONE for a name that is none. */
enum job_error job_error_parse(const char *name);

#endif
