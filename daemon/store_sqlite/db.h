/*
 * The private header of the store behind store.h that keeps all in one SQLite database. Nobody outside this folder
 * includes it, and nowhere else stands sqlite3.h.
 *
 * A file each: schema (the tables, making and opening the file), statements (all SQL, prepared once), names (texts as
 * integers), feed (rows of ours as a table for INSERT … SELECT), put, ready, take, change, cancel, expire, gate, fan, fill, webhook,
 * settings (the members of a batch), commit (the transaction around them), sound (whether a row can be what was written), checkpoint (when the log goes into the database), wal (whether it is whole), scan and survey
 * (reads), recover (what an earlier daemon left), thread.
 *
 * struct sq_db is used by one thread at a time: by the one that opens, then by the journal thread, then by the one that
 * closes. Functions here return 0, or -1 with db->failure telling what SQLite said; nothing is logged.
 */
#ifndef DAEMON_STORE_SQLITE_DB_H
#define DAEMON_STORE_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/store.h"

#define SCHEMA_PAGE_SIZE 4096 /* bytes */

struct sq_db;

/* ---- failure ---------------------------------------------------------------------------------------------- */

struct sq_failure {
	int code; /* SQLite's primary result code, SQLITE_OK when none */
	int extended;
	int system; /* errno, where SQLite tells it */
	char text[200];
};

