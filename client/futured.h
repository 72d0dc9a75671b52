/*
 * futured.h: the C interface to futured, the job service of this machine.
 *
 * A task is submitted over a socket and a future comes back as a job id; the job outlives the program that submitted
 * it.
 *
 *	struct fut_client *client = fut_new("my-program");
 *	int64_t id;
 *	struct fut_job *job;
 *
 *	if (client == NULL || fut_connect(client) < 0 ||
 *	    fut_submit(client, "math.factorize", "[600851475143]", NULL, &id) < 0 ||
 *	    fut_await_job(client, id, FUT_FOREVER, &job) < 0)
 *		errx(1, "%s", fut_error_message(client));
 *	puts(fut_job_result(job));
 *	fut_job_free(job);
 *	fut_free(client);
 *
 * Results: 0 or more on success, else a negative enum fut_code; the client then also holds a word, a sentence and data
 * that say more. Outputs (ret_...) come last and are untouched on failure. Values are JSON text in UTF-8, without a
 * line end.
 *
 * Threads: there is no global state. A client, and what it returned, is used by one thread at a time; any number of
 * threads may have clients of their own.
 *
 * The library never aborts, exits, prints, logs, nor changes a signal's disposition or mask; a broken connection raises
 * no SIGPIPE. Calls that wait go on after a signal handler has run. It does not connect again by itself: a client whose
 * connection has ended answers FUT_E_DISCONNECTED until the next fut_connect.
 */
#ifndef FUTURED_H
#define FUTURED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FUT_CHECKED __attribute__((warn_unused_result))
#else
#define FUT_CHECKED
#endif

#define FUT_FOREVER (-1.0) /* for wait_s: no limit */

enum fut_code {
	FUT_OK = 0,

	/*
	 * Found on this side. Of these only FUT_E_DISCONNECTED leaves open whether a request had an effect: ask again
	 * with the same key, and it will not be done twice.
	 */
	FUT_E_MEMORY = -1,
	FUT_E_ARGUMENT = -2,     /* no JSON, not UTF-8, an unknown request, a bad place */
	FUT_E_UNREACHABLE = -3,  /* no daemon answers there */
	FUT_E_DISCONNECTED = -4, /* the connection ended; what was under way may have had its effect */
	FUT_E_BAD_REPLY = -5,    /* what came is not the protocol, or another version of it; the connection is closed */
	FUT_E_TIMED_OUT = -6,    /* nothing came within the time given */

	/* The daemon's answers: the numbers of the protocol. */
	FUT_E_NOT_FOUND = -32001,
	FUT_E_UNAUTHENTICATED = -32002,
	FUT_E_FORBIDDEN = -32003,
	FUT_E_BUSY = -32004, /* a limit is reached; the data has retry_after in seconds */
	FUT_E_TOO_LARGE = -32005,
	FUT_E_NO_SUCH_TASK = -32006,
	FUT_E_KEY_CONFLICT = -32007,
	FUT_E_STORAGE_FULL = -32008,
	FUT_E_OUTCOME_UNKNOWN = -32009, /* it may have had its effect; ask again with its key */
	FUT_E_SHUTTING_DOWN = -32010,
	FUT_E_INVALID_REQUEST = -32600,
	FUT_E_NO_SUCH_METHOD = -32601,
	FUT_E_BAD_PARAMS = -32602, /* the data has param */
	FUT_E_INTERNAL = -32603,
	FUT_E_PARSE = -32700,
};

struct fut_client;
struct fut_params;
struct fut_job;
struct fut_jobs;

/*
 * The connection
 */

/* The version of the library, as "0.1.0". */
const char *fut_library_version(void);

/*
 * A client that is not connected yet, or NULL without memory. name (may be NULL) tells the daemon what program this is.
 */
struct fut_client *fut_new(const char *name);
/* Ends the connection, never a job. NULL is allowed. Requests that were not flushed are not sent. */
void fut_free(struct fut_client *client);

/*
 * Connect and introduce oneself; an older connection of the client is closed first. Each waits until the daemon is
 * ready, which after a crash is when it has recovered.
 *
 * fut_connect: the Unix socket $FUTURED_SOCKET, else $XDG_RUNTIME_DIR/futured.sock if it is there, else
 * $XDG_STATE_HOME/futured/futured.sock (~/.local/state/futured/futured.sock) if a daemon answers there, else
 * /run/futured/futured.sock.
 *
 * fut_connect_tcp: place is "HOST:PORT", "[ADDRESS]:PORT" or ":PORT" (this machine). token NULL means $FUTURED_TOKEN,
 * else the first of the daemon's own token files that can be read: $XDG_STATE_HOME/futured/token
 * (~/.local/state/futured/token), /var/lib/futured/token.
 */
