/*
 * checkpoint: when the write-ahead log is copied into the database, so that the next commit begins it anew.
 *
 * A log that is written over syncs twice as fast as one that grows, and a checkpoint takes as long as there are
 * different pages in it (measured: 400 pages of small commits 0.3 ms, 1,000 pages of a flood 5 ms, 16,000 200 ms); so
 * it is done often, right after an answer went out. But where a sync is slow, two of them for each few commits would be
 * most of the work: hence a least number of commits between. What is left when work stops is done after a while; then
 * there is no wake-up at all.
 */
#include "db.h"

#include <stdio.h>

#include "daemon/log.h"

/* Due at so many pages, if there were so many commits. */
static const struct {
	int frames, commits;
} checkpoint_due[] = {{400, 100}, {600, 25}, {1500, 6}, {16000, 0}};

#define CHECKPOINT_MANY	     400
#define CHECKPOINT_MANY_LAZY 1000 /* where commits do not sync, the checkpoint alone does */
#define CHECKPOINT_RETRY     4000 /* more pages, after one that failed */
#define CHECKPOINT_SOON_MS   20
#define CHECKPOINT_IDLE_MS   1000

static int
checkpoint_hook(void *arg, sqlite3 *sqlite, const char *name, int frames)
{
	struct sq_db *db = arg;

	(void)sqlite;
	(void)name;
	db->log_frames = frames;
	return SQLITE_OK;
}

int
sq_checkpoint_register(struct sq_db *db)
{
	/* This also ends SQLite's own checkpoints. */
	sqlite3_wal_hook(db->sqlite, checkpoint_hook, db);
	return 0;
}

static bool
checkpoint_failed_lately(const struct sq_db *db)
{
	return db->log_failed > 0 && db->log_frames < db->log_failed + CHECKPOINT_RETRY;
}

bool
sq_checkpoint_due(const struct sq_db *db)
{
	if (checkpoint_failed_lately(db) || db->broken || (db->lazy_sync && db->log_frames < CHECKPOINT_MANY_LAZY))
		return false;
	for (size_t i = 0; i < sizeof(checkpoint_due) / sizeof(checkpoint_due[0]); i++) {
		if (db->log_frames >= checkpoint_due[i].frames && db->log_commits >= checkpoint_due[i].commits)
			return true;
	}
	return false;
}

int
sq_checkpoint_idle_ms(const struct sq_db *db)
{
	if (db->log_frames == 0 || db->broken || checkpoint_failed_lately(db))
		return -1;
	return db->log_frames >= CHECKPOINT_MANY ? CHECKPOINT_SOON_MS : CHECKPOINT_IDLE_MS;
}

void
sq_checkpoint(struct sq_db *db)
{
	int in_log = 0, copied = 0;
	int rc = sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);

	if (rc == SQLITE_OK && copied == in_log) {
		db->log_frames = db->log_commits = db->log_failed = 0;
		return;
	}
	db->log_failed = db->log_frames;
	if (rc == SQLITE_OK)
		return;
	sq_fail(db, rc);
	/* The database has no room, or the like: all is safe in the log. A failed write or sync is another matter. */
	if (!sq_failure_is_full(&db->failure) &&
	    (db->failure.code == SQLITE_IOERR || db->failure.code == SQLITE_CORRUPT)) {
		db->broken = true;
		snprintf(db->reason, sizeof(db->reason), "checkpoint: %s", db->failure.text);
		/* It may be long until a commit tells of it. */
		log_error("store: %s; what was acknowledged is safe, and the next change will end the daemon", db->reason);
	}
}
