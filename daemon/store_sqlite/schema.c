/*
 * schema: the tables, and how the file comes to be and is opened.
 *
 * A new database is made whole under another name and then renamed, so a file that stands at the path is always ours
 * and complete, or it is not ours. One that is there is looked at before anything is written: the bytes of its header
 * without SQLite, then the version and every statement's tables and columns through a connection that would not even
 * clear its log; damage beyond that shows when it is read, at recovery or later. One connection holds the file for life
 * (locking_mode=EXCLUSIVE: the log's index is in memory, so a full disk does not keep us from opening).
 */
#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/mem.h"

#define SCHEMA_APPLICATION 0x46555455 /* "FUTU" */
#define SCHEMA_VERSION	   2
#define SCHEMA_OLDEST	   1 /* that is brought up to it */
/* Up to here a full check takes some 60 ms, so each start makes it. */
#define SCHEMA_WAL_FORMAT  2 /* of the two bytes that say who may write and read it */
#define SCHEMA_CHECK_BYTES (8 << 20)

#define TEXT_OF(x)  TEXT_OF_(x)
#define TEXT_OF_(x) #x

#define DONE_UNTIL_SQL "CREATE INDEX done_until ON done (until) WHERE until IS NOT NULL;"

/* A column without a type takes what it is given: integers all. NULL stands for "not given" and for what is usual. */
static const char schema_sql[] =
    "BEGIN;"
    /* ids up to high_water were handed out; places in the order of finishing up to seq_reserved may have been */
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), store_id TEXT NOT NULL, high_water NOT NULL, "
    "incarnation NOT NULL, seq_reserved NOT NULL);"
    /* tasks, queues and owners; and the lines they stand in */
    "CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
    "CREATE TABLE line (id INTEGER PRIMARY KEY, pool NOT NULL, queue NOT NULL, owner NOT NULL, "
    "UNIQUE (pool, queue, owner));"
    /* what was submitted; never changes. Times in ms since the epoch, durations in ms */
    "CREATE TABLE job (id INTEGER PRIMARY KEY, line NOT NULL, task NOT NULL, flags NOT NULL, priority NOT NULL, "
    "max_attempts NOT NULL, submitted NOT NULL, backoff, not_before, timeout, retain, label TEXT, key TEXT, "
    "expires, retry_of, memory_mib, cpu_s, files, webhook TEXT, after TEXT, args TEXT);"
    /* each job is in exactly one of these five. rank is the priority with its sign turned, attempts those begun; a row of
     * ready is the jobs id … id + count - 1 */
    "CREATE TABLE ready (line, rank, id, attempts NOT NULL, count NOT NULL DEFAULT 1, PRIMARY KEY (line, rank, id)) WITHOUT ROWID;"
    "CREATE TABLE delayed (id INTEGER PRIMARY KEY, run_at NOT NULL, attempts NOT NULL, line NOT NULL);"
    "CREATE INDEX delayed_run_at ON delayed (run_at);"
    "CREATE TABLE waiting (id INTEGER PRIMARY KEY, line NOT NULL);"
    /* the jobs first … first + count - 1, those of them that wait, wait for so many more parents; policy: enum
     * after_policy */
    "CREATE TABLE gate (first INTEGER PRIMARY KEY, count NOT NULL, unmet NOT NULL, policy NOT NULL);"
    "CREATE TABLE edge (parent, first, PRIMARY KEY (parent, first)) WITHOUT ROWID;"
    /* what is left to do, by kind (enum sq_todo_kind), then in the order of at */
    "CREATE TABLE todo (kind, at, job, last, cause, state, PRIMARY KEY (kind, at, job)) WITHOUT ROWID;"
    /* jobs that have not begun and may not begin after that time */
    "CREATE TABLE expiring (at, id, PRIMARY KEY (at, id)) WITHOUT ROWID;"
    /* cancel: the error object with which it shall end, once that was asked */
    "CREATE TABLE running (id INTEGER PRIMARY KEY, token NOT NULL, attempt NOT NULL, worker, started, cancel TEXT);"
    /* json: the result, or the error object; seq: the order of finishing; until: when retention may delete it, NULL: as
     * long after finished as the configuration says */
    "CREATE TABLE done (id INTEGER PRIMARY KEY, seq NOT NULL, state NOT NULL, attempt NOT NULL, started, finished, "
    "until, "
    "worker, output, user_us, system_us, max_rss_kib, json TEXT);"
    DONE_UNTIL_SQL
    "CREATE INDEX done_seq ON done (seq);"
    /* the jobs id … id + count - 1 came by this key of owner (a name); kept until then, and while one of them is known
     */
    "CREATE TABLE key (owner, key TEXT, id NOT NULL, count NOT NULL, digest BLOB NOT NULL, until NOT NULL, "
    "PRIMARY KEY (owner, key)) WITHOUT ROWID;"
    /* settings of a queue (a name) */
    "CREATE TABLE queue (id INTEGER PRIMARY KEY, max_running, paused);"
    /* of the jobs in done that have a webhook, those whose POST is not done with */
    "CREATE TABLE webhook (id INTEGER PRIMARY KEY, run_at NOT NULL, tries NOT NULL);"
    "CREATE INDEX webhook_run_at ON webhook (run_at);"
    "INSERT INTO meta VALUES (1, lower(hex(randomblob(16))), 0, 0, 0);"
    "PRAGMA application_id = " TEXT_OF(SCHEMA_APPLICATION) ";"
							   "PRAGMA user_version = " TEXT_OF(SCHEMA_VERSION) ";"
													    "COMMIT;";

