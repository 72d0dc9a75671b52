/*
 * gate: jobs that wait for others: what a submission waits for, and that a parent's end is noted for its children.
 *
 * The jobs of one submission have the same parents, so they stand before one gate: `gate` holds how many parents have still to come to what
 * the policy asks. `edge` leads from each parent to the gates of its children. Invariant: while a job waits at a gate all its parents have
 * their edge, also those that had ended before (retention spares who has one); a gate goes with the last of its edges and when nobody
 * waits there any more. What a parent's end does to its children stands in `todo` (see fan), from the same transaction on.
 */
#include "db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"
#include "daemon/text.h"

bool
sq_gate_fits(enum after_policy policy, enum job_state state)
{
	switch (policy) {
	case AFTER_SUCCEEDED: return state == JOB_SUCCEEDED;
	case AFTER_FINISHED: return true;
	case AFTER_FAILED: return state != JOB_SUCCEEDED;
	}
	return false;
}

int
sq_gate_look(struct sq_db *db)
{
	sqlite3_stmt *row = db->statements[SQ_GATE_LOOK];

	if (sq_row(db, SQ_GATE_LOOK) < 0)
		return -1;
	db->has_edges = sqlite3_column_int(row, 0) != 0;
	db->has_todo = sqlite3_column_int(row, 1) != 0;
	db->edges_dropped = false;
	sq_reset(db, SQ_GATE_LOOK);
	return 0;
}

int
sq_gate_settle(struct sq_db *db, struct store_batch *batch)
{
	(void)batch;
	return db->edges_dropped ? sq_gate_look(db) : 0;
}

int
sq_gate_is_parent(struct sq_db *db, int64_t first, int64_t last)
{
	int found;

	if (!db->has_edges)
		return 0;
	sq_bind(db, SQ_EDGE_IN, 1, first);
	sq_bind(db, SQ_EDGE_IN, 2, last);
	found = sq_row(db, SQ_EDGE_IN);
	sq_reset(db, SQ_EDGE_IN);
	return found;
}

/* ---- a submission ----------------------------------------------------------------------------------------- */

/* What the parents of a submission have come to. */
struct gate_parents {
	int64_t unmet;
	int64_t spoiler; /* the first that can never fit, or 0 */
	enum job_state spoiler_state;
	struct text unknown;
};

static int
gate_look_at(struct sq_db *db, const struct spec *spec, int64_t parent, struct gate_parents *parents)
{
	sqlite3_stmt *row = db->statements[SQ_PARENT_GET];
	const struct sq_line *line = NULL;
	enum job_state state;
	int found;

	sq_bind(db, SQ_PARENT_GET, 1, parent);
	found = sq_row(db, SQ_PARENT_GET);
	if (found < 0)
		return -1;
	if (found > 0)
		line = sq_names_get_line(&db->names, sqlite3_column_int64(row, 0));
	if (line == NULL || (spec->restricted && strcmp(sq_names_get_text(&db->names, line->owner), spec->owner) != 0)) {
		text_add_char(&parents->unknown, parents->unknown.len == 0 ? '[' : ',');
		text_add_integer(&parents->unknown, parent);
	} else if (sqlite3_column_type(row, 1) == SQLITE_NULL) {
		parents->unmet++;
	} else {
		state = (enum job_state)sqlite3_column_int(row, 1);
		if (parents->spoiler == 0 && !sq_gate_fits((enum after_policy)spec->after_policy, state)) {
			parents->spoiler = parent;
			parents->spoiler_state = state;
		}
		/* Its end is still being told, and will be told to whoever comes now too. */
		parents->unmet += sqlite3_column_int(row, 2);
	}
	sq_reset(db, SQ_PARENT_GET);
	return 0;
}

static int
gate_add(struct sq_db *db, const struct store_put *put, int64_t unmet)
{
	struct jsonspan_iter iter;
	struct span value;
	int64_t parent;

	sq_bind(db, SQ_GATE_ADD, 1, put->spec->id);
	sq_bind(db, SQ_GATE_ADD, 2, put->count);
	sq_bind(db, SQ_GATE_ADD, 3, unmet);
	sq_bind(db, SQ_GATE_ADD, 4, put->spec->after_policy);
	if (sq_run(db, SQ_GATE_ADD) < 0)
		return -1;
	db->has_edges = true;
	jsonspan_iter_init(&iter, put->spec->after);
	while (jsonspan_next(&iter, &value)) {
		if (jsonspan_integer(value, &parent) < 0)
			continue;
		sq_bind(db, SQ_EDGE_ADD, 1, parent);
		sq_bind(db, SQ_EDGE_ADD, 2, put->spec->id);
		if (sq_run(db, SQ_EDGE_ADD) < 0)
			return -1;
	}
	return 0;
}

