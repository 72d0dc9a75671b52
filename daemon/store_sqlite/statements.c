/*
 * statements: all the SQL that runs after the file was opened, prepared once, and the few ways to run it. No text is
 * put together at run time.
 *
 * Invariant: between two calls from outside this folder no statement is in the midst of its rows, so that COMMIT and
 * the checkpoint find nothing open.
 */
#include "db.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* They stand in rows and in the SQL below. */
_Static_assert(JOB_SUCCEEDED == 2 && JOB_FAILED == 3 && JOB_CANCELLED == 4, "states are on disk");
_Static_assert(STORE_FIELD_ARGS == 2 && STORE_FIELD_RESULT == 4 && STORE_FIELD_ERROR == 8, "fields are in the SQL");
_Static_assert(AFTER_SUCCEEDED == 0 && AFTER_FINISHED == 1 && AFTER_FAILED == 2, "policies are on disk");
_Static_assert(SQ_TODO_TELL == 3, "kinds of todo are in the SQL");
_Static_assert(POOL_CPU == 0 && POOL_THREADS == 1 && POOL_WAITS == 2 && POOL_PROCESSES == 3, "pools are on disk");

/* What sq_spec_read() reads: SQ_JOB_COLUMNS of them. */
#define JOB_BUT_ARGS                                                                                                   \
	"j.id, j.line, j.task, j.flags, j.priority, j.max_attempts, j.submitted, j.backoff, j.not_before, j.timeout, " \
	"j.retain, j.label, j.key, j.expires, j.retry_of, j.memory_mib, j.cpu_s, j.files, j.webhook, j.after"
#define JOB JOB_BUT_ARGS ", j.args"

/*
 * A scan: ?1 and ?2 bound the ids, ?3 are the fields, ?4 the wanted states. look() holds the driving table to the
 * ranges and to its time; when it has had enough it lets one row through, and so does all behind it: then stopped() is
 * true. +j.id has no affinity, as ready.id has none: else the index would not serve the comparison. In the order of
 * finishing ?1 is the place behind which it begins, and look_end() does what look() does.
 */
#define SCAN_JOB "SELECT " JOB_BUT_ARGS ", iif(?3 & 2, j.args, NULL), "
#define SCAN_DONE                                                                                        \
	"d.seq, d.state, d.attempt, d.started, d.finished, d.worker, d.output, d.user_us, d.system_us, " \
	"d.max_rss_kib, "                                                                                \
	"iif(?3 & iif(d.state = 2, 4, 8), d.json, NULL)"
#define NO_DONE	   "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
#define NO_RUNNING ", NULL, NULL, NULL, NULL"
#define NO_PENDING ", NULL, NULL, NULL, NULL"
#define FITS	   "fits(j.line, j.task, j.label)"
#define SCAN_BY_JOB(order)                                                                                            \
	SCAN_JOB SCAN_DONE                                                                                            \
	    ", r.attempt, r.worker, r.started, r.cancel IS NOT NULL, y.run_at, y.attempts, w.attempts, x.id "         \
	    "FROM job j LEFT JOIN done d ON d.id = j.id LEFT JOIN running r ON r.id = iif(d.id IS NULL, j.id, NULL) " \
	    "LEFT JOIN delayed y ON y.id = iif(coalesce(d.id, r.id) IS NULL, j.id, NULL) "                            \
	    "LEFT JOIN waiting x ON x.id = iif(coalesce(d.id, r.id, y.id) IS NULL, j.id, NULL) "                      \
	    "LEFT JOIN ready w ON w.line = iif(coalesce(d.id, r.id, y.id, x.id) IS NULL, j.line, NULL) "              \
	    "AND w.rank = -j.priority AND w.id = iif(coalesce(d.id, r.id, y.id, x.id) IS NULL, "                      \
	    "(SELECT max(v.id) FROM ready v WHERE v.line = j.line AND v.rank = -j.priority AND v.id <= +j.id), NULL) " \
	    "AND j.id < w.id + w.count "                                                                              \
	    "WHERE j.id BETWEEN ?1 AND ?2 AND iif(look(j.id), " FITS                                                  \
	    ", 0) AND (?4 & 28 OR d.id IS NULL OR stopped()) "                                                        \
	    "ORDER BY j.id " order
