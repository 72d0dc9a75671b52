/*
 * commit: one batch, one transaction.
 *
 * The verdict is what the loop builds its promises on. Before COMMIT nothing of a batch can become durable, so a
 * failure there is "certainly not applied" — a disk that has no room, or anything passing. COMMIT writes and syncs the
 * log: there only SQLITE_FULL (and what the kernel refuses for a limit) and SQLITE_BUSY say that the record of the
 * commit was not written. Whatever else fails there, and any failed read or write or damage at any time, leaves a state
 * that nobody knows: the verdict is UNKNOWN, and nothing is committed after it, for a second fsync might succeed
 * without having written what the first one lost.
 */
#include "db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the transaction -------------------------------------------------------------------------------------- */

int
sq_begin(struct sq_db *db)
{
	db->meta = db->saved;
	db->meta_owed = db->saved_behind;
	db->committing = false;
	db->done_change = db->webhooks_change = 0;
	db->new_webhooks = 0;
	db->n_ends = 0;
	return sq_run(db, SQ_BEGIN);
}

static int
commit_save_meta(struct sq_db *db)
{
	if (!db->meta_owed)
		return 0;
	sq_bind(db, SQ_META_SAVE, 1, db->meta.high_water);
	sq_bind(db, SQ_META_SAVE, 2, db->meta.incarnation);
	sq_bind(db, SQ_META_SAVE, 3, db->meta.seq_reserved);
	return sq_run(db, SQ_META_SAVE);
}

int
sq_end(struct sq_db *db)
{
	if (commit_save_meta(db) < 0)
		return -1;
	db->committing = true;
	if (sq_run(db, SQ_COMMIT) < 0)
		return -1;
	db->committing = false;
	db->saved = db->meta;
	db->saved_behind = false;
	db->names.added = false;
	if (db->done_rows >= 0)
		db->done_rows += db->done_change;
	db->webhooks += db->webhooks_change;
	db->log_commits++;
	return 0;
}

int
sq_rollback(struct sq_db *db)
{
	struct sq_failure failure = db->failure;
	bool added = db->names.added;

	/* SQLite may have rolled back by itself. */
	if (!sqlite3_get_autocommit(db->sqlite) && sq_run(db, SQ_ROLLBACK) < 0)
		return -1;
	db->meta = db->saved;
	db->due_changed = true;
	db->n_ends = 0;
	if ((added && sq_names_load(db) < 0) || sq_gate_look(db) < 0)
		return -1;
	db->failure = failure;
	return 0;
}

/* ---- the verdict ------------------------------------------------------------------------------------------ */

bool
sq_failure_is_full(const struct sq_failure *failure)
{
	if (failure->code == SQLITE_FULL)
		return true;
	return failure->extended == SQLITE_IOERR_WRITE &&
	    (failure->system == ENOSPC || failure->system == EDQUOT || failure->system == EFBIG);
}

static enum store_verdict
commit_verdict(const struct sq_failure *failure, bool committing)
{
	if (sq_failure_is_full(failure))
		return STORE_FULL;
	switch (failure->code) {
	case SQLITE_IOERR:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return STORE_UNKNOWN;
	case SQLITE_BUSY: return STORE_UNAVAILABLE;
	}
	return committing ? STORE_UNKNOWN : STORE_UNAVAILABLE;
}

static void
commit_drop_rows(struct store_ready **rows, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		spec_unref((*rows)[i].spec);
	free(*rows);
	*rows = NULL;
	*n = 0;
}

void
sq_batch_drop_rows(struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_fill; i++)
		commit_drop_rows(&batch->fill[i].rows, &batch->fill[i].n_rows);
	commit_drop_rows(&batch->promote.rows, &batch->promote.n_rows);
	batch->promote.rows_capacity = 0;
	for (size_t i = 0; i < batch->n_put; i++) {
		free(batch->put[i].unknown);
		batch->put[i].unknown = NULL;
	}
}

static void
commit_fail(struct sq_db *db, struct store_batch *batch)
{
	batch->verdict = commit_verdict(&db->failure, db->committing);
	snprintf(batch->reason, sizeof(batch->reason), "%s", db->failure.text);
	sq_batch_drop_rows(batch);
	batch->n_gone = 0;
	if (sq_rollback(db) < 0) {
		batch->verdict = STORE_UNKNOWN;
		snprintf(batch->reason, sizeof(batch->reason), "after a failure: %s", db->failure.text);
	}
	if (batch->verdict == STORE_UNKNOWN) {
		db->broken = true;
		snprintf(db->reason, sizeof(db->reason), "%s", batch->reason);
	}
}

/* ---- the batch -------------------------------------------------------------------------------------------- */

/*
 * next_id after a restart is behind the highest id in job and behind meta.high_water, so meta needs to be written only
 * for ids that have no row: those of refused submissions, and those that are forgotten here.
 */
static int
commit_high_water(struct sq_db *db, struct store_batch *batch)
{
	if (batch->high_water > db->top || (batch->n_forget > 0 && db->meta.high_water < db->top)) {
		db->meta.high_water = batch->high_water > db->top ? batch->high_water : db->top;
		db->meta_owed = true;
	}
	return 0;
}

static int
commit_members(struct sq_db *db, struct store_batch *batch)
{
	static int (*const members[])(struct sq_db * db, struct store_batch * batch) = {
	    sq_finish,
	    sq_release,
	    sq_put,
	    sq_cancel,
	    sq_start,
	    sq_expire,
	    sq_fan,
	    sq_promote,
	    sq_fill,
	    sq_forget,
	    sq_webhooks_settle,
	    sq_settings,
	    sq_keys_sweep,
	    commit_high_water,
	    sq_gate_settle,
	};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (members[i](db, batch) < 0)
			return -1;
	}
	return sq_next_due(db);
}

void
sq_commit(struct sq_db *db, struct store_batch *batch)
{
	int64_t top = db->top;

	batch->verdict = STORE_COMMITTED;
	batch->reason[0] = '\0';
	batch->n_gone = 0;
	batch->promote.rows = NULL;
	batch->promote.n_rows = batch->promote.rows_capacity = 0;
	if (db->broken) {
		batch->verdict = STORE_UNKNOWN;
		snprintf(batch->reason, sizeof(batch->reason), "%s", db->reason);
		return;
	}
	if (sq_begin(db) < 0 || commit_members(db, batch) < 0 || sq_end(db) < 0) {
		commit_fail(db, batch);
		db->top = top;
	} else if (db->top < db->meta.high_water) {
		db->top = db->meta.high_water;
	}
	batch->next_due_ms = db->next_due_ms;
	batch->new_webhooks = db->new_webhooks;
}
