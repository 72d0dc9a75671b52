/*
 * fan: what a parent's end does to its children, in steps that nobody feels.
 *
 * `todo` holds what is left to do, from the transaction of the end on, so a crash in between loses nothing: the next start goes on. Each
 * commit does some of it, in the order of the kinds: what may go goes first. A step deletes what it has done (or moves `last`), so it is
 * done once. Ends that a step makes are ends as any other: their children come next, and a chain falls link by link.
 */
#include "db.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

#define FAN_MAX	  1000 /* gates and jobs in one commit */
#define FAN_BYTES (16 << 20)

/* ---- the list --------------------------------------------------------------------------------------------- */

static void
todo_bind_key(struct sq_db *db, enum sq_statement which, const struct sq_todo *todo)
{
	sq_bind(db, which, 1, todo->kind);
	sq_bind(db, which, 2, todo->at);
	sq_bind(db, which, 3, todo->job);
}

int
sq_todo_add(struct sq_db *db, const struct sq_todo *todo)
{
	db->has_todo = true;
	todo_bind_key(db, SQ_TODO_ADD, todo);
	sq_bind(db, SQ_TODO_ADD, 4, todo->last);
	sq_bind(db, SQ_TODO_ADD, 5, todo->cause);
	sq_bind(db, SQ_TODO_ADD, 6, todo->state);
	return sq_run(db, SQ_TODO_ADD);
}

static int
todo_drop(struct sq_db *db, const struct sq_todo *todo)
{
	todo_bind_key(db, SQ_TODO_DROP, todo);
	return sq_run(db, SQ_TODO_DROP);
}

static int
todo_next(struct sq_db *db, struct sq_todo *ret_todo)
{
	sqlite3_stmt *row = db->statements[SQ_TODO_NEXT];
	int found = sq_row(db, SQ_TODO_NEXT);

	if (found <= 0)
		return found;
	*ret_todo = (struct sq_todo){
	    .kind = sqlite3_column_int(row, 0),
	    .at = sqlite3_column_int64(row, 1),
	    .job = sqlite3_column_int64(row, 2),
	    .last = sqlite3_column_int64(row, 3),
	    .cause = sqlite3_column_int64(row, 4),
	    .state = (enum job_state)sqlite3_column_int(row, 5),
	};
	sq_reset(db, SQ_TODO_NEXT);
	return 1;
}

static void
todo_bind_waiting(struct sq_db *db, enum sq_statement which, const struct sq_todo *todo, int64_t n)
{
	sq_bind(db, which, 1, todo->job);
	sq_bind(db, which, 2, todo->last);
	sq_bind(db, which, 3, n);
}

static int
fan_drop_waiting(struct sq_db *db, int64_t id)
{
	sq_bind(db, SQ_WAITING_DROP, 1, id);
	return sq_run(db, SQ_WAITING_DROP);
}

/* ---- tell the gates --------------------------------------------------------------------------------------- */

/* One gate hears of the end: costs what it took. */
static int
tell_gate(struct sq_db *db, const struct sq_todo *todo, int64_t first, int64_t *ret_cost)
{
	struct sq_todo next = {.at = todo->at, .job = first, .cause = todo->job, .state = todo->state};
	sqlite3_stmt *row = db->statements[SQ_GATE_GET];
	enum after_policy policy;
	int64_t unmet;
	int found;

	*ret_cost = 0;
	sq_bind(db, SQ_GATE_GET, 1, first);
	found = sq_row(db, SQ_GATE_GET);
	if (found <= 0)
		return found < 0 ? -1 : sq_fail_corrupt(db, "job %lld has a parent and no gate", (long long)first);
	next.last = first + sqlite3_column_int64(row, 0) - 1;
	unmet = sqlite3_column_int64(row, 1);
	policy = (enum after_policy)sqlite3_column_int(row, 2);
	sq_reset(db, SQ_GATE_GET);
	next.kind = sq_gate_fits(policy, todo->state) ? SQ_TODO_OPEN : SQ_TODO_FAIL;
	if (next.kind == SQ_TODO_OPEN && unmet > 1) {
		sq_bind(db, SQ_GATE_MEET, 1, first);
		return sq_run(db, SQ_GATE_MEET);
	}
	return sq_gate_drop(db, first, next.last, ret_cost) < 0 ? -1 : sq_todo_add(db, &next);
}