#define SCAN_BY_DONE(order)                                                                                   \
	SCAN_JOB SCAN_DONE NO_RUNNING NO_PENDING                                                              \
	    " FROM done d CROSS JOIN job j ON j.id = d.id "                                                   \
	    "WHERE d.id BETWEEN ?1 AND ?2 AND iif(look(d.id), (?4 >> d.state) & 1 OR stopped(), 0) AND " FITS \
	    " ORDER BY d.id " order
#define SCAN_BY_END                                                                                          \
	SCAN_JOB SCAN_DONE NO_RUNNING NO_PENDING                                                             \
	    " FROM done d INDEXED BY done_seq CROSS JOIN job j ON j.id = d.id "                              \
	    "WHERE d.seq > ?1 AND iif(look_end(d.id, d.seq), (?4 >> d.state) & 1 OR stopped(), 0) AND " FITS \
	    " ORDER BY d.seq"
#define SCAN_BY_RUNNING(order)                                                               \
	SCAN_JOB NO_DONE ", r.attempt, r.worker, r.started, r.cancel IS NOT NULL" NO_PENDING \
			 " FROM running r CROSS JOIN job j ON j.id = r.id "                  \
			 "WHERE r.id BETWEEN ?1 AND ?2 AND look(r.id) AND " FITS " ORDER BY r.id " order

