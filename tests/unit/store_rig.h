/*
 * store_rig: a store in a folder of its own, a loop, and the words in which the tests of the store speak: commit what
 * stands in batch and wait for it, read and wait for it. Header only.
 */
#ifndef TESTS_UNIT_STORE_RIG_H
#define TESTS_UNIT_STORE_RIG_H

#include <check.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "daemon/store.h"
#include "tests/unit/pump.h"

#define LOST	  "{\"type\":\"Lost\",\"attempt\":%d}"
#define CANCELLED "{\"type\":\"Cancelled\"}"
#define EXPIRED	  "{\"type\":\"Expired\"}"
#define HOUR_MS	  3600000

static char folder[] = "/tmp/test_store.XXXXXX";
static char path[64];
static struct loop *loop;
static struct store *store;
static struct store_opened opened;
static struct store_batch batch;
static int64_t now_ms;
static const char *synchronous = "normal";

/* ---- a store of the test's own ---------------------------------------------------------------------------- */

static inline int64_t
backoff(int64_t first_ms, int attempt)
{
	return first_ms * attempt;
}

static inline char *
dependency_error(int64_t parent, enum job_state state)
{
	return mem_format("{\"parent\":%d,\"state\":%d}", (int)parent, (int)state);
}

static enum store_open_result
open_any(char **ret_reason)
{
	struct store_open_config config = {
	    .path = path,
	    .synchronous = synchronous,
	    .now_ms = now_ms,
	    .retention_ms = HOUR_MS,
	    .lost_error = LOST,
	    .cancelled_error = CANCELLED,
	    .expired_error = EXPIRED,
	    .dependency_error = dependency_error,
	    .backoff_ms = backoff,
	};

	return store_sqlite.open(loop, &config, &store, &opened, ret_reason);
}

static inline void
open_store(void)
{
	char *reason = NULL;
	enum store_open_result result = open_any(&reason);

	ck_assert_msg(result == STORE_OPEN_OK, "open: %s", reason);
}

static inline void
close_store(void)
{
	store_sqlite.close(store);
	store = NULL;
	store_opened_done(&opened);
}

static inline void
reopen_store(void)
{
	close_store();
	open_store();
}

static inline void
setup(void)
{
	strcpy(folder, "/tmp/test_store.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/db", folder);
	signal(SIGXFSZ, SIG_IGN);
	loop = loop_new();
	now_ms = loop_wall_ms();
	open_store();
}

static inline void
teardown(void)
{
	char command[96];

	if (store != NULL)
		close_store();
	store_batch_done(&batch);
	loop_free(loop);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

/*
 * Once in main(), before the tests are forked from it: a valgrind that has seen the store at work translates it once, and not for each test.
 */
static inline void
warm_up(void)
{
	char command[96], *reason = NULL;

	strcpy(folder, "/tmp/test_store.XXXXXX");
	if (getenv("FUTURED_UNIT_UNDER") == NULL || mkdtemp(folder) == NULL)
		return;
	snprintf(path, sizeof(path), "%s/db", folder);
	loop = loop_new();
	now_ms = loop_wall_ms();
	if (open_any(&reason) == STORE_OPEN_OK) {
		store_sqlite.close(store);
		store_opened_done(&opened);
	}
	free(reason);
	store = NULL;
	loop_free(loop);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command) != 0)
		perror(folder);
}

/* ---- batches ---------------------------------------------------------------------------------------------- */