/* ---- reasons: they do not name the file ------------------------------------------------------------------- */

static enum store_open_result
schema_failure_result(const struct sq_failure *failure)
{
	return failure->code == SQLITE_CORRUPT || failure->code == SQLITE_NOTADB || failure->code == SQLITE_ERROR
	    ? STORE_OPEN_CORRUPT
	    : STORE_OPEN_FAILED;
}

/* SQLITE_ERROR at prepare: a table or column is not there, so the file is not what its version says. */
enum store_open_result
sq_schema_explain(struct sq_db *db, const char *doing, char **ret_reason)
{
	if (db->failure.code == SQLITE_BUSY)
		*ret_reason = mem_format("%s: another process has it open", doing);
	else
		*ret_reason = mem_format("%s: %s", doing, db->failure.text);
	return schema_failure_result(&db->failure);
}

static enum store_open_result
schema_explain_errno(const char *doing, char **ret_reason)
{
	*ret_reason = mem_format("%s: %s", doing, strerror(errno));
	return STORE_OPEN_FAILED;
}

/* ---- a connection ----------------------------------------------------------------------------------------- */

static int
schema_exec(struct sq_db *db, const char *sql)
{
	int rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sq_fail(db, rc);
}

/* The one integer that sql brings. */
static int
schema_ask(struct sq_db *db, const char *sql, int64_t *ret_value)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL), result = -1;

	if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		*ret_value = sqlite3_column_int64(statement, 0);
		result = 0;
	} else {
		sq_fail(db, rc);
	}
	sqlite3_finalize(statement);
	return result;
}

/* A text of the store's own making. */
static int
schema_ask_text(struct sq_db *db, const char *sql, char *ret_text, size_t size)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL), result = -1;

	if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(statement, 0);

		snprintf(ret_text, size, "%s", text != NULL ? text : "");
		result = sq_texts_came(db);
	} else {
		sq_fail(db, rc);
	}
	sqlite3_finalize(statement);
	return result;
}

static int
schema_connect(struct sq_db *db, const char *path)
{
	int rc;

	/* Counting its memory takes a lock at each allocation; refused, and no harm, once SQLite has begun. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	rc = sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return sq_fail(db, rc);
	sqlite3_extended_result_codes(db->sqlite, 1);
	return 0;
}

/* Whether the log has nothing any more that the database has not, and may go: after a failure a checkpoint would sync again what has failed. */
static bool
schema_empty_log(struct sq_db *db)
{
	int in_log = 0, copied = 0;

	if (db->broken || sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied) != SQLITE_OK)
		return false;
	return copied == in_log && sq_wal_unguard(db->path) == 0;
}

void
sq_schema_close(struct sq_db *db)
{
	sq_statements_finalize(db);
	if (db->trusted && !schema_empty_log(db))
		sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(db->sqlite);
	sq_names_done(&db->names);
	sq_takes_free(db->takes);
	free(db->flags);
	free(db->ends);
	free(db->puts);
	free(db->sweep_key);
	free(db->cancelled_error);
	free(db->expired_error);
	free(db->path);
	*db = (struct sq_db){0};
}