static int
tell_collect(struct sq_db *db, const struct sq_todo *todo, int64_t n, int64_t *firsts, size_t *ret_n)
{
	int found;

	*ret_n = 0;
	sq_bind(db, SQ_EDGE_NEXT, 1, todo->job);
	sq_bind(db, SQ_EDGE_NEXT, 2, todo->last);
	sq_bind(db, SQ_EDGE_NEXT, 3, n);
	while ((found = sq_row(db, SQ_EDGE_NEXT)) == 1)
		firsts[(*ret_n)++] = sqlite3_column_int64(db->statements[SQ_EDGE_NEXT], 0);
	return found;
}

static int
fan_tell(struct sq_db *db, struct sq_todo *todo, int64_t *left)
{
	int64_t firsts[FAN_MAX], asked = *left, cost;
	size_t n, i;

	if (tell_collect(db, todo, asked, firsts, &n) < 0)
		return -1;
	for (i = 0; i < n && *left > 0; i++) {
		if (tell_gate(db, todo, firsts[i], &cost) < 0)
			return -1;
		*left -= 1 + cost;
		todo->last = firsts[i];
	}
	if ((int64_t)n < asked && i == n)
		return todo_drop(db, todo);
	todo_bind_key(db, SQ_TODO_MOVE, todo);
	sq_bind(db, SQ_TODO_MOVE, 4, todo->last);
	return sq_run(db, SQ_TODO_MOVE);
}

/* ---- jobs that may go ------------------------------------------------------------------------------------- */

/* To ready or to delayed; the latter are none of the loop's business yet. */
static int
open_one(struct sq_db *db, struct store_ready *row, int64_t now_ms)
{
	const struct spec *spec = row->spec;
	int64_t task, line;

	if (fan_drop_waiting(db, spec->id) < 0 || sq_names_spec(db, spec, &task, &line) < 0)
		return -1;
	if (spec->not_before_ms <= now_ms)
		return sq_ready_add(db, line, spec->priority, spec->id, 0);
	sq_bind(db, SQ_DELAYED_ADD, 1, spec->id);
	sq_bind(db, SQ_DELAYED_ADD, 2, spec->not_before_ms);
	sq_bind(db, SQ_DELAYED_ADD, 3, 0);
	sq_bind(db, SQ_DELAYED_ADD, 4, line);
	if (sq_run(db, SQ_DELAYED_ADD) < 0)
		return -1;
	spec_unref(row->spec);
	row->spec = NULL;
	return 0;
}

static int
fan_open(struct sq_db *db, struct store_batch *batch, const struct sq_todo *todo, int64_t *left)
{
	struct store_promote *promote = &batch->promote;
	size_t from = promote->n_rows, to = from;
	int64_t now_ms = loop_wall_ms();
	int more;

	todo_bind_waiting(db, SQ_WAITING_OPEN, todo, *left + 1);
	more = sq_promote_collect(db, SQ_WAITING_OPEN, promote, (size_t)*left, FAN_BYTES);
	if (more < 0)
		return -1;
	for (size_t i = from; i < promote->n_rows; i++) {
		if (open_one(db, &promote->rows[i], now_ms) < 0)
			return -1;
	}
	*left -= (int64_t)(promote->n_rows - from);
	for (size_t i = from; i < promote->n_rows; i++) {
		if (promote->rows[i].spec != NULL)
			promote->rows[to++] = promote->rows[i];
	}
	promote->n_rows = to;
	if (more > 0) {
		*left = 0; /* the rest in the next commit: its args are many */
		return 0;
	}
	return todo_drop(db, todo);
}

