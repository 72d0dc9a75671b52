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
 * The same by a future, which also fits into a loop of events:
 *
 *	struct fut_future *future;
 *	const char *result;
 *
 *	if (fut_future_submit(client, "math.factorize", "[600851475143]", NULL, &future) < 0 ||
 *	    fut_future_result(future, FUT_FOREVER, &result) < 0)
 *		errx(1, "%s", fut_error_message(client));
 *	puts(result);
 *	fut_future_free(future);
 *
 * Results: 0 or more on success, else a negative enum fut_code; the client then also holds a word, a sentence and data
 * that say more. Outputs (ret_...) come last and are untouched on failure. Values are JSON text in UTF-8, without a
 * line end.
 *
 * Waiting: each call says whether it waits. Those that only send (fut_send, fut_ask, fut_watch, fut_future_...) write
 * into a buffer of the client's; only while 1 MiB of it is unsent they wait until there is room, or with
 * fut_set_nonblocking fail with FUT_E_WOULD_BLOCK, and then nothing was sent.
 *
 * Callbacks are called by fut_process alone, one after the other, so never from within a call that sends or waits. A
 * callback may make any call on any client, waiting ones too, but not fut_process on its own; it may free its future,
 * its watch, and with fut_free its client. fut_connect calls what was under way with FUT_E_DISCONNECTED later; fut_free
 * calls none.
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
	FUT_E_ARGUMENT = -2,	 /* no JSON, not UTF-8, an unknown request, a bad place */
	FUT_E_UNREACHABLE = -3,	 /* no daemon answers there */
	FUT_E_DISCONNECTED = -4, /* the connection ended; what was under way may have had its effect */
	FUT_E_BAD_REPLY = -5,	 /* what came is not the protocol, or another version of it; the connection is closed */
	FUT_E_TIMED_OUT = -6,	 /* nothing came within the time given */
	FUT_E_WOULD_BLOCK = -7,	 /* too much is unsent, and the client may not wait; nothing was sent */
	FUT_E_JOB_FAILED = -8,	 /* by fut_future_result: the word is the type of the job's error, the data the error */
	FUT_E_JOB_CANCELLED = -9,

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
/*
 * Ends the connection, never a job. NULL is allowed. Requests that were not flushed are not sent. Futures and watches
 * of the client stay until they are freed, but of what they would still have to ask for they only say
 * FUT_E_DISCONNECTED.
 */
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
 * (~/.local/state/futured/token), /var/lib/futured/token; such a one goes to loopback or over TLS alone, else
 * FUT_E_UNAUTHENTICATED.
 */
FUT_CHECKED int fut_connect(struct fut_client *client);
FUT_CHECKED int fut_connect_unix(struct fut_client *client, const char *path);
FUT_CHECKED int fut_connect_tcp(struct fut_client *client, const char *place, const char *token);

/* What TLS works with, as paths of PEM files, read at the connect. */
struct fut_tls {
	const char *ca;          /* who may have signed the daemon's certificate; NULL: whom this machine trusts */
	const char *certificate; /* one's own, where the daemon asks for one; NULL: none */
	const char *key;         /* with it; without a passphrase */
};
/* As fut_connect_tcp, encrypted. The daemon's certificate must be for the host of place, else FUT_E_UNAUTHENTICATED. */
FUT_CHECKED int fut_connect_tls(struct fut_client *client, const char *place, const char *token,
				const struct fut_tls *tls);

/*
 * In a loop of events
 *
 * fut_poll_fd gives one descriptor to poll for input, by poll, epoll (level-triggered), libevent or any other loop.
 * While it is readable the client has something to do: call fut_process. It tells of all: what came, room to write
 * again, callbacks that are due because of some other call, and the end of the connection. It is the client's, stays
 * the same over a new fut_connect, and ends with fut_free. Negative where no descriptor is left.
 */
FUT_CHECKED int fut_poll_fd(struct fut_client *client);
/*
 * Writes and reads what it can, then calls the callbacks that are due: of replies (fut_ask), watches, and futures that
 * are done. timeout_ms 0: never waits; else until a callback was called or that time is over (-1: no limit). Returns
 * how many were called. Negative once the connection has ended, after the callbacks that this made due; from then on
 * at each call, until fut_connect. A single call reads and calls only so much, and leaves the rest for the next.
 */
FUT_CHECKED int fut_process(struct fut_client *client, int timeout_ms);
/*
 * Whether calls that only send may wait for room (as at first), or fail with FUT_E_WOULD_BLOCK while 1 MiB is unsent.
 * A single request is never divided, so at most that and one request are held. Try again after fut_process when
 * fut_wants_write has become false.
 */
