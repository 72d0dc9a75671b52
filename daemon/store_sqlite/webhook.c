/*
 * webhook: which ended jobs still have to tell somebody, and when.
 *
 * A row comes with the end of its job, in one transaction, and goes when its POST is done with, or with the job.
 * Invariant: each row's job is in done. How many there are is known without counting, so that what has no webhook never
 * looks into the table.
 */
#include "db.h"

#include <stdlib.h>

#include "daemon/mem.h"

int
sq_webhook_add(struct sq_db *db, int64_t id, int64_t run_at_ms)
{
	sq_bind(db, SQ_WEBHOOK_ADD, 1, id);
	sq_bind(db, SQ_WEBHOOK_ADD, 2, run_at_ms);
	db->webhooks_change++;
	db->new_webhooks++;
	return sq_run(db, SQ_WEBHOOK_ADD);
}

int
sq_webhooks_forget(struct sq_db *db, int64_t first, int64_t last)
{
	int found;

	if (db->webhooks + db->webhooks_change == 0)
		return 0;
	sq_bind(db, SQ_WEBHOOK_DROP_RANGE, 1, first);
	sq_bind(db, SQ_WEBHOOK_DROP_RANGE, 2, last);
	found = sq_drop(db, SQ_WEBHOOK_DROP_RANGE);
	db->webhooks_change -= found > 0 ? found : 0;
	return found < 0 ? -1 : 0;
}

/* One that has been forgotten meanwhile is found no more, and that is well. */
static int
webhook_settle(struct sq_db *db, const struct store_webhook *webhook)
{
	int found;

	if (webhook->run_at_ms != SPEC_NONE) {
		sq_bind(db, SQ_WEBHOOK_PUT_OFF, 1, webhook->id);
		sq_bind(db, SQ_WEBHOOK_PUT_OFF, 2, webhook->run_at_ms);
		sq_bind(db, SQ_WEBHOOK_PUT_OFF, 3, webhook->tries);
		return sq_run(db, SQ_WEBHOOK_PUT_OFF);
	}
	sq_bind(db, SQ_WEBHOOK_DROP, 1, webhook->id);
	found = sq_drop(db, SQ_WEBHOOK_DROP);
	db->webhooks_change -= found > 0 ? found : 0;
	return found < 0 ? -1 : 0;
}

int
sq_webhooks_settle(struct sq_db *db, struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_webhook; i++) {
		if (webhook_settle(db, &batch->webhook[i]) < 0)
			return -1;
	}
	return 0;
}

/* ---- which are due ---------------------------------------------------------------------------------------- */

static int
webhooks_find(struct sq_db *db, struct store_webhooks *webhooks)
{
	sqlite3_stmt *row = db->statements[SQ_WEBHOOK_DUE];
	size_t capacity = 0;
	int found;

	sq_bind(db, SQ_WEBHOOK_DUE, 1, webhooks->now_ms);
	sq_bind(db, SQ_WEBHOOK_DUE, 2, (int64_t)webhooks->max);
	while ((found = sq_row(db, SQ_WEBHOOK_DUE)) == 1) {
		webhooks->due = mem_room(webhooks->due, webhooks->n, &capacity, sizeof(*webhooks->due));
		webhooks->due[webhooks->n++] = (struct store_webhook_due){
		    .id = sqlite3_column_int64(row, 0), .tries = sqlite3_column_int(row, 1)};
	}
	return found;
}

/* There may be more that are due now, when as many were found as were asked for. */
static int
webhooks_find_next(struct sq_db *db, struct store_webhooks *webhooks)
{
	if (webhooks->n == webhooks->max) {
		webhooks->next_ms = webhooks->now_ms;
		return 0;
	}
	sq_bind(db, SQ_WEBHOOK_NEXT, 1, webhooks->now_ms);
	if (sq_row(db, SQ_WEBHOOK_NEXT) < 0)
		return -1;
	webhooks->next_ms = sq_column_time(db->statements[SQ_WEBHOOK_NEXT], 0);
	sq_reset(db, SQ_WEBHOOK_NEXT);
	return 0;
}

void
sq_webhooks(struct sq_db *db, struct store_webhooks *webhooks)
{
	webhooks->due = NULL;
	webhooks->n = 0;
	webhooks->next_ms = SPEC_NONE;
	webhooks->error = 0;
	if (db->webhooks == 0 ||
	    (webhooks_find(db, webhooks) == 0 && webhooks_find_next(db, webhooks) == 0))
		return;
	webhooks->error = -1;
	free(webhooks->due);
	webhooks->due = NULL;
	webhooks->n = 0;
}