/* Notes what SQLite says now (of rc) and returns -1. */
int sq_fail(struct sq_db *db, int rc) __attribute__((cold));
/* There is no room, on the disk or by a limit of the kernel's: what was to be written was refused. */
bool sq_failure_is_full(const struct sq_failure *failure);
/* Notes that the tables contradict each other: as SQLITE_CORRUPT. Returns -1. */
int sq_fail_corrupt(struct sq_db *db, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/* ---- statements ------------------------------------------------------------------------------------------- */

enum sq_statement {
	SQ_BEGIN,
	SQ_COMMIT,
	SQ_ROLLBACK,
	SQ_META_SAVE,
	SQ_NAME_ADD,
	SQ_LINE_ADD,
	SQ_JOB_PUT_PLAIN,
	SQ_JOB_PUT,
	SQ_READY_PUT,
	SQ_DELAYED_PUT,
	SQ_RUNNING_PUT,
	SQ_DONE_PUT,
	SQ_JOB_GET,
	SQ_JOB_DROP,
	SQ_JOB_DROP_RANGE,
	SQ_JOB_ANY,
	SQ_READY_ADD,
	SQ_READY_AT,
	SQ_READY_DROP,
	SQ_READY_SHORTEN,
	SQ_READY_GROUP,
	SQ_READY_LINES,
	SQ_READY_FILL,
	SQ_DELAYED_ADD,
	SQ_DELAYED_GET,
	SQ_DELAYED_DROP,
	SQ_DELAYED_NEXT,
	SQ_DELAYED_TIMELY,
	SQ_UNREADY_ALL, /* delayed or waiting */
	SQ_WAITING_PUT,
	SQ_WAITING_HAS,
	SQ_WAITING_DROP,
	SQ_WAITING_FEW,
	SQ_WAITING_OPEN,
	SQ_WAITING_FAIL,
	SQ_GATE_ADD,
	SQ_GATE_AT,
	SQ_GATE_GET,
	SQ_GATE_MEET,
	SQ_GATE_DROP,
	SQ_GATE_AFTER,
	SQ_GATE_LOOK,
	SQ_PARENT_GET,
	SQ_EDGE_ADD,
	SQ_EDGE_DROP,
	SQ_EDGE_NEXT,
	SQ_EDGE_IN,
	SQ_TODO_ADD,
	SQ_TODO_ENDED,
	SQ_TODO_NEXT,
	SQ_TODO_MOVE,
	SQ_TODO_DROP,
	SQ_EXPIRING_PUT,
	SQ_EXPIRING_ADD,
	SQ_EXPIRING_DROP,
	SQ_EXPIRING_DUE,
	SQ_EXPIRING_NEXT,
	SQ_RUNNING_DROP,
	SQ_RUNNING_TAKE,
	SQ_RUNNING_GET,
	SQ_RUNNING_CANCEL,
	SQ_RUNNING_ALL,
	SQ_RUNNING_CLEAR,
	SQ_DONE_HAS,
	SQ_DONE_DROP,
	SQ_DONE_DROP_RANGE,
	SQ_DONE_COUNT_RANGE,
	SQ_DONE_COUNT,
	SQ_TALLY_JOBS,
	SQ_TALLY_DONE,
	SQ_DONE_PUT_OFF,
	SQ_DONE_EXPIRED,
	SQ_DONE_USUAL,
	SQ_DONE_NEXT,
	SQ_KEY_PUT,
	SQ_KEY_GET,
	SQ_KEY_REPLACE,
	SQ_KEY_SWEEP,
	SQ_KEY_DROP,
	SQ_WEBHOOK_ADD,
	SQ_WEBHOOK_PUT_OFF,
	SQ_WEBHOOK_DROP,
	SQ_WEBHOOK_DROP_RANGE,
	SQ_WEBHOOK_DUE,
	SQ_WEBHOOK_NEXT,
	SQ_QUEUE_SET,
	SQ_QUEUE_TIDY,
	SQ_QUEUE_ALL,
	SQ_SCAN, /* SQ_SCAN_KINDS of them: a driving table, rising or falling */
	SQ_SCAN_LAST = SQ_SCAN + 6,
	SQ_STATEMENTS,
};

/* Prepares all; a table or column that is missing shows here. */
int sq_statements_prepare(struct sq_db *db);
void sq_statements_finalize(struct sq_db *db);

/* Runs a statement that brings no rows. */
int sq_run(struct sq_db *db, enum sq_statement which) __attribute__((warn_unused_result));
/* Runs a DELETE or UPDATE: how many rows it found, or -1. */
int sq_drop(struct sq_db *db, enum sq_statement which) __attribute__((warn_unused_result));
/* Next row: 1, or 0 at the end, or -1; after 0 and -1 the statement is reset, after 1 the caller goes on or calls
 * sq_reset(). */
int sq_row(struct sq_db *db, enum sq_statement which) __attribute__((warn_unused_result));
void sq_reset(struct sq_db *db, enum sq_statement which);

/* Binding cannot fail: the indices are ours, and the memory is not copied (it must live until the statement is reset).
 */
void sq_bind(struct sq_db *db, enum sq_statement which, int index, int64_t value);
void sq_bind_span(struct sq_db *db, enum sq_statement which, int index, struct span text);
void sq_bind_text(struct sq_db *db, enum sq_statement which, int index, const char *text);
/* ?1, ?2, ?3: where a job stands in ready. */
void sq_bind_ready(struct sq_db *db, enum sq_statement which, int64_t line, int priority, int64_t id);

/* ---- feed ------------------------------------------------------------------------------------------------- */

/* Rows of ours, told column by column. next() goes to the first, later the next row: false when there is none. */
struct sq_feed {
	bool (*next)(struct sq_feed *feed);
	void (*column)(const struct sq_feed *feed, sqlite3_context *context, int column);
};

int sq_feed_register(struct sq_db *db);
/* Runs one of the statements that read FROM feed over these rows. */
int sq_feed_run(struct sq_db *db, enum sq_statement which, struct sq_feed *feed) __attribute__((warn_unused_result));
/* For column(): a text, NULL when it is NULL or SPAN_NONE; and a time or duration, NULL when it is SPEC_NONE. */
void sq_feed_span(sqlite3_context *context, struct span span);
void sq_feed_text(sqlite3_context *context, const char *text);
void sq_feed_time(sqlite3_context *context, int64_t ms);

/* ---- names ------------------------------------------------------------------------------------------------ */

struct sq_line {
	int64_t queue; /* names; 0: there is no such line */
	int64_t owner;
	uint8_t pool;
};

/* All names and lines, as the database has them (and what the open transaction has added). Index is the id; 0 is
 * nobody's. */
struct sq_names {
	char **texts;
	size_t n_texts, texts_capacity;
	struct sq_line *lines;
	size_t n_lines, lines_capacity;
	uint32_t *text_hash,
	    *line_hash; /* ids, open addressing; a power of two of places, at most half of them taken */
	size_t text_places, line_places;
	size_t text_count, line_count;
	bool added;		      /* the open transaction has added some */
	int64_t last_task, last_line; /* of the spec that was looked up last */
};

int sq_names_load(struct sq_db *db);
void sq_names_done(struct sq_names *names);
/* The id of a text or line; a new one is added to the database. */
int sq_names_text(struct sq_db *db, const char *text, int64_t *ret_id);
int sq_names_line(struct sq_db *db, unsigned pool, const char *queue, const char *owner, int64_t *ret_id);
int sq_names_spec(struct sq_db *db, const struct spec *spec, int64_t *ret_task, int64_t *ret_line);
/* Lookups that add nothing: 0 when there is none. */
int64_t sq_names_find_text(const struct sq_names *names, const char *text);
int64_t sq_names_find_line(const struct sq_names *names, unsigned pool, const char *queue, const char *owner);
/* What an id of a row means; NULL when it means nothing: the database is corrupt. */
const char *sq_names_get_text(const struct sq_names *names, int64_t id);
const struct sq_line *sq_names_get_line(const struct sq_names *names, int64_t id);

/* ---- the database ----------------------------------------------------------------------------------------- */

/* An end on its way into `done`. */
struct sq_end {
	int64_t id;
	int64_t seq;
	bool webhook; /* the job has one */
	const struct store_end *end;
};

/* What a put became on its way: its names, and whether it is refused. */
struct sq_put {
	int64_t task, line;
	bool plain; /* all the rare columns are NULL */
};

/* The row `meta`, and what of it must stay durable. */
struct sq_meta {
	int64_t high_water; /* ids up to here were handed out … */
	int64_t incarnation;
	int64_t seq_reserved; /* … and places in the order of finishing */
};

struct sq_db {
	sqlite3 *sqlite;
	sqlite3_stmt *statements[SQ_STATEMENTS];
	struct sq_failure failure;
	struct sq_feed *feed;
	struct sq_scan *scan;
	struct sq_names names;
	char *path;
	char store_id[40];
	int64_t retention_ms;
	char *cancelled_error;
	char *expired_error;
	char *(*dependency_error)(int64_t parent, enum job_state state);

	struct sq_meta meta;  /* as the open transaction leaves it */
	struct sq_meta saved; /* as it is durable */
	bool meta_owed;	      /* the open transaction must write meta */
	bool saved_behind;    /* the row is behind saved: there was no room for it yet */
	bool committing;      /* COMMIT was begun */
	int64_t top;	      /* the highest id that has a row in job, or saved.high_water */
	int64_t seq;	      /* the last that was given */

	bool has_edges;	    /* there may be edges: ends are compared with them */
	bool edges_dropped; /* the open transaction has: perhaps none is left */
	bool has_todo;	    /* there may be something for sq_fan() to do */

	bool due_changed; /* next_due_ms is out of date */
	int64_t next_due_ms;
	int64_t usual_seq;   /* among the done up to here there is none that is kept as long as usual */
	int64_t done_rows;   /* -1: not counted yet */
	int64_t done_change; /* by the open transaction */
	int64_t webhooks;        /* rows of webhook as they are durable … */
	int64_t webhooks_change; /* … and by the open transaction */
	size_t new_webhooks;     /* that the open transaction has added */

	struct sq_takes *takes;
	struct sq_end *ends; /* scratch, kept for its memory */
	size_t n_ends, ends_capacity;
	struct sq_put *puts;
	size_t puts_capacity;
	bool *flags;
	size_t flags_capacity;

	int64_t sweep_owner; /* where the search for keys that are over goes on */
	char *sweep_key;

	int log_frames;	  /* pages in the write-ahead log … */
	int log_commits;  /* … and commits since it was last begun */
	int log_failed;	  /* pages in it when it could not be emptied */
	bool trusted;	  /* it is sound, and ours: a close puts the log into it */
	bool checked;	  /* it is so small that all of it was looked at when it was opened */
	bool lazy_sync;	  /* commits do not wait for the disk */
	bool broken;	  /* a write failed, nobody knows how much of it was done: no more commits */
	char reason[256]; /* why */
};

/*
 * schema: makes the file if there is none; checks it before anything is written. On failure *ret_reason is malloc'ed.
 * Until sq_schema_trust() a close leaves the file and its log as they are.
 */
enum store_open_result sq_schema_open(struct sq_db *db, const struct store_open_config *config, char **ret_reason);
void sq_schema_trust(struct sq_db *db, const char *synchronous);
/* What db->failure means for one who opens; *ret_reason is malloc'ed: "DOING: …". */
enum store_open_result sq_schema_explain(struct sq_db *db, const char *doing, char **ret_reason);
void sq_schema_close(struct sq_db *db);
/* Four bytes of the file format. */
uint32_t sq_big_endian(const unsigned char *bytes);
/* The folder in which path lies, so that what was made, renamed or removed there stays so. 0, or -1 with errno. */
int sq_sync_folder(const char *path);

/*
 * wal: of the log of the database at path, before SQLite opens it: whether it is gone, another database's, or damaged in its midst; synchronous
 * is believed where no guard is. Or, where the database is not, whether something of it is left. On failure *ret_reason is malloc'ed.
 */
enum store_open_result sq_wal_look(const char *path, const char *synchronous, char **ret_reason);
enum store_open_result sq_wal_look_alone(const char *path, char **ret_reason);
/* From now on it has to be there, if something is in it: commits go there as config's synchronous says. What cannot be noted is a word in the daemon's
 * log. incarnation: what stands in the database itself, 0 where nobody knows. */
void sq_wal_guard(const char *path, const char *synchronous, int64_t incarnation);
/* Until all of it is in the database. 0, or -1 with errno. */
int sq_wal_unguard(const char *path);

/* put, change, cancel, expire, fan, fill: the members of a batch, each within the open transaction; their answers stand in the batch
 * then.
 */
int sq_put(struct sq_db *db, struct store_batch *batch);
int sq_finish(struct sq_db *db, struct store_batch *batch);
int sq_release(struct sq_db *db, struct store_batch *batch);
int sq_cancel(struct sq_db *db, struct store_batch *batch);
int sq_start(struct sq_db *db, struct store_batch *batch);
int sq_forget(struct sq_db *db, struct store_batch *batch);
int sq_expire(struct sq_db *db, struct store_batch *batch);
int sq_fan(struct sq_db *db, struct store_batch *batch);
int sq_promote(struct sq_db *db, struct store_batch *batch);
int sq_settings(struct sq_db *db, struct store_batch *batch);
int sq_fill(struct sq_db *db, struct store_batch *batch);
int sq_next_due(struct sq_db *db);
int sq_webhooks_settle(struct sq_db *db, struct store_batch *batch);
/* The webhook of a job that ends now; those of jobs that are forgotten, from first to last. */
int sq_webhook_add(struct sq_db *db, int64_t id, int64_t run_at_ms);
int sq_webhooks_forget(struct sq_db *db, int64_t first, int64_t last);
/* The queues that have settings, as recovery tells them. */
int sq_settings_tell(struct sq_db *db, struct store_opened *opened);
/* Looks at a few keys and deletes those that are over. */
int sq_keys_sweep(struct sq_db *db, struct store_batch *batch);
/* Last of all: what the batch has left of the edges. */
int sq_gate_settle(struct sq_db *db, struct store_batch *batch);

/* What must be known of a job that has not ended to take it out of where it waits. */
struct sq_pending {
	int64_t id;
	int64_t line;
	int priority;
	int64_t retain_ms;
	int64_t expires_ms;
	bool webhook; /* it has one */
};

/* ready: the only way into the table and out of it, but for the puts of a batch. */
int sq_ready_add(struct sq_db *db, int64_t line, int priority, int64_t id, int attempts) __attribute__((warn_unused_result));
/* Takes out first … last if all of them are there: 1, and the attempts that the first has had; else 0, and none is taken. */
int sq_ready_take(struct sq_db *db, int64_t line, int priority, int64_t first, int64_t last, int *ret_attempts)
    __attribute__((warn_unused_result));
/* take: jobs that are to be taken out of ready; of each *ret_found says then whether it was there. */
struct sq_takes *sq_takes_new(void);
void sq_takes_free(struct sq_takes *takes);
int sq_takes_add(struct sq_db *db, struct sq_takes *takes, const struct spec *spec, bool *ret_found) __attribute__((warn_unused_result));
/* Takes all that were added, and forgets them. */
int sq_takes_run(struct sq_db *db, struct sq_takes *takes) __attribute__((warn_unused_result));
/* Forgets all that were added. n flags, all false, for what follows; they last until the next call. */
bool *sq_takes_begin(struct sq_db *db, size_t n);
/* Where the row begins that holds the job behind id; id + 1 when none does. */
int sq_ready_behind(struct sq_db *db, int64_t line, int priority, int64_t id, int64_t *ret_id) __attribute__((warn_unused_result));

/* gate: has_edges and has_todo from the tables. */
int sq_gate_look(struct sq_db *db);
bool sq_gate_fits(enum after_policy policy, enum job_state state);
/* A put that is to wait: its parents are looked up, its gate is made; or its place or answer changes. */
int sq_gate_put(struct sq_db *db, struct store_put *put);
/* Takes a job out of waiting by itself: 1, or 0: it does not wait, -1. */
int sq_gate_take_out(struct sq_db *db, int64_t id);
/* The jobs first … last (one of them waits) need their gate no more. */
int sq_gate_drop(struct sq_db *db, int64_t first, int64_t last, int64_t *ret_edges);
/* Whether one of the jobs first … last is a parent of a waiting one: 1, 0, -1. */
int sq_gate_is_parent(struct sq_db *db, int64_t first, int64_t last);

/* fan: what is left to do for children, by kind; the lower goes first. Other kinds are others' business. */
enum sq_todo_kind {
	SQ_TODO_OPEN = 1, /* the jobs `job` … `last`, those that wait, may go */
	SQ_TODO_FAIL = 2, /* they never may: `cause` has come to `state` */
	SQ_TODO_TELL = 3, /* `job` has come to `state`: the gates behind `last` are to hear of it */
};
struct sq_todo {
	int kind;
	int64_t at; /* place in the order of finishing of the end that it comes from */
	int64_t job;
	int64_t last;
	int64_t cause;
	enum job_state state;
};
int sq_todo_add(struct sq_db *db, const struct sq_todo *todo);
/* fill: rows of attempts and job, at most n more of them, and up to max_bytes: 1 when more are there, 0 at the end, -1. */
int sq_promote_collect(struct sq_db *db, enum sq_statement which, struct store_promote *promote, size_t n, size_t max_bytes);

/* expire: takes it out: 1, where it stood and the attempts it has had; 0: it is not pending; -1. */
int sq_pending_take(struct sq_db *db, const struct sq_pending *job, enum store_place *ret_was, int32_t *ret_attempts);
/* It has begun, or may begin again: it cannot or can expire. Nothing when it has no such time. */
int sq_expiring_drop(struct sq_db *db, int64_t expires_ms, int64_t id);
int sq_expiring_add(struct sq_db *db, int64_t expires_ms, int64_t id);
/* Ends one that is late now; nothing when it is not pending. */
int sq_expire_one(struct sq_db *db, struct store_batch *batch, const struct sq_pending *job, int64_t now_ms);
/* Completes *end (state, json, finished_ms are the caller's), notes it (see sq_ends_note) and tells the loop of it. */
void sq_gone_note(struct sq_db *db, struct store_batch *batch, const struct sq_pending *job, struct store_end *end);

/*
 * Gives an end its place in the order of finishing; sq_ends_write() puts all that were noted into `done`, and makes
 * the webhooks of those that have one due. There is no other way into `done`.
 */
int64_t sq_ends_note(struct sq_db *db, int64_t id, bool webhook, const struct store_end *end);
int sq_ends_write(struct sq_db *db);
/* One end at once, for what must see it within the same batch. */
int sq_ends_put(struct sq_db *db, int64_t id, bool webhook, const struct store_end *end, int64_t *ret_seq);
/* An error object of the configuration with its %d, if it has one, replaced; malloc'ed. */
char *sq_error_text(const char *format, int attempt);
/* store_end.until_ms of a job that gave this retain. */
int64_t sq_ends_until(int64_t retain_ms, int64_t finished_ms);

/* The spec of a row of job whose columns SQ_JOB_COLUMNS begin at column first: one reference, the caller's. NULL:
 * corrupt, and db->failure says what is wrong. */
struct spec *sq_spec(struct sq_db *db, sqlite3_stmt *row, int first);
/* The same as fields of *spec; texts point into the row, task, queue and owner into names. */
int sq_spec_read(struct sq_db *db, sqlite3_stmt *row, int first, struct spec *spec);
#define SQ_JOB_COLUMNS 21

/* The bits of job.flags, and what NULL means in job.backoff. */
enum sq_flag {
	SQ_IDEMPOTENT = 1,
	SQ_PURE = 2,
	SQ_ATTEMPTS_GIVEN = 4,
	SQ_RESTRICTED = 8,
	SQ_AFTER_FINISHED = 16, /* neither of these two: AFTER_SUCCEEDED */
	SQ_AFTER_FAILED = 32,
};
#define SQ_BACKOFF_USUAL 1000

/* sound: a value that is JSON; a text that is UTF-8, or NULL; what of a spec is neither, or NULL. */
bool sq_sound_json(struct span value);
bool sq_sound_text(const char *text);
const char *sq_unsound_spec(const struct spec *spec);
/* Looks at the jobs: the row, the result, that it stands in one place; as many as a tenth of a second lets it. */
int sq_sound_jobs(struct sq_db *db);

/* Text columns of a row. */
struct span sq_column_span(sqlite3_stmt *row, int column);
/* After sqlite3_column_text(): a text for which there was no memory looks like NULL. 0, or -1. */
int sq_texts_came(struct sq_db *db) __attribute__((warn_unused_result));
int64_t sq_column_time(sqlite3_stmt *row, int column); /* SPEC_NONE for NULL */

/* commit: carries out a batch and sets its verdict. */
void sq_commit(struct sq_db *db, struct store_batch *batch);
/* Frees what fill, promote and put have brought. */
void sq_batch_drop_rows(struct store_batch *batch);
/* BEGIN IMMEDIATE; COMMIT; and back to where the last commit was, in memory too. */
int sq_begin(struct sq_db *db);
int sq_end(struct sq_db *db);
int sq_rollback(struct sq_db *db);

/* checkpoint: the log goes into the database, so that it can be written from its beginning again. */
bool sq_checkpoint_due(const struct sq_db *db);
/* How long to wait for work before it should be done all the same: milliseconds, -1: no need. */
int sq_checkpoint_idle_ms(const struct sq_db *db);
void sq_checkpoint(struct sq_db *db);
int sq_checkpoint_register(struct sq_db *db);

/* scan, tally, survey: the reads; they set the answers, error and reason. */
int sq_scan_register(struct sq_db *db);
void sq_scan(struct sq_db *db, struct store_read *read);
void sq_tally(struct sq_db *db, struct store_read *read);
void sq_survey(struct sq_db *db, struct store_survey *survey);
void sq_expired(struct sq_db *db, struct store_expired *expired);
void sq_webhooks(struct sq_db *db, struct store_webhooks *webhooks);

/* recover: brings what was running to an end or back in line, and tells what is there. */
int sq_recover(struct sq_db *db, const struct store_open_config *config, struct store_opened *ret_opened);

#endif