#define MEMBER(name)                                                                                     \
	(batch.name = mem_room(batch.name, batch.n_##name, &batch.name##_capacity, sizeof(*batch.name)), \
	    &batch.name[batch.n_##name++])

static inline void
set_true(struct store_batch *done, void *arg)
{
	(void)done;
	*(bool *)arg = true;
}

static enum store_verdict
commit_any(void)
{
	bool done = false;

	batch.done = set_true;
	batch.arg = &done;
	store_sqlite.commit(store, &batch);
	PUMP(loop, done);
	return batch.verdict;
}

static inline void
commit(void)
{
	ck_assert_msg(commit_any() == STORE_COMMITTED, "%s", batch.reason);
}

static inline struct spec template(int64_t id)
{
	return (struct spec){
	    .id = id,
	    .pool = POOL_CPU,
	    .max_attempts = 1,
	    .submitted_ms = now_ms,
	    .not_before_ms = SPEC_NONE,
	    .timeout_ms = SPEC_NONE,
	    .backoff_ms = 1000,
	    .retain_ms = SPEC_NONE,
	    .expires_ms = SPEC_NONE,
	    .task = "noop",
	    .queue = "default",
	    .owner = "uid:1",
	    .args = SPAN_LIT("[1]"),
	};
}

static inline struct store_put *
put(const struct spec *spec, enum store_place place)
{
	struct store_put *member = MEMBER(put);

	*member = (struct store_put){
	    .spec = spec,
	    .count = 1,
	    .place = place,
	    .key_until_ms = now_ms + HOUR_MS,
	};
	if (batch.high_water < spec->id)
		batch.high_water = spec->id;
	return member;
}

/* Commits one job in its place. */
static inline void
put_now(const struct spec *spec, enum store_place place, uint64_t token)
{
	struct store_put *member = put(spec, place);

	member->token = token;
	member->end = (struct store_end){.state = JOB_SUCCEEDED,
	    .attempt = 1,
	    .worker = 77,
	    .started_ms = now_ms,
	    .finished_ms = now_ms + 5,
	    .until_ms = now_ms + HOUR_MS,
	    .json = SPAN_LIT("true")};
	commit();
	ck_assert_int_eq(batch.put[0].answer, STORE_OK);
	store_batch_clear(&batch);
}

static inline struct store_finish *
finish(const struct spec *spec, uint64_t token)
{
	struct store_finish *member = MEMBER(finish);

	*member = (struct store_finish){.spec = spec, .token = token};
	member->end = (struct store_end){.state = JOB_SUCCEEDED,
	    .attempt = 1,
	    .worker = 4321,
	    .started_ms = now_ms,
	    .finished_ms = now_ms + 10,
	    .until_ms = now_ms + HOUR_MS,
	    .json = SPAN_LIT("[2]"),
	    .usage = {1000, 200, 3000, true},
	    .output = true};
	return member;
}

static inline struct store_start *
start(const struct spec *spec, uint64_t token, int attempt)
{
	struct store_start *member = MEMBER(start);

	*member = (struct store_start){.spec = spec, .token = token, .attempt = attempt, .now_ms = now_ms};
	return member;
}

static inline struct store_cancel *
cancel(int64_t id, const char *owner)
{
	struct store_cancel *member = MEMBER(cancel);

	*member = (struct store_cancel){.id = id,
	    .owner = owner,
	    .error = SPAN_LIT("{\"by\":\"me\"}"),
	    .now_ms = now_ms};
	return member;
}

static inline struct store_release *
release(const struct spec *spec, uint64_t token, int64_t run_at_ms, int attempt)
{
	struct store_release *member = MEMBER(release);

	*member = (struct store_release){.spec = spec, .token = token, .run_at_ms = run_at_ms, .attempt = attempt};
	return member;
}

static inline struct store_fill *
fill(const char *queue, const char *owner, size_t n)
{
	struct store_fill *member = MEMBER(fill);

	*member = (struct store_fill){
	    .pool = POOL_CPU, .queue = queue, .owner = owner, .from_start = true, .n = n, .max_bytes = 1 << 20};
	return member;
}

static inline void
free_rows(struct store_ready **rows, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		spec_unref((*rows)[i].spec);
	free(*rows);
	*rows = NULL;
	*n = 0;
}

/* ---- reads ------------------------------------------------------------------------------------------------ */

static const struct id_range everything = {1, SELECTION_ID_MAX};
static struct store_read answer;

static inline void
read_set_true(struct store_read *read, void *arg)
{
	(void)read;
	*(bool *)arg = true;
}

static inline void
read_more(void)
{
	bool done = false;

	answer.done = read_set_true;
	answer.arg = &done;
	store_sqlite.read(store, &answer);
	PUMP(loop, done);
	ck_assert_msg(answer.error == 0, "%s", answer.reason);
}

static inline void
read_jobs(const struct id_range *ranges, size_t n, unsigned fields)
{
	answer = (struct store_read){
	    .ranges = ranges, .n_ranges = n, .max_rows = 1000, .max_bytes = 1 << 20, .fields = fields};
	read_more();
}

/* The one row of a job, or NULL; it lives until store_read_done(&answer). */
static inline const struct store_row *
read_job(int64_t id)
{
	struct id_range range = {id, id};

	read_jobs(&range, 1, STORE_FIELD_SPEC | STORE_FIELD_ARGS | STORE_FIELD_RESULT | STORE_FIELD_ERROR);
	ck_assert_uint_le(answer.n_rows, 1);
	return answer.n_rows == 1 ? &answer.rows[0] : NULL;
}

static inline bool
span_is(struct span span, const char *text)
{
	return span.at != NULL && span.len == strlen(text) && memcmp(span.at, text, span.len) == 0;
}

static inline void
check_place(int64_t id, enum store_place place, enum job_state state)
{
	const struct store_row *row = read_job(id);

	ck_assert_ptr_nonnull(row);
	ck_assert_int_eq(row->place, place);
	ck_assert_int_eq(row->state, state);
	store_read_done(&answer);
}

static inline void
forget_now(int64_t id)
{
	*MEMBER(forget) = id;
	commit();
	store_batch_clear(&batch);
}

static inline int64_t
ask_file(const char *sql)
{
	sqlite3_stmt *statement;
	int64_t value = -1;
	sqlite3 *sqlite;

	ck_assert_int_eq(sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	ck_assert_msg(sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(sqlite));
	if (sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	ck_assert_int_eq(sqlite3_close(sqlite), SQLITE_OK);
	return value;
}

#endif