/* ---- making it -------------------------------------------------------------------------------------------- */

static void
schema_remove(const char *path)
{
	static const char *const suffixes[] = {"", "-journal", "-wal"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char *name = mem_format("%s%s", path, suffixes[i]);

		unlink(name);
		free(name);
	}
}

int
sq_sync_folder(const char *path)
{
	char *folder = mem_text(path), *slash = strrchr(folder, '/');
	int fd, result;

	if (slash != NULL)
		*(slash == folder ? slash + 1 : slash) = '\0';
	fd = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	result = fd >= 0 ? fsync(fd) : -1;
	if (fd >= 0)
		close(fd);
	free(folder);
	return result;
}

static int
schema_fill(struct sq_db *db, const char *path)
{
	int result = -1;

	if (schema_connect(db, path) < 0)
		goto out;
	if (schema_exec(db,
		"PRAGMA page_size = " TEXT_OF(
		    SCHEMA_PAGE_SIZE) "; PRAGMA auto_vacuum = NONE; "
				      "PRAGMA synchronous = EXTRA; PRAGMA encoding = 'UTF-8'") < 0)
		goto out;
	if (schema_exec(db, schema_sql) < 0 ||
	    schema_exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL") < 0)
		goto out;
	result = 0;
out:
	sqlite3_close(db->sqlite);
	db->sqlite = NULL;
	return result;
}

static enum store_open_result
schema_make(struct sq_db *db, char **ret_reason)
{
	char *new_path = mem_format("%s.new", db->path);
	enum store_open_result result = STORE_OPEN_FAILED;
	int fd;

	schema_remove(new_path);
	fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		schema_explain_errno("cannot be made", ret_reason);
		goto out;
	}
	close(fd);
	if (schema_fill(db, new_path) < 0) {
		sq_schema_explain(db, "cannot be made", ret_reason);
		goto out;
	}
	if (rename(new_path, db->path) < 0 || sq_sync_folder(db->path) < 0) {
		schema_explain_errno("cannot be made", ret_reason);
		goto out;
	}
	result = STORE_OPEN_OK;
out:
	if (result != STORE_OPEN_OK)
		schema_remove(new_path);
	free(new_path);
	return result;
}

/* ---- looking at it ---------------------------------------------------------------------------------------- */

uint32_t
sq_big_endian(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static const char *
schema_check_version(int64_t application, int64_t version)
{
	if (application != SCHEMA_APPLICATION)
		return "it is another program's database";
	if (version > SCHEMA_VERSION)
		return "it was written by a newer futured, which has to be started in place of this one";
	if (version < SCHEMA_OLDEST)
		return "it has an unknown version";
	return NULL;
}

/* The first 100 bytes of the file format; what is wrong with them, or NULL. */
static const char *
schema_check_header(const unsigned char *header, size_t len)
{
	if (len < 100)
		return len == 0 ? "it is empty" : "it is too short";
	if (memcmp(header, "SQLite format 3", 16) != 0)
		return "it is no SQLite database";
	if (header[18] > SCHEMA_WAL_FORMAT || header[19] > SCHEMA_WAL_FORMAT) /* SQLite itself would open it, and write nothing */
		return "it is damaged, or written by a newer SQLite";
	return schema_check_version(sq_big_endian(header + 68), sq_big_endian(header + 60));
}

static enum store_open_result
schema_look(const char *path, bool *ret_there, char **ret_reason)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char header[100];
	const char *wrong;
	struct stat st;
	ssize_t n;

	*ret_there = fd >= 0;
	if (fd < 0)
		return errno == ENOENT ? STORE_OPEN_OK : schema_explain_errno("cannot be opened", ret_reason);
	n = pread(fd, header, sizeof(header), 0);
	if (n < 0 || fstat(fd, &st) < 0) {
		schema_explain_errno("cannot be read", ret_reason);
		close(fd);
		return STORE_OPEN_FAILED;
	}
	close(fd);
	wrong = S_ISREG(st.st_mode) ? schema_check_header(header, (size_t)n) : "it is no regular file";
	if (wrong == NULL)
		return STORE_OPEN_OK;
	*ret_reason = mem_format("%s; it was not touched", wrong);
	return STORE_OPEN_CORRUPT;
}

