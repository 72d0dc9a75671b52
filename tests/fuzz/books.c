/*
 * books: see books.h. Only what was read while nothing was committed is compared.
 */
#include "tests/fuzz/books.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/dispatch_private.h"
#include "tests/fuzz/fuzz.h"

#define IDS_MAX	   4096
#define READS_MAX  32
#define QUEUES_MAX 16

/* What is known of a job from outside. */
struct entry {
	bool accepted;
	bool ended;
	enum job_state state; /* once it has ended */
	int64_t seq;	      /* 0: not known yet */
	bool here;	      /* it is in the store, now */
};

struct sums {
	int64_t pending, running;
};

static struct entry entries[IDS_MAX];
static bool may_forget;

void
books_clear(void)
{
	memset(entries, 0, sizeof(entries));
	may_forget = false;
}

void
books_accepted(int64_t first, int64_t count)
{
	FUZZ_CHECK(first >= 1 && count >= 1, "jobs that are none were accepted");
	for (int64_t id = first; id < first + count && id < IDS_MAX; id++)
		entries[id].accepted = true;
}

void
books_may_forget(void)
{
	may_forget = true;
}

static void
note_end(int64_t id, enum job_state state, int64_t seq)
{
	struct entry *entry = &entries[id];

	FUZZ_CHECK(!entry->ended || entry->state == state, "job %lld has ended twice", (long long)id);
	FUZZ_CHECK(entry->seq == 0 || seq == 0 || entry->seq == seq, "job %lld has another place now", (long long)id);
	entry->ended = true;
	entry->state = state;
	entry->seq = seq != 0 ? seq : entry->seq;
}

void
books_shown(int64_t id, const char *word)
{
	enum job_state state;

	FUZZ_CHECK(job_state_parse(word, &state) == 0, "there is no state %s", word);
	if (id < 1 || id >= IDS_MAX)
		return;
	if (state >= JOB_SUCCEEDED)
		note_end(id, state, 0);
}

/* ---- one row ------------------------------------------------------------------------------------------------------ */

/* Where memory has a job must be where the store has it; *ret_running: it counts as running. */
static void
check_place(const struct dispatch *dispatch, const struct store_row *row, bool *ret_running)
{
	const struct job *job = job_find(&dispatch->jobs, row->id);
	bool runs = job != NULL && (job->state == FSM_RUNNING || job->state == FSM_STOPPING);
	const struct line *line;
	struct queue *queue;

	*ret_running = row->place == STORE_RUNNING || (job != NULL && job->loose);
	switch (row->place) {
	case STORE_RUNNING:
		FUZZ_CHECK(runs && !job->loose, "job %lld is running in the store alone", (long long)row->id);
		return;
	case STORE_DELAYED:
	case STORE_WAITING:
	case STORE_DONE:
		FUZZ_CHECK(job == NULL, "job %lld is in memory still", (long long)row->id);
		return;
	case STORE_READY: break;
	}
	if (job != NULL) {
		FUZZ_CHECK(job->state == FSM_READY || (job->loose && runs), "job %lld is ready, and %s in memory", (long long)row->id,
		    fsm_state_name(job->state));
		return;
	}
	queue = queues_find(&dispatch->queues, row->spec.queue);
	line = queue != NULL ? queues_find_line(queue, row->spec.pool, row->spec.owner) : NULL;
	FUZZ_CHECK(line != NULL && !line->complete, "job %lld is ready, and memory will never know", (long long)row->id);
	FUZZ_CHECK(line->n > 0 || line->filling, "job %lld is ready, and its line stands still", (long long)row->id);
}

static void
check_row(const struct dispatch *dispatch, const struct store_row *row)
{
	FUZZ_CHECK(row->id >= 1 && row->id < dispatch->next_id, "job %lld was never handed out", (long long)row->id);
	FUZZ_CHECK(row->spec.id == row->id, "job %lld calls itself %lld", (long long)row->id, (long long)row->spec.id);
	FUZZ_CHECK((row->place == STORE_DONE) == (row->state >= JOB_SUCCEEDED), "job %lld is %s", (long long)row->id,
	    job_state_name(row->state));
	FUZZ_CHECK(row->attempt >= 0 && row->attempt <= row->spec.max_attempts, "job %lld has had %d attempts of %d",
	    (long long)row->id, row->attempt, row->spec.max_attempts);
	FUZZ_CHECK(row->place != STORE_DONE || jsonspan_validate_reply(row->json, NULL, NULL) == 0, "job %lld has no result",
	    (long long)row->id);
}

/* ---- all of them -------------------------------------------------------------------------------------------------- */

struct check {
	struct dispatch *dispatch;
	int64_t n_rows, last_seq;
	int64_t pending, running;
	struct {
		const struct queue *queue;
		struct sums sums;
	} queues[QUEUES_MAX];
	size_t n_queues;
};