FUT_CHECKED int fut_connect(struct fut_client *client);
FUT_CHECKED int fut_connect_unix(struct fut_client *client, const char *path);
FUT_CHECKED int fut_connect_tcp(struct fut_client *client, const char *place, const char *token);

/*
 * To wait for other descriptors as well: the socket (-1: not connected; the client keeps it), to be polled for input,
 * and for output while fut_wants_write. Then fut_receive_any with 0 until it says FUT_E_TIMED_OUT, for what came may
 * hold several replies.
 */
int fut_fd(const struct fut_client *client);
bool fut_wants_write(const struct fut_client *client);
/* Where the client is or last tried to be connected ("/run/futured/futured.sock", "127.0.0.1:7433"), or "". */
const char *fut_place(const struct fut_client *client);
/* Whether the place is a Unix socket. */
bool fut_is_local(const struct fut_client *client);
/* What the daemon answered at the connect: who one is ("uid:1000"), what one may do ("user"), its version; else "". */
const char *fut_owner(const struct fut_client *client);
const char *fut_role(const struct fut_client *client);
const char *fut_server_version(const struct fut_client *client);

/*
 * Errors: of the last call on the client that failed. The texts live until the next call on it.
 */

int fut_error_code(const struct fut_client *client);
/* One word for programs: "not_found", "busy", "disconnected"... */
const char *fut_error_word(const struct fut_client *client);
/* One sentence for people, without a full stop at its end. */
const char *fut_error_message(const struct fut_client *client);
/* What else the daemon said, a JSON object, or NULL. */
const char *fut_error_data(const struct fut_client *client);

/*
 * Parameters: a JSON object, built member by member.
 *
 * A setter never fails aloud: what went wrong is kept, and the call that takes the parameters returns it. A name that
 * is set again gets the new value. No call keeps its params; they may be used again.
 */

struct fut_params *fut_params_new(void);
void fut_params_free(struct fut_params *params);
void fut_params_string(struct fut_params *params, const char *name, const char *text);
void fut_params_integer(struct fut_params *params, const char *name, int64_t value);
void fut_params_number(struct fut_params *params, const char *name, double value);
void fut_params_bool(struct fut_params *params, const char *name, bool value);
/* json is any JSON text; len bytes of it, or SIZE_MAX for all up to its NUL. */
void fut_params_json(struct fut_params *params, const char *name, const char *json, size_t len);

/*
 * Any method of the protocol
 */

/* Sends, waits and returns the result as JSON text, which the caller frees with free(). params may be NULL. */
FUT_CHECKED int fut_call(struct fut_client *client, const char *method, const struct fut_params *params,
    char **ret_result);

/*
 * The same in two steps, for many requests at a time. The daemon takes them in the order sent; replies come in any
 * order and are kept until they are fetched. A request is written at the latest when the next wait begins, or by
 * fut_flush.
 */
FUT_CHECKED int fut_send(struct fut_client *client, const char *method, const struct fut_params *params,
    int64_t *ret_request);
FUT_CHECKED int fut_flush(struct fut_client *client);
/*
 * The reply to one request, within timeout_ms (-1: no limit; 0: only what is there). FUT_E_TIMED_OUT: not yet, ask
 * again. Every other result ends the request. *ret_result as in fut_call; ret_result may be NULL.
 */
FUT_CHECKED int fut_receive(struct fut_client *client, int64_t request, int timeout_ms, char **ret_result);
/*
 * The reply to whichever request was answered first. *ret_request is set also where the answer is an error, and is 0
 * where the failure is not that of a request. FUT_E_ARGUMENT when none is under way.
 */
FUT_CHECKED int fut_receive_any(struct fut_client *client, int timeout_ms, int64_t *ret_request, char **ret_result);
/* The caller no longer wants this reply. */
void fut_drop(struct fut_client *client, int64_t request);

/*
 * Jobs
 */

enum fut_state {
	FUT_PENDING,
	FUT_RUNNING,
	FUT_SUCCEEDED,
	FUT_FAILED,
	FUT_CANCELLED,
};

/* Ids from first to last, both included. */
struct fut_range {
	int64_t first;
	int64_t last;
};

enum fut_when {
	FUT_ALL,
	FUT_ANY,
	FUT_FIRST_FAILURE,
};