/* Whether SQLite finds all of it in order. What it had no memory for it may call damage: that is believed when it is said twice. */
static int
schema_check_all(struct sq_db *db)
{
	char verdict[160];
	int64_t pages;

	if (schema_ask(db, "PRAGMA page_count", &pages) < 0)
		return -1;
	if (pages > SCHEMA_CHECK_BYTES / SCHEMA_PAGE_SIZE)
		return 0;
	for (int i = 0; i < 2; i++) {
		if (schema_ask_text(db, "PRAGMA integrity_check(1)", verdict, sizeof(verdict)) < 0)
			return -1;
		db->checked = strcmp(verdict, "ok") == 0;
		if (db->checked)
			return 0;
	}
	return sq_fail_corrupt(db, "%s", verdict);
}

/* ---- opening it ------------------------------------------------------------------------------------------- */

static int
schema_set_synchronous(struct sq_db *db, const char *word)
{
	static const char *const words[] = {"off", "normal", "full"};
	int64_t is;

	for (int i = 0; i < 3; i++) {
		char *sql;
		int result;

		if (strcmp(word, words[i]) != 0)
			continue;
		sql = mem_format("PRAGMA synchronous = %s", word);
		result = schema_exec(db, sql);
		free(sql);
		if (result < 0 || schema_ask(db, "PRAGMA synchronous", &is) < 0)
			return -1;
		db->lazy_sync = i < 2;
		return is == i ? 0 : sq_fail(db, SQLITE_MISUSE);
	}
	return sq_fail(db, SQLITE_MISUSE);
}

static int
schema_read_meta(struct sq_db *db)
{
	int64_t rows;

	if (schema_ask(db, "SELECT count(*) FROM meta", &rows) < 0)
		return -1;
	if (rows != 1)
		return sq_fail_corrupt(db, "meta has %lld rows", (long long)rows);
	if (schema_ask(db, "SELECT high_water FROM meta", &db->meta.high_water) < 0 ||
	    schema_ask(db, "SELECT incarnation FROM meta", &db->meta.incarnation) < 0 ||
	    schema_ask(db, "SELECT seq_reserved FROM meta", &db->meta.seq_reserved) < 0 ||
	    schema_ask_text(db, "SELECT store_id FROM meta", db->store_id, sizeof(db->store_id)) < 0)
		return -1;
	if (schema_ask(db, "SELECT coalesce(max(id), 0) FROM job", &db->top) < 0 ||
	    schema_ask(db, "SELECT count(*) FROM webhook", &db->webhooks) < 0)
		return -1;
	if (db->top < db->meta.high_water)
		db->top = db->meta.high_water;
	if (db->meta.high_water < 0 || db->meta.seq_reserved < 0 || db->top >= SELECTION_ID_MAX ||
	    db->meta.seq_reserved >= SELECTION_ID_MAX || db->meta.incarnation < 0 || db->meta.incarnation >= SELECTION_ID_MAX ||
	    strspn(db->store_id, "0123456789abcdef") != 32)
		return sq_fail_corrupt(db, "meta is not sound");
	db->seq = db->meta.seq_reserved;
	db->saved = db->meta;
	return 0;
}

void
sq_schema_trust(struct sq_db *db, const char *synchronous)
{
	int64_t incarnation = 0;

	sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	db->trusted = true;
	sq_checkpoint(db); /* so that the database itself says which incarnation the log belongs to: where it was synced, for certain */
	if (db->log_frames == 0 && !db->broken && strcmp(synchronous, "off") != 0)
		incarnation = db->saved.incarnation - db->saved_behind;
	sq_wal_guard(db->path, synchronous, incarnation);
}

/*
 * From an older version, in a transaction that is left open: it is committed when all of the file has been found sound, so it is done or not
 * begun, whatever happens. 1: the jobs of ready had a row each, and each end had a time until which it is kept; both remain what they are.
 */