int
sq_gate_put(struct sq_db *db, struct store_put *put)
{
	struct gate_parents parents = {0};
	struct jsonspan_iter iter;
	struct span value;
	int64_t parent;
	size_t len;

	jsonspan_iter_init(&iter, put->spec->after);
	while (jsonspan_next(&iter, &value)) {
		if (jsonspan_integer(value, &parent) == 0 && gate_look_at(db, put->spec, parent, &parents) < 0) {
			text_done(&parents.unknown);
			return -1;
		}
	}
	if (parents.unknown.len > 0) {
		text_add_lit(&parents.unknown, "]\0");
		put->unknown = text_steal(&parents.unknown, &len);
		put->answer = STORE_NO_PARENT;
		return 0;
	}
	if (parents.spoiler != 0) {
		return sq_todo_add(db, &(struct sq_todo){.kind = SQ_TODO_FAIL, .at = db->seq, .job = put->spec->id,
		    .last = put->spec->id + put->count - 1, .cause = parents.spoiler, .state = parents.spoiler_state});
	}
	if (parents.unmet > 0)
		return gate_add(db, put, parents.unmet);
	put->place = put->spec->not_before_ms > loop_wall_ms() ? STORE_DELAYED : STORE_READY;
	return 0;
}

/* ---- the end of a gate ------------------------------------------------------------------------------------ */

int
sq_gate_drop(struct sq_db *db, int64_t first, int64_t last, int64_t *ret_edges)
{
	sqlite3_stmt *row = db->statements[SQ_GATE_AFTER];
	struct jsonspan_iter iter;
	struct span value;
	int64_t parent;
	int result = -1;

	*ret_edges = 0;
	sq_bind(db, SQ_GATE_DROP, 1, first);
	sq_bind(db, SQ_GATE_AFTER, 1, first);
	sq_bind(db, SQ_GATE_AFTER, 2, last);
	if (sq_run(db, SQ_GATE_DROP) < 0)
		return -1;
	result = sq_row(db, SQ_GATE_AFTER);
	if (result <= 0)
		return result < 0 ? -1 : sq_fail_corrupt(db, "nobody waits for the parents of job %lld", (long long)first);
	db->edges_dropped = true;
	jsonspan_iter_init(&iter, sq_column_span(row, 0));
	for (result = 0; result == 0 && jsonspan_next(&iter, &value); (*ret_edges)++) {
		if (jsonspan_integer(value, &parent) < 0)
			continue;
		sq_bind(db, SQ_EDGE_DROP, 1, parent);
		sq_bind(db, SQ_EDGE_DROP, 2, first);
		result = sq_run(db, SQ_EDGE_DROP);
	}
	sq_reset(db, SQ_GATE_AFTER);
	return result;
}

/* Whether nobody but one job waits there: 1, 0, -1. */
static int
gate_is_for_one(struct sq_db *db, int64_t first, int64_t last)
{
	int64_t n;

	sq_bind(db, SQ_WAITING_FEW, 1, first);
	sq_bind(db, SQ_WAITING_FEW, 2, last);
	if (sq_row(db, SQ_WAITING_FEW) < 0)
		return -1;
	n = sqlite3_column_int64(db->statements[SQ_WAITING_FEW], 0);
	sq_reset(db, SQ_WAITING_FEW);
	return n == 1;
}

/* The gates' ranges are disjoint, so the one at or before id is its own or nobody's (its own has opened). */
static int
gate_leave(struct sq_db *db, int64_t id)
{
	sqlite3_stmt *row = db->statements[SQ_GATE_AT];
	int64_t first, last, edges;
	int found;

	sq_bind(db, SQ_GATE_AT, 1, id);
	found = sq_row(db, SQ_GATE_AT);
	if (found <= 0)
		return found;
	first = sqlite3_column_int64(row, 0);
	last = first + sqlite3_column_int64(row, 1) - 1;
	sq_reset(db, SQ_GATE_AT);
	if (last < id)
		return 0;
	found = gate_is_for_one(db, first, last);
	return found > 0 ? sq_gate_drop(db, first, last, &edges) : found;
}

int
sq_gate_take_out(struct sq_db *db, int64_t id)
{
	int found;

	sq_bind(db, SQ_WAITING_HAS, 1, id);
	found = sq_row(db, SQ_WAITING_HAS);
	sq_reset(db, SQ_WAITING_HAS);
	if (found <= 0)
		return found;
	sq_bind(db, SQ_WAITING_DROP, 1, id);
	return gate_leave(db, id) < 0 ? -1 : sq_drop(db, SQ_WAITING_DROP);
}
