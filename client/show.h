/*
 * show: a job as people see it: its cause, its row in a table, its page of details. Jobs are valid spans of job
 * objects; members that were not asked for show as empty.
 */
#ifndef CLIENT_SHOW_H
#define CLIENT_SHOW_H

#include "futured.h"
#include "proto/jsonspan.h"
#include "table.h"
#include "text.h"

/* The members that the rows of a table need, as a JSON array for `fields`. */
#define SHOW_FIELDS                                                                                               \
	"[\"state\",\"task\",\"queue\",\"label\",\"reason\",\"submitted\",\"started\",\"finished\",\"progress\"," \
	"\"error\"]"

/* Why a job failed or was cancelled, one line: "ExitStatus: exit status 3 (sh: 1: foo: not found)". */
void show_write_cause(struct span job, struct text *out);

/* The same on standard error, as "job 42 failed: ...". */
void show_say_cause(struct span job);

/*
 * Of the result of a command what it has of a stream, the first 64 KiB: the bytes, malloc'ed, or NULL. And a word on standard error, and true,
 * when that command ("the command", "job 7") wrote more to the stream than the daemon has kept, which is so much.
 */
char *show_read_stream(struct span result, enum fut_stream stream, size_t *ret_len);
bool show_say_lack(const char *who, struct span result, enum fut_stream stream, int64_t kept);

/* How far a job is, "50% copying", or nothing where it does not tell. */
void show_write_progress(struct span job, struct text *out);

void show_begin_jobs(struct table *table);
void show_add_job(struct table *table, struct span job);

/* A job as a line for people, for where rows come one by one and cannot be aligned. */
void show_print_line(struct span job);

/* All that is known of one job, a line each. */
void show_print_job(struct span job);

/* A value as a cell: a string without its quotes, null as nothing, all else as JSON. */
void show_write_value(struct span value, struct text *out);
/* Adds a member as a cell; of an object that has none of the name an empty one. */
void show_add_member(struct table *table, struct span object, const char *name, enum table_colour colour);

#endif