static const char *const statements[SQ_STATEMENTS] = {
    [SQ_BEGIN] = "BEGIN IMMEDIATE",
    [SQ_COMMIT] = "COMMIT",
    [SQ_ROLLBACK] = "ROLLBACK",
    [SQ_META_SAVE] = "UPDATE meta SET high_water = ?1, incarnation = ?2, seq_reserved = ?3",
    [SQ_NAME_ADD] = "INSERT INTO name (id, text) VALUES (?1, ?2)",
    [SQ_LINE_ADD] = "INSERT INTO line (id, pool, queue, owner) VALUES (?1, ?2, ?3, ?4)",

    [SQ_JOB_PUT_PLAIN] = "INSERT INTO job (id, line, task, flags, priority, max_attempts, submitted, args) "
			 "SELECT c0, c1, c2, c3, c4, c5, c6, c7 FROM feed",
    [SQ_JOB_PUT] =
	"INSERT INTO job (id, line, task, flags, priority, max_attempts, submitted, args, backoff, "
	"not_before, timeout, retain, label, key, expires, retry_of, memory_mib, cpu_s, files, webhook, after) "
	"SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20 FROM "
	"feed",
    [SQ_READY_PUT] = "INSERT INTO ready (line, rank, id, count, attempts) SELECT c0, c1, c2, c3, 0 FROM feed",
    [SQ_DELAYED_PUT] = "INSERT INTO delayed (id, run_at, attempts, line) SELECT c0, c1, 0, c2 FROM feed",
    [SQ_RUNNING_PUT] = "INSERT INTO running (id, token, attempt, worker, started) SELECT c0, c1, c2, c3, c4 FROM feed",
    [SQ_DONE_PUT] = "INSERT INTO done (id, seq, state, attempt, started, finished, until, worker, output, user_us, "
		    "system_us, max_rss_kib, json) "
		    "SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12 FROM feed",

    [SQ_JOB_GET] = "SELECT line, priority, retain, submitted, expires, webhook IS NOT NULL FROM job WHERE id = ?1",
    [SQ_JOB_DROP] = "DELETE FROM job WHERE id = ?1",
    [SQ_JOB_DROP_RANGE] = "DELETE FROM job WHERE id BETWEEN ?1 AND ?2",
    [SQ_JOB_ANY] = "SELECT 1 FROM job WHERE id BETWEEN ?1 AND ?2 LIMIT 1",

    [SQ_READY_ADD] = "INSERT INTO ready (line, rank, id, count, attempts) VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQ_READY_AT] = "SELECT id, count, attempts FROM ready WHERE line = ?1 AND rank = ?2 AND id <= ?3 ORDER BY id DESC LIMIT 1",
    [SQ_READY_DROP] = "DELETE FROM ready WHERE line = ?1 AND rank = ?2 AND id = ?3",
    [SQ_READY_SHORTEN] = "UPDATE ready SET count = ?4 WHERE line = ?1 AND rank = ?2 AND id = ?3",
    [SQ_READY_GROUP] = "SELECT line, rank, id FROM ready WHERE (line, rank) > (?1, ?2) ORDER BY line, rank, id LIMIT 1",
    [SQ_READY_LINES] = "SELECT line, sum(count) FROM ready GROUP BY line",
    /* ?3 is where the first run begins, ?5 the first job of it that is wanted. */
    [SQ_READY_FILL] =
	"SELECT w.attempts, " JOB " FROM ready w LEFT JOIN job j "
	"ON j.id BETWEEN max(w.id, iif(w.rank = ?2, ?5, w.id)) AND w.id + w.count - 1 "
	"WHERE w.line = ?1 AND (w.rank, w.id) >= (?2, ?3) ORDER BY w.rank, w.id LIMIT ?4",

    [SQ_DELAYED_ADD] = "INSERT INTO delayed (id, run_at, attempts, line) VALUES (?1, ?2, ?3, ?4)",
    [SQ_DELAYED_GET] = "SELECT attempts FROM delayed WHERE id = ?1",
    [SQ_DELAYED_DROP] = "DELETE FROM delayed WHERE id = ?1",
    [SQ_DELAYED_NEXT] = "SELECT min(run_at) FROM delayed",
    [SQ_DELAYED_TIMELY] = "SELECT y.attempts, " JOB " FROM delayed y LEFT JOIN job j ON j.id = y.id "
			  "WHERE y.run_at <= ?1 ORDER BY y.run_at, y.id LIMIT ?2",
    [SQ_UNREADY_ALL] = "SELECT line, id FROM delayed UNION ALL SELECT line, id FROM waiting ORDER BY id",

    [SQ_WAITING_PUT] = "INSERT INTO waiting (id, line) SELECT c0, c1 FROM feed",
    [SQ_WAITING_HAS] = "SELECT 1 FROM waiting WHERE id = ?1",
    [SQ_WAITING_DROP] = "DELETE FROM waiting WHERE id = ?1",
    [SQ_WAITING_FEW] = "SELECT count(*) FROM (SELECT 1 FROM waiting WHERE id BETWEEN ?1 AND ?2 LIMIT 2)",
    [SQ_WAITING_OPEN] = "SELECT 0, " JOB " FROM waiting x LEFT JOIN job j ON j.id = x.id "
			"WHERE x.id BETWEEN ?1 AND ?2 ORDER BY x.id LIMIT ?3",
    [SQ_WAITING_FAIL] = "SELECT x.id, x.line, j.retain, j.expires, j.webhook IS NOT NULL FROM waiting x "
			"LEFT JOIN job j ON j.id = x.id "
			"WHERE x.id BETWEEN ?1 AND ?2 ORDER BY x.id LIMIT ?3",

    [SQ_GATE_ADD] = "INSERT INTO gate (first, count, unmet, policy) VALUES (?1, ?2, ?3, ?4)",
    [SQ_GATE_AT] = "SELECT first, count FROM gate WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
    [SQ_GATE_GET] = "SELECT count, unmet, policy FROM gate WHERE first = ?1",
    [SQ_GATE_MEET] = "UPDATE gate SET unmet = unmet - 1 WHERE first = ?1",
    [SQ_GATE_DROP] = "DELETE FROM gate WHERE first = ?1",
    [SQ_GATE_AFTER] = "SELECT j.after FROM waiting x CROSS JOIN job j ON j.id = x.id "
		      "WHERE x.id BETWEEN ?1 AND ?2 ORDER BY x.id LIMIT 1",
    [SQ_GATE_LOOK] = "SELECT EXISTS (SELECT 1 FROM edge), EXISTS (SELECT 1 FROM todo WHERE kind <= 3)",
    [SQ_PARENT_GET] = "SELECT j.line, d.state, EXISTS (SELECT 1 FROM todo WHERE kind = 3 AND at = d.seq AND job = j.id) "
		      "FROM job j LEFT JOIN done d ON d.id = j.id WHERE j.id = ?1",

    [SQ_EDGE_ADD] = "INSERT INTO edge (parent, first) VALUES (?1, ?2)",
    [SQ_EDGE_DROP] = "DELETE FROM edge WHERE parent = ?1 AND first = ?2",
    [SQ_EDGE_NEXT] = "SELECT first FROM edge WHERE parent = ?1 AND first > ?2 ORDER BY first LIMIT ?3",
    [SQ_EDGE_IN] = "SELECT 1 FROM edge WHERE parent BETWEEN ?1 AND ?2 LIMIT 1",

    [SQ_TODO_ADD] = "INSERT INTO todo (kind, at, job, last, cause, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQ_TODO_ENDED] = "INSERT INTO todo (kind, at, job, last, cause, state) SELECT 3, c1, c0, 0, 0, c2 FROM feed "
		      "WHERE EXISTS (SELECT 1 FROM edge WHERE parent = c0)",
    [SQ_TODO_NEXT] =
	"SELECT kind, at, job, last, cause, state FROM todo WHERE kind <= 3 ORDER BY kind, at, job LIMIT 1",
    [SQ_TODO_MOVE] = "UPDATE todo SET last = ?4 WHERE kind = ?1 AND at = ?2 AND job = ?3",
    [SQ_TODO_DROP] = "DELETE FROM todo WHERE kind = ?1 AND at = ?2 AND job = ?3",

    [SQ_EXPIRING_PUT] = "INSERT INTO expiring (at, id) SELECT c0, c1 FROM feed",
    [SQ_EXPIRING_ADD] = "INSERT INTO expiring (at, id) VALUES (?1, ?2)",
    [SQ_EXPIRING_DROP] = "DELETE FROM expiring WHERE at = ?1 AND id = ?2",
    [SQ_EXPIRING_DUE] = "SELECT e.at, e.id, j.line, j.priority, j.retain, j.webhook IS NOT NULL FROM expiring e "
			"LEFT JOIN job j ON j.id = e.id "
			"WHERE e.at <= ?1 ORDER BY e.at, e.id LIMIT ?2",
    [SQ_EXPIRING_NEXT] = "SELECT min(at) FROM expiring",

    [SQ_RUNNING_DROP] = "DELETE FROM running WHERE id = ?1 AND token = ?2",
    [SQ_RUNNING_TAKE] = "DELETE FROM running WHERE id = ?1 AND token = ?2 AND cancel IS NULL",
    [SQ_RUNNING_GET] = "SELECT worker, started, cancel FROM running WHERE id = ?1 AND token = ?2",
    [SQ_RUNNING_CANCEL] = "UPDATE running SET cancel = coalesce(cancel, ?2) WHERE id = ?1",
    [SQ_RUNNING_ALL] = "SELECT r.attempt, r.worker, r.started, r.cancel, " JOB_BUT_ARGS ", NULL "
		       "FROM running r LEFT JOIN job j ON j.id = r.id ORDER BY r.id",
    [SQ_RUNNING_CLEAR] = "DELETE FROM running",

    [SQ_DONE_HAS] = "SELECT 1 FROM done WHERE id = ?1",
    [SQ_DONE_DROP] = "DELETE FROM done WHERE id = ?1",
    [SQ_DONE_DROP_RANGE] = "DELETE FROM done WHERE id BETWEEN ?1 AND ?2",
    [SQ_DONE_COUNT_RANGE] = "SELECT count(*) FROM done WHERE id BETWEEN ?1 AND ?2",
    [SQ_DONE_COUNT] = "SELECT count(*) FROM done",
    [SQ_TALLY_JOBS] = "SELECT count(*), max(id) FROM (SELECT id FROM job WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3)",
    [SQ_TALLY_DONE] = "SELECT count(*), min(seq), total(state = 2), total(state = 3), total(state = 4) FROM done "
		      "WHERE id BETWEEN ?1 AND ?2",
    [SQ_DONE_PUT_OFF] = "UPDATE done SET until = max(coalesce(until, finished + ?3), ?2) WHERE id = ?1",
    [SQ_DONE_EXPIRED] = "SELECT id, output, EXISTS (SELECT 1 FROM edge WHERE parent = +d.id) FROM done d "
			"WHERE until IS NOT NULL AND until <= ?1 AND NOT EXISTS (SELECT 1 FROM webhook h WHERE h.id = d.id) "
			"ORDER BY until, id LIMIT ?2",
    [SQ_DONE_USUAL] = "SELECT id, output, EXISTS (SELECT 1 FROM edge WHERE parent = +d.id), seq, finished, until IS NULL "
		      "FROM done d WHERE seq > ?1 ORDER BY seq",
    [SQ_DONE_NEXT] = "SELECT min(until) FROM done WHERE until IS NOT NULL AND until > ?1",

    [SQ_KEY_PUT] = "INSERT INTO key (owner, key, id, count, digest, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
		   "ON CONFLICT DO NOTHING",
    [SQ_KEY_GET] = "SELECT id, count, digest, until FROM key WHERE owner = ?1 AND key = ?2",
    [SQ_KEY_REPLACE] = "REPLACE INTO key (owner, key, id, count, digest, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQ_KEY_SWEEP] = "SELECT owner, key, until <= ?3 AND NOT EXISTS "
		     "(SELECT 1 FROM job j WHERE j.id BETWEEN k.id AND k.id + k.count - 1) "
		     "FROM key k WHERE (owner, key) > (?1, ?2) ORDER BY owner, key LIMIT ?4",
    [SQ_KEY_DROP] = "DELETE FROM key WHERE owner = ?1 AND key = ?2",

    [SQ_WEBHOOK_ADD] = "INSERT INTO webhook (id, run_at, tries) VALUES (?1, ?2, 0)",
    [SQ_WEBHOOK_PUT_OFF] = "UPDATE webhook SET run_at = ?2, tries = ?3 WHERE id = ?1",
    [SQ_WEBHOOK_DROP] = "DELETE FROM webhook WHERE id = ?1",
    [SQ_WEBHOOK_DROP_RANGE] = "DELETE FROM webhook WHERE id BETWEEN ?1 AND ?2",
    [SQ_WEBHOOK_DUE] = "SELECT id, tries FROM webhook WHERE run_at <= ?1 ORDER BY run_at, id LIMIT ?2",
    [SQ_WEBHOOK_NEXT] = "SELECT min(run_at) FROM webhook WHERE run_at > ?1",
    [SQ_QUEUE_SET] =
	"INSERT INTO queue (id, max_running, paused) VALUES (?1, iif(?2, ?3, NULL), iif(?4, ?5, 0)) "
	"ON CONFLICT (id) DO UPDATE SET max_running = iif(?2, ?3, max_running), paused = iif(?4, ?5, paused)",
    [SQ_QUEUE_TIDY] = "DELETE FROM queue WHERE id = ?1 AND max_running IS NULL AND coalesce(paused, 0) = 0",
    [SQ_QUEUE_ALL] = "SELECT id, max_running, paused FROM queue ORDER BY id",

    [SQ_SCAN] = SCAN_BY_JOB(""),
    [SQ_SCAN + 1] = SCAN_BY_JOB("DESC"),
    [SQ_SCAN + 2] = SCAN_BY_DONE(""),
    [SQ_SCAN + 3] = SCAN_BY_DONE("DESC"),
    [SQ_SCAN + 4] = SCAN_BY_RUNNING(""),
    [SQ_SCAN + 5] = SCAN_BY_RUNNING("DESC"),
    [SQ_SCAN + 6] = SCAN_BY_END,
};