static int
schema_migrate(struct sq_db *db)
{
	static const char from_1[] = "BEGIN IMMEDIATE;"
				     "ALTER TABLE ready ADD COLUMN count NOT NULL DEFAULT 1;"
				     "DROP INDEX done_until;" DONE_UNTIL_SQL "PRAGMA user_version = " TEXT_OF(SCHEMA_VERSION);

	return schema_exec(db, from_1);
}

static enum store_open_result
schema_verify_content(struct sq_db *db, char **ret_reason)
{
	if (sq_feed_register(db) < 0 || sq_scan_register(db) < 0 || sq_statements_prepare(db) < 0)
		return sq_schema_explain(db, "has not the tables of its version", ret_reason);
	if (schema_check_all(db) < 0 || schema_read_meta(db) < 0 || sq_names_load(db) < 0 || sq_gate_look(db) < 0 ||
	    (db->checked && sq_sound_jobs(db) < 0)) {
		return sq_schema_explain(
		    db, schema_failure_result(&db->failure) == STORE_OPEN_CORRUPT ? "is damaged" : "cannot be read", ret_reason);
	}
	return STORE_OPEN_OK;
}

/* Through SQLite; nothing is written yet, but to bring it up to this version. */
static enum store_open_result
schema_verify(struct sq_db *db, char **ret_reason)
{
	enum store_open_result result;
	int64_t application, version;
	const char *wrong;

	if (schema_exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF") < 0 ||
	    schema_ask(db, "PRAGMA application_id", &application) < 0 ||
	    schema_ask(db, "PRAGMA user_version", &version) < 0)
		return sq_schema_explain(db, "cannot be read", ret_reason);
	wrong = schema_check_version(application, version);
	if (wrong != NULL) {
		*ret_reason = mem_format("%s; it was not touched", wrong);
		return STORE_OPEN_CORRUPT;
	}
	if (version == SCHEMA_VERSION)
		return schema_verify_content(db, ret_reason);
	result = schema_migrate(db) < 0 ? sq_schema_explain(db, "cannot be brought up to this version", ret_reason)
					: schema_verify_content(db, ret_reason);
	if (result == STORE_OPEN_OK && schema_exec(db, "COMMIT") < 0)
		result = sq_schema_explain(db, "cannot be brought up to this version", ret_reason);
	if (result != STORE_OPEN_OK) /* the reason is told; and a close would do as much */
		sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
	return result;
}

static enum store_open_result
schema_open_there(struct sq_db *db, const struct store_open_config *config, char **ret_reason)
{
	static const char settings[] =
	    "PRAGMA secure_delete = OFF; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; "
	    "PRAGMA foreign_keys = OFF; PRAGMA journal_size_limit = 16777216";
	enum store_open_result result;

	if (schema_connect(db, db->path) < 0)
		return sq_schema_explain(db, "cannot be opened", ret_reason);
	sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	result = schema_verify(db, ret_reason);
	if (result != STORE_OPEN_OK)
		return result;
	if (schema_exec(db, settings) < 0 || sq_checkpoint_register(db) < 0)
		return sq_schema_explain(db, "cannot be set up", ret_reason);
	if (schema_set_synchronous(db, config->synchronous) < 0)
		return sq_schema_explain(db, "synchronous cannot be set", ret_reason);
	return STORE_OPEN_OK;
}

enum store_open_result
sq_schema_open(struct sq_db *db, const struct store_open_config *config, char **ret_reason)
{
	enum store_open_result result;
	bool there;

	*db = (struct sq_db){
	    .path = mem_text(config->path),
	    .retention_ms = config->retention_ms,
	    .cancelled_error = mem_text(config->cancelled_error),
	    .expired_error = mem_text(config->expired_error),
	    .dependency_error = config->dependency_error,
	    .takes = sq_takes_new(),
	    .done_rows = -1,
	};
	result = schema_look(db->path, &there, ret_reason);
	if (result == STORE_OPEN_OK && !there) {
		result = sq_wal_look_alone(db->path, ret_reason);
		if (result == STORE_OPEN_OK)
			result = schema_make(db, ret_reason);
	}
	if (result == STORE_OPEN_OK && there)
		result = sq_wal_look(db->path, config->synchronous, ret_reason);
	if (result == STORE_OPEN_OK)
		result = schema_open_there(db, config, ret_reason);
	if (result != STORE_OPEN_OK)
		sq_schema_close(db);
	return result;
}