void fut_set_nonblocking(struct fut_client *client, bool on);
/*
 * The socket itself (-1: not connected; the client keeps it), for programs that call fut_receive_any with 0 until it
 * says FUT_E_TIMED_OUT, whenever the socket is readable, and writable while fut_wants_write.
 */
int fut_fd(const struct fut_client *client);
/* Whether something is still to be written. */
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

/* Ids from first to last, both included. */
struct fut_range {
	int64_t first;
	int64_t last;
};
/* Sets "ids", the selection of many jobs, for fut_watch and any method that takes a selection. */
void fut_params_ranges(struct fut_params *params, const struct fut_range *ranges, size_t n_ranges);

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
/*
 * The same with a callback in place of fut_receive: fut_process calls it once. code is 0 and result the JSON text, or
 * code is negative, result NULL, and fut_error_message(client) tells more; result lives until the callback returns.
 * *ret_request (ret_request may be NULL) is for fut_drop.
 */
typedef void (*fut_reply_cb)(struct fut_client *client, int code, const char *result, void *arg);
FUT_CHECKED int fut_ask(struct fut_client *client, const char *method, const struct fut_params *params,
			fut_reply_cb callback, void *arg, int64_t *ret_request);
/* The caller no longer wants this reply; a callback is not called any more. */
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

/*
 * Submits one job and waits for its end, in one round trip. When wait_s is over *ret_job is the job as it then stands
 * (fut_job_ended tells).
 */
FUT_CHECKED int fut_run(struct fut_client *client, const char *task, const char *args, const struct fut_params *options,
			double wait_s, struct fut_job **ret_job);
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
/* Submits a failed or cancelled job anew: *ret_new is the new job's id, 0 where the job had succeeded or not ended. */
FUT_CHECKED int fut_retry(struct fut_client *client, int64_t id, int64_t *ret_new);
/* Forgets an ended job. *ret_forgotten (may be NULL): false, it has not ended. */
FUT_CHECKED int fut_forget(struct fut_client *client, int64_t id, bool *ret_forgotten);
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
const char *fut_job_result(const struct fut_job *job);	      /* JSON */
const char *fut_job_error_type(const struct fut_job *job);    /* "ExitStatus", "TimedOut"... */
const char *fut_job_error_message(const struct fut_job *job); /* text */
const char *fut_job_error(const struct fut_job *job);	      /* the whole error, a JSON object */
const char *fut_job_progress(const struct fut_job *job);      /* what the task last said of it, a JSON object */
const char *fut_job_json(const struct fut_job *job);	      /* the whole object, JSON */

/*
 * The service
 *
 * All wait for their answer. What is told in JSON is so by the protocol, and the caller frees it with free().
 */

#define FUT_NO_LIMIT (-1)

FUT_CHECKED int fut_ping(struct fut_client *client);
/* From now on nothing of the queue is started; or is again. */
FUT_CHECKED int fut_pause(struct fut_client *client, const char *queue);
FUT_CHECKED int fut_resume(struct fut_client *client, const char *queue);
/* How many jobs of the queue may run at once; FUT_NO_LIMIT. */
FUT_CHECKED int fut_set_queue(struct fut_client *client, const char *queue, int64_t limit);
FUT_CHECKED int fut_queues(struct fut_client *client, char **ret_queues);
FUT_CHECKED int fut_tasks(struct fut_client *client, char **ret_tasks);
FUT_CHECKED int fut_stats(struct fut_client *client, char **ret_stats);
/* The daemon accepts nothing more, waits for what runs up to wait_s (below 0: as it is configured), and ends. */
FUT_CHECKED int fut_drain(struct fut_client *client, double wait_s);

/*
 * Watching many jobs: their events as they happen, in the manner of as_completed and imap
 */

struct fut_watch;

enum fut_event {
	FUT_EVENT_FINISHED = 1, /* once a job; those that had ended come first */
	FUT_EVENT_RUNNING,	/* these two where "events" of the params asks for them */
	FUT_EVENT_PROGRESS,
	FUT_EVENT_END, /* nothing follows; fut_watch_code tells whether all was seen. No job comes with it */
};

/* job lives until the callback returns. */
typedef void (*fut_watch_cb)(struct fut_watch *watch, enum fut_event event, const struct fut_job *job, void *arg);
/*
 * Begins to watch; only sends. params has the protocol's parameters of watch: a selection (fut_params_ranges, "id",
 * "filter"), order ("finished" or "id"), events, fields. With a callback, fut_process calls it for each event, and last
 * with FUT_EVENT_END; without, fut_watch_next has the events.
 *
 * The daemon sends only as fast as the client reads. But what comes while the client waits for something else is kept
 * in memory until it is fetched: to watch very many jobs take a client for that alone.
 */