enum fut_stream {
	FUT_STDOUT,
	FUT_STDERR,
};

/*
 * Submits one job. args: a JSON array (by position) or object (by name), NULL for none. options (may be NULL) has the
 * protocol's other parameters of submit: queue, priority, delay, timeout, max_attempts, backoff, key, label...
 * On success the job is durable.
 */
FUT_CHECKED int fut_submit(struct fut_client *client, const char *task, const char *args,
    const struct fut_params *options, int64_t *ret_id);
/*
 * Submits one job for each element of the JSON array items; their ids are *ret_first and the *ret_count - 1 after it.
 */
FUT_CHECKED int fut_map(struct fut_client *client, const char *task, const char *items,
    const struct fut_params *options, int64_t *ret_first, int64_t *ret_count);

/* A job as it stands. The caller frees it. */
FUT_CHECKED int fut_status(struct fut_client *client, int64_t id, struct fut_job **ret_job);
/* Waits for the end of a job. When wait_s is over: FUT_E_TIMED_OUT. */
FUT_CHECKED int fut_await_job(struct fut_client *client, int64_t id, double wait_s, struct fut_job **ret_job);
/*
 * Waits for many. *ret_jobs: those that ended, in the order they did; NULL where only the end matters.
 * *ret_timed_out (may be NULL): whether wait_s was over first, which is no failure of the call.
 */
FUT_CHECKED int fut_await(struct fut_client *client, const struct fut_range *ranges, size_t n_ranges,
    enum fut_when when, double wait_s, bool *ret_timed_out, struct fut_jobs **ret_jobs);
/*
 * Asks for a job's end: its processes get SIGTERM and after grace_s SIGKILL. *ret_cancelled (may be NULL): true, it
 * will end cancelled (await it to know when); false, it had ended. reason may be NULL.
 */
FUT_CHECKED int fut_cancel(struct fut_client *client, int64_t id, double grace_s, const char *reason,
    bool *ret_cancelled);
/*
 * One page of jobs, without their args and results. params (may be NULL) has the protocol's parameters of list: filter,
 * limit, after, order, fields. *ret_next is what to give as after for the next page, 0 at the end.
 */
FUT_CHECKED int fut_list(struct fut_client *client, const struct fut_params *params, struct fut_jobs **ret_jobs,
    int64_t *ret_next);

/* A piece of what a job's command wrote. */
struct fut_chunk {
	char *bytes; /* a NUL follows them; freed with free() */
	size_t len;
	int64_t next; /* the offset behind this piece */
	bool eof;     /* nothing will follow */
};

/*
 * Output from offset on, at most limit bytes (0: as the daemon likes). wait_s 0: what is there; else it waits up to so
 * long for a byte or the end.
 */
FUT_CHECKED int fut_output(struct fut_client *client, int64_t id, enum fut_stream stream, int64_t offset, int64_t limit,
    double wait_s, struct fut_chunk *ret_chunk);
/* Reads a result of the method output that came by fut_receive. */
FUT_CHECKED int fut_chunk_read(struct fut_client *client, const char *result, struct fut_chunk *ret_chunk);

/* Reads a job object (or an array of them) from a result of any method. The text is copied. */
FUT_CHECKED int fut_job_read(struct fut_client *client, const char *json, struct fut_job **ret_job);
FUT_CHECKED int fut_jobs_read(struct fut_client *client, const char *json, struct fut_jobs **ret_jobs);
void fut_job_free(struct fut_job *job);

void fut_jobs_free(struct fut_jobs *jobs);
size_t fut_jobs_count(const struct fut_jobs *jobs);
/* Lives as long as jobs. */
const struct fut_job *fut_jobs_at(const struct fut_jobs *jobs, size_t index);

int64_t fut_job_id(const struct fut_job *job);
enum fut_state fut_job_state(const struct fut_job *job);
/* "pending", "running"... Static. */
const char *fut_state_name(enum fut_state state);
/* Whether it has ended, and so will never change. */
bool fut_job_ended(const struct fut_job *job);
/* The texts below live as long as the job; NULL where it has none. */
const char *fut_job_result(const struct fut_job *job);        /* JSON */
const char *fut_job_error_type(const struct fut_job *job);    /* "ExitStatus", "TimedOut"... */
const char *fut_job_error_message(const struct fut_job *job); /* text */
const char *fut_job_json(const struct fut_job *job);          /* the whole object, JSON */

#ifdef __cplusplus
}
#endif

#endif
