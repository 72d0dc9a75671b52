/*
 * settings: what queues are set to: paused, or how many of their jobs may run at once. A queue that is set to nothing has no row.
 */
#include "db.h"

#include "daemon/mem.h"

static void
setting_bind_limit(struct sq_db *db, int64_t limit)
{
	if (limit == SPEC_NONE)
		sq_bind_span(db, SQ_QUEUE_SET, 3, SPAN_NONE);
	else
		sq_bind(db, SQ_QUEUE_SET, 3, limit);
}

static int
setting_write(struct sq_db *db, const struct store_setting *setting)
{
	int64_t name;

	if (sq_names_text(db, setting->queue, &name) < 0)
		return -1;
	sq_bind(db, SQ_QUEUE_SET, 1, name);
	sq_bind(db, SQ_QUEUE_SET, 2, setting->sets_limit);
	setting_bind_limit(db, setting->limit);
	sq_bind(db, SQ_QUEUE_SET, 4, setting->sets_paused);
	sq_bind(db, SQ_QUEUE_SET, 5, setting->paused);
	sq_bind(db, SQ_QUEUE_TIDY, 1, name);
	return sq_run(db, SQ_QUEUE_SET) < 0 ? -1 : sq_run(db, SQ_QUEUE_TIDY);
}

int
sq_settings(struct sq_db *db, struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_setting; i++) {
		if (setting_write(db, &batch->setting[i]) < 0)
			return -1;
	}
	return 0;
}

int
sq_settings_tell(struct sq_db *db, struct store_opened *opened)
{
	sqlite3_stmt *row = db->statements[SQ_QUEUE_ALL];
	size_t capacity = 0;
	int found;

	while ((found = sq_row(db, SQ_QUEUE_ALL)) == 1) {
		const char *name = sq_names_get_text(&db->names, sqlite3_column_int64(row, 0));

		if (name == NULL) {
			sq_reset(db, SQ_QUEUE_ALL);
			return sq_fail_corrupt(db, "a queue with settings has no name");
		}
		opened->queues = mem_room(opened->queues, opened->n_queues, &capacity, sizeof(*opened->queues));
		opened->queues[opened->n_queues++] = (struct store_queue){
		    .queue = mem_text(name),
		    .limit = sq_column_time(row, 1),
		    .paused = sqlite3_column_int(row, 2) != 0,
		};
	}
	return found;
}