int
sq_statements_prepare(struct sq_db *db)
{
	for (int i = 0; i < SQ_STATEMENTS; i++) {
		int rc = sqlite3_prepare_v3(
		    db->sqlite, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);

		if (rc != SQLITE_OK)
			return sq_fail(db, rc);
	}
	return 0;
}

void
sq_statements_finalize(struct sq_db *db)
{
	for (int i = 0; i < SQ_STATEMENTS; i++) {
		sqlite3_finalize(db->statements[i]);
		db->statements[i] = NULL;
	}
}

/* What the kernel said of the log's file, or else of the database's: sqlite3_system_errno() does not know it of a
 * COMMIT. */
static int
fail_errno(struct sq_db *db)
{
	sqlite3_file *log = NULL;
	int error = 0;

	sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (log != NULL && log->pMethods != NULL)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
	if (error == 0)
		sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	return error != 0 ? error : sqlite3_system_errno(db->sqlite);
}

/* What SQLite says of its last failure, if that is this one; without memory it says only what for, so then, too, the words for the code. */
static const char *
fail_text(struct sq_db *db, int rc)
{
	if (db->sqlite == NULL || (rc & 0xff) == SQLITE_NOMEM || (sqlite3_errcode(db->sqlite) & 0xff) != (rc & 0xff))
		return sqlite3_errstr(rc);
	return sqlite3_errmsg(db->sqlite);
}