static struct sums *
sums_of(struct check *check, const char *name)
{
	const struct queue *queue = queues_find(&check->dispatch->queues, name);
	size_t i = 0;

	FUZZ_CHECK(queue != NULL, "nobody knows the queue %s", name);
	while (i < check->n_queues && check->queues[i].queue != queue)
		i++;
	FUZZ_CHECK(i < QUEUES_MAX, "too many queues");
	if (i == check->n_queues)
		check->queues[check->n_queues++].queue = queue;
	return &check->queues[i].sums;
}

static void
take_row(struct check *check, const struct store_row *row)
{
	struct sums *sums;
	bool running;

	check_row(check->dispatch, row);
	check_place(check->dispatch, row, &running);
	check->n_rows++;
	if (row->id < IDS_MAX)
		entries[row->id].here = true;
	if (row->place == STORE_DONE) {
		FUZZ_CHECK(row->seq > 0, "job %lld has no place", (long long)row->id);
		if (row->id < IDS_MAX)
			note_end(row->id, row->state, row->seq);
		return;
	}
	FUZZ_CHECK(row->id >= IDS_MAX || !entries[row->id].ended, "job %lld had ended and lives again", (long long)row->id);
	sums = sums_of(check, row->spec.queue);
	sums->running += running;
	sums->pending += !running;
	check->running += running;
	check->pending += !running;
}

static void
read_done(struct store_read *read, void *arg)
{
	(void)read;
	*(bool *)arg = true;
}

/* All rows; false when something was committed meanwhile. */
static bool
read_rows(struct stage *stage, void (*each_turn)(void), struct check *check)
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	struct dispatch *dispatch = stage->server.dispatch;
	struct store_read read = {.ranges = &all, .n_ranges = 1, .max_rows = 1000, .max_bytes = 8 << 20, .done = read_done};
	uint64_t number = dispatch->number;
	bool done, unchanged = true;

	read.fields = STORE_FIELD_SPEC | STORE_FIELD_RESULT | STORE_FIELD_ERROR;
	do {
		done = false;
		read.arg = &done;
		dispatch_read(dispatch, &read);
		loop_again(stage->loop);
		while (!done) {
			stage_turn(stage, true);
			each_turn();
		}
		FUZZ_CHECK(read.error == 0, "the store cannot be read: %s", read.reason);
		unchanged = unchanged && dispatch->number == number && !stage_is_busy(stage);
		for (size_t i = 0; i < read.n_rows && unchanged; i++)
			take_row(check, &read.rows[i]);
		read.cursor = read.next;
		store_read_done(&read);
	} while (read.more);
	return unchanged;
}

static void
check_queues(const struct check *check)
{
	const struct queues *queues = &check->dispatch->queues;
	const struct queue *queue;
	int64_t pending = 0, running = 0;

	for (size_t i = 0; i < check->n_queues; i++) {
		queue = check->queues[i].queue;
		FUZZ_CHECK(queue->pending == check->queues[i].sums.pending && queue->running == check->queues[i].sums.running,
		    "queue %s counts %lld and %lld, the store %lld and %lld", queue->name, (long long)queue->pending,
		    (long long)queue->running, (long long)check->queues[i].sums.pending, (long long)check->queues[i].sums.running);
	}
	for (queue = queues->by_name; queue != NULL; queue = queue->hh.next) {
		pending += queue->pending;
		running += queue->running;
	}
	FUZZ_CHECK(pending == check->pending && running == check->running, "the queues count %lld and %lld, the store %lld and %lld",
	    (long long)pending, (long long)running, (long long)check->pending, (long long)check->running);
	FUZZ_CHECK(queues->pending == pending && queues->running == running, "in all %lld and %lld", (long long)queues->pending,
	    (long long)queues->running);
}

static void
check_memory(const struct dispatch *dispatch)
{
	struct job *job, *next;

	HASH_ITER(hh, dispatch->jobs.by_id, job, next) {
		int64_t id = job->spec->id;

		FUZZ_CHECK(id >= IDS_MAX || entries[id].here, "job %lld, %s, is in memory alone", (long long)id,
		    fsm_state_name(job->state));
		FUZZ_CHECK(job->counted_running == (job->state != FSM_READY), "job %lld is counted wrong", (long long)id);
	}
}

void
books_check(struct stage *stage, void (*each_turn)(void))
{
	struct check check;

	do {
		stage_settle(stage, each_turn);
		check = (struct check){.dispatch = stage->server.dispatch};
		for (size_t i = 0; i < IDS_MAX; i++)
			entries[i].here = false;
	} while (!read_rows(stage, each_turn, &check));
	check_queues(&check);
	check_memory(check.dispatch);
	for (int64_t id = 1; id < IDS_MAX; id++)
		FUZZ_CHECK(entries[id].here || !entries[id].accepted || may_forget, "job %lld was accepted and is gone", (long long)id);
}