/* ---- jobs that may never go ------------------------------------------------------------------------------- */

static int
fail_collect(struct sq_db *db, const struct sq_todo *todo, int64_t n, struct sq_pending *jobs, size_t *ret_n)
{
	sqlite3_stmt *row = db->statements[SQ_WAITING_FAIL];
	int found;

	*ret_n = 0;
	todo_bind_waiting(db, SQ_WAITING_FAIL, todo, n);
	while ((found = sq_row(db, SQ_WAITING_FAIL)) == 1) {
		struct sq_pending *job = &jobs[(*ret_n)++];

		job->id = sqlite3_column_int64(row, 0);
		job->line = sqlite3_column_int64(row, 1);
		job->retain_ms = sq_column_time(row, 2);
		job->expires_ms = sq_column_time(row, 3);
		job->webhook = sqlite3_column_int(row, 4) != 0;
		if (sq_names_get_line(&db->names, job->line) == NULL) {
			sq_reset(db, SQ_WAITING_FAIL);
			return sq_fail_corrupt(db, "job %lld waits in no line", (long long)job->id);
		}
	}
	return found;
}

static int
fail_jobs(struct sq_db *db, struct store_batch *batch, const struct sq_pending *jobs, size_t n, const struct store_end *end)
{
	struct store_end *ends = mem_new_array(n, sizeof(*ends));
	int result = 0;

	for (size_t i = 0; result == 0 && i < n; i++) {
		ends[i] = *end;
		if (fan_drop_waiting(db, jobs[i].id) < 0 || sq_expiring_drop(db, jobs[i].expires_ms, jobs[i].id) < 0)
			result = -1;
		else
			sq_gone_note(db, batch, &jobs[i], &ends[i]);
	}
	if (result == 0)
		result = sq_ends_write(db);
	free(ends);
	return result;
}

static int
fan_fail(struct sq_db *db, struct store_batch *batch, const struct sq_todo *todo, int64_t *left)
{
	struct store_end end = {.state = JOB_FAILED, .finished_ms = loop_wall_ms()};
	struct sq_pending *jobs = mem_new_array((size_t)*left, sizeof(*jobs));
	char *error = db->dependency_error(todo->cause, todo->state);
	int64_t asked = *left;
	int result = -1;
	size_t n;

	end.json = (struct span){error, strlen(error)};
	if (fail_collect(db, todo, asked, jobs, &n) == 0 && (n == 0 || fail_jobs(db, batch, jobs, n, &end) == 0))
		result = (int64_t)n < asked ? todo_drop(db, todo) : 0;
	*left -= 1 + (int64_t)n;
	free(error);
	free(jobs);
	return result;
}

/* ---- a commit's share ------------------------------------------------------------------------------------- */

static int
fan_step(struct sq_db *db, struct store_batch *batch, struct sq_todo *todo, int64_t *left)
{
	switch (todo->kind) {
	case SQ_TODO_OPEN: return fan_open(db, batch, todo, left);
	case SQ_TODO_FAIL: return fan_fail(db, batch, todo, left);
	case SQ_TODO_TELL: return fan_tell(db, todo, left);
	}
	return sq_fail_corrupt(db, "nobody knows how to do %d", todo->kind);
}

int
sq_fan(struct sq_db *db, struct store_batch *batch)
{
	int64_t left = FAN_MAX;
	struct sq_todo todo;

	if (!db->has_todo)
		return 0;
	db->due_changed = true;
	while (left > 0) {
		int found = todo_next(db, &todo);

		if (found < 0)
			return -1;
		if (found == 0) {
			db->has_todo = false;
			return 0;
		}
		if (fan_step(db, batch, &todo, &left) < 0)
			return -1;
	}
	return 0;
}