int
sq_fail(struct sq_db *db, int rc)
{
	struct sq_failure *failure = &db->failure;
	const char *text = fail_text(db, rc);

	failure->code = rc & 0xff;
	failure->extended = rc;
	failure->system = failure->code == SQLITE_IOERR || failure->code == SQLITE_CANTOPEN ? fail_errno(db) : 0;
	if (failure->system != 0)
		snprintf(failure->text, sizeof(failure->text), "%s (%d): %s", text, rc, strerror(failure->system));
	else
		snprintf(failure->text, sizeof(failure->text), "%s (%d)", text, rc);
	return -1;
}

int
sq_fail_corrupt(struct sq_db *db, const char *format, ...)
{
	struct sq_failure *failure = &db->failure;
	va_list args;

	failure->code = failure->extended = SQLITE_CORRUPT;
	failure->system = 0;
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	return -1;
}

int
sq_run(struct sq_db *db, enum sq_statement which)
{
	sqlite3_stmt *statement = db->statements[which];
	int rc = sqlite3_step(statement);

	if (rc != SQLITE_DONE)
		sq_fail(db, rc);
	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

int
sq_row(struct sq_db *db, enum sq_statement which)
{
	sqlite3_stmt *statement = db->statements[which];
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		sq_fail(db, rc);
	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

int
sq_drop(struct sq_db *db, enum sq_statement which)
{
	return sq_run(db, which) < 0 ? -1 : sqlite3_changes(db->sqlite);
}

void
sq_reset(struct sq_db *db, enum sq_statement which)
{
	sqlite3_reset(db->statements[which]);
}

void
sq_bind(struct sq_db *db, enum sq_statement which, int index, int64_t value)
{
	sqlite3_bind_int64(db->statements[which], index, value);
}

void
sq_bind_span(struct sq_db *db, enum sq_statement which, int index, struct span text)
{
	if (text.at == NULL)
		sqlite3_bind_null(db->statements[which], index);
	else
		sqlite3_bind_text64(db->statements[which], index, text.at, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

void
sq_bind_text(struct sq_db *db, enum sq_statement which, int index, const char *text)
{
	sq_bind_span(db, which, index, (struct span){text, strlen(text)});
}

void
sq_bind_ready(struct sq_db *db, enum sq_statement which, int64_t line, int priority, int64_t id)
{
	sq_bind(db, which, 1, line);
	sq_bind(db, which, 2, -priority);
	sq_bind(db, which, 3, id);
}

/* As a blob: a text gets a NUL behind it, for which a long one is copied, and there may be no memory. An empty blob is NULL. */
struct span
sq_column_span(sqlite3_stmt *row, int column)
{
	const char *text;

	if (sqlite3_column_type(row, column) == SQLITE_NULL)
		return SPAN_NONE;
	text = sqlite3_column_blob(row, column);
	return (struct span){text != NULL ? text : "", (size_t)sqlite3_column_bytes(row, column)};
}

int
sq_texts_came(struct sq_db *db)
{
	return sqlite3_errcode(db->sqlite) == SQLITE_NOMEM ? sq_fail(db, SQLITE_NOMEM) : 0;
}

int64_t
sq_column_time(sqlite3_stmt *row, int column)
{
	return sqlite3_column_type(row, column) == SQLITE_NULL ? SPEC_NONE : sqlite3_column_int64(row, column);
}