FUT_CHECKED int fut_watch(struct fut_client *client, const struct fut_params *params, fut_watch_cb callback, void *arg,
			  struct fut_watch **ret_watch);
/*
 * The next event: 1, with a job that the caller frees; 0 at the end; negative where the watch failed, or after wait_s
 * without an event (FUT_E_TIMED_OUT).
 */
FUT_CHECKED int fut_watch_next(struct fut_watch *watch, double wait_s, enum fut_event *ret_event,
			       struct fut_job **ret_job);
/* How many jobs were selected; -1 until the daemon has told. */
int64_t fut_watch_count(const struct fut_watch *watch);
/* 0, or the code of what ended the watch before its time. */
int fut_watch_code(const struct fut_watch *watch);
/* Ends the watch ("unwatch"), never a job; its callback is not called any more. NULL is allowed. */
void fut_watch_free(struct fut_watch *watch);

/*
 * Futures, in the manner of concurrent.futures
 *
 * A future follows one job. It is done once the job has ended, or once no end will be seen here: the submission was
 * refused, or the connection has ended (the job goes on). What it will never see is its code and sentence. Futures
 * share what goes over the wire: any number may be under way.
 */

struct fut_future;

/* As fut_submit, but only sends. The id comes with the reply. */
FUT_CHECKED int fut_future_submit(struct fut_client *client, const char *task, const char *args,
				  const struct fut_params *options, struct fut_future **ret_future);
/* The future of a job that is there; only sends. An unknown id: the future is done with FUT_E_NOT_FOUND. */
FUT_CHECKED int fut_future_open(struct fut_client *client, int64_t id, struct fut_future **ret_future);
/* Ends the interest in a job, never the job; callbacks are not called any more. NULL is allowed. */
void fut_future_free(struct fut_future *future);

/* These three never wait; they take in what has come, so that they may be asked again and again. */
bool fut_future_done(struct fut_future *future);
bool fut_future_running(struct fut_future *future);
bool fut_future_cancelled(struct fut_future *future); /* done, the job cancelled */
/* 0 while it is not known: before the reply to the submission was read. */
int64_t fut_future_id(const struct fut_future *future);
/* Waits until the daemon has accepted the job, which is durable then. */
FUT_CHECKED int fut_future_accepted(struct fut_future *future, double wait_s, int64_t *ret_id);
/* Waits until it is done: 0, or FUT_E_TIMED_OUT after wait_s. */
FUT_CHECKED int fut_future_wait(struct fut_future *future, double wait_s);
/*
 * Waits until it is done. 0 and the result of a job that succeeded, JSON that lives as long as the future;
 * FUT_E_JOB_FAILED, FUT_E_JOB_CANCELLED, why no end was seen, or FUT_E_TIMED_OUT.
 */
FUT_CHECKED int fut_future_result(struct fut_future *future, double wait_s, const char **ret_result);
/* These two do not wait. 0 while it is not done and when the job succeeded, else the code of fut_future_result. */
int fut_future_code(const struct fut_future *future);
/* A sentence for it, or NULL. Lives as long as the future. */
const char *fut_future_error(const struct fut_future *future);
/* The job as it ended, without its args, or NULL. Lives as long as the future. */
const struct fut_job *fut_future_job(const struct fut_future *future);
/*
 * Asks for the job's end, as fut_cancel, but only sends; where the id is not known yet, once it is. The future is done
 * when the job has ended, which may be otherwise if it was about to.
 */
FUT_CHECKED int fut_future_cancel(struct fut_future *future, double grace_s, const char *reason);
/*
 * Calls back once it is done, also where it is already, by the next fut_process. Any number of them, called in the
 * order in which they were added.
 */
typedef void (*fut_future_cb)(struct fut_future *future, void *arg);
FUT_CHECKED int fut_future_add_done_callback(struct fut_future *future, fut_future_cb callback, void *arg);
/*
 * Waits for many futures of one client: for all, for any, or for the first that is done and did not succeed (or all).
 * FUT_E_TIMED_OUT after wait_s. fut_future_done tells which are. None at all: 0 at once.
 */
FUT_CHECKED int fut_futures_wait(struct fut_future *const *futures, size_t n_futures, enum fut_when when,
				 double wait_s);

#ifdef __cplusplus
}
#endif

#endif
