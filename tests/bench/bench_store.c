/*
 * bench_store: how many rows a second the store takes and gives, alone: a loop, the journal thread and a file. Prints a
 * line a measure.
 *
 *     bench_store [FOLDER [full|normal|off]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/mem.h"
#include "daemon/store.h"

#include <event2/event.h>

#define BATCH_MAX 8192
#define MAP_ITEMS 1000000

static char path[512];
static const char *synchronous = "full";
static struct loop *loop;
static struct store *store;
static struct store_opened opened;
static struct store_batch batch;
static struct spec specs[BATCH_MAX];
static int64_t next_id;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "bench_store: %s: %s\n", what, why);
	exit(1);
}

static int64_t
backoff(int64_t first_ms, int attempt)
{
	return first_ms * attempt;
}

static void
open_store(void)
{
	struct store_open_config config = {
	    .path = path,
	    .synchronous = synchronous,
	    .now_ms = loop_wall_ms(),
	    .retention_ms = 604800000,
	    .lost_error = "{}",
	    .cancelled_error = "{}",
	    .expired_error = "{}",
	    .backoff_ms = backoff,
	};
	char *reason;

	if (store_sqlite.open(loop, &config, &store, &opened, &reason) != STORE_OPEN_OK)
		fail("open", reason);
	next_id = opened.next_id;
}

static void
close_store(void)
{
	store_sqlite.close(store);
	store_opened_done(&opened);
}

/* ---- one batch -------------------------------------------------------------------------------------------- */

#define MEMBER(name)                                                                                     \
	(batch.name = mem_room(batch.name, batch.n_##name, &batch.name##_capacity, sizeof(*batch.name)), \
	    &batch.name[batch.n_##name++])

static bool done;

static void
batch_done(struct store_batch *ended, void *arg)
{
	(void)ended;
	(void)arg;
	done = true;
}

static void
commit(void)
{
	done = false;
	batch.done = batch_done;
	batch.high_water = next_id - 1;
	store_sqlite.commit(store, &batch);
	while (!done)
		event_base_loop(loop_base(loop), EVLOOP_ONCE);
	if (batch.verdict != STORE_COMMITTED)
		fail("commit", batch.reason);
}

static void
fill_spec(struct spec *spec)
{
	*spec = (struct spec){
	    .id = next_id++,
	    .pool = POOL_CPU,
	    .pure = true,
	    .idempotent = true,
	    .max_attempts = 3,
	    .submitted_ms = loop_wall_ms(),
	    .not_before_ms = SPEC_NONE,
	    .timeout_ms = SPEC_NONE,
	    .backoff_ms = 1000,
	    .retain_ms = SPEC_NONE,
	    .expires_ms = SPEC_NONE,
	    .task = "math.factorize",
	    .queue = "default",
	    .owner = "uid:1000",
	    .args = SPAN_LIT("[600851475143]"),
	};
}

static struct store_end
ended(void)
{
	int64_t now_ms = loop_wall_ms();

	return (struct store_end){.state = JOB_SUCCEEDED,
	    .json = SPAN_LIT("[71,839,1471,6857]"),
	    .attempt = 1,
	    .worker = 12345,
	    .started_ms = now_ms,
	    .finished_ms = now_ms,
	    .until_ms = now_ms + 604800000,
	    .usage = {100, 20, 3400, true}};
}

static void
add_put(size_t i, enum store_place place)
{
	struct store_put *put = MEMBER(put);

	fill_spec(&specs[i]);
	*put = (struct store_put){.spec = &specs[i], .count = 1, .place = place};
	if (place == STORE_DONE)
		put->end = ended();
}

/* ---- measures --------------------------------------------------------------------------------------------- */

static int64_t took_us[1 << 20];

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t
cpu_us(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* us on the clock; the processor's time is what was used since the last line. */
static void
tell(const char *what, size_t per, size_t commits, int64_t us)
{
	static int64_t told_us;
	double rows = (double)(per * commits);

	qsort(took_us, commits, sizeof(*took_us), compare);
	printf("%-20s %7zu a commit %8.0f rows/s %8.3f us/row %7.3f cpu  p50 %5lld p99 %6lld max %6lld us\n", what, per,
	    rows / (double)us * 1e6, (double)us / rows, (double)(cpu_us() - told_us) / rows,
	    (long long)took_us[commits / 2], (long long)took_us[commits * 99 / 100], (long long)took_us[commits - 1]);
	fflush(stdout);
	told_us = cpu_us();
}

static void
bench_put(const char *what, enum store_place place, size_t per, size_t commits)
{
	int64_t from_us = clock_mono_us(), us;

	for (size_t n = 0; n < commits; n++) {
		for (size_t i = 0; i < per; i++)
			add_put(i, place);
		us = clock_mono_us();
		commit();
		took_us[n] = clock_mono_us() - us;
		store_batch_clear(&batch);
	}
	tell(what, per, commits, clock_mono_us() - from_us);
}

/* Each job three times: put, then started, then ended. Told are the last two together. */
static void
bench_start_finish(size_t per, size_t commits)
{
	int64_t us = 0, from_us;

	for (size_t n = 0; n < commits; n++) {
		for (size_t i = 0; i < per; i++)
			add_put(i, STORE_READY);
		commit();
		store_batch_clear(&batch);
		from_us = clock_mono_us();
		for (size_t i = 0; i < per; i++)
			*MEMBER(start) = (struct store_start){.spec = &specs[i],
			    .token = (uint64_t)specs[i].id,
			    .attempt = 1,
			    .now_ms = specs[i].submitted_ms};
		commit();
		store_batch_clear(&batch);
		for (size_t i = 0; i < per; i++)
			*MEMBER(finish) =
			    (struct store_finish){.spec = &specs[i], .token = (uint64_t)specs[i].id, .end = ended()};
		commit();
		store_batch_clear(&batch);
		took_us[n] = (clock_mono_us() - from_us) / 2;
		us += clock_mono_us() - from_us;
	}
	tell("start, then finish", per, commits, us);
}

static void
bench_map(void)
{
	char *items = mem_new(MAP_ITEMS * 16 + 2), *at = items;
	struct store_put *put;
	int64_t from_us;

	for (int i = 0; i < MAP_ITEMS; i++)
		at += sprintf(at, "%c[%d]", i == 0 ? '[' : ',', 600000000 + i);
	*at++ = ']';
	add_put(0, STORE_READY);
	put = &batch.put[0];
	put->items = (struct span){items, (size_t)(at - items)};
	put->count = MAP_ITEMS;
	next_id += MAP_ITEMS - 1;
	from_us = clock_mono_us();
	commit();
	took_us[0] = clock_mono_us() - from_us;
	tell("map", MAP_ITEMS, 1, took_us[0]);
	store_batch_clear(&batch);
	free(items);
}

/* Runs the queue down through a window, each job put straight from ready to done. */
static void
bench_run_down(size_t window, size_t rounds)
{
	struct store_mark mark = {0, 0};
	int64_t from_us = clock_mono_us();
	struct store_ready *rows = NULL;
	size_t n_rows = 0;

	for (size_t round = 0; round < rounds; round++) {
		struct store_fill *fill = MEMBER(fill);
		int64_t us = clock_mono_us();

		*fill = (struct store_fill){.pool = POOL_CPU,
		    .queue = "default",
		    .owner = "uid:1000",
		    .from_start = round == 0,
		    .mark = mark,
		    .n = window,
		    .max_bytes = SIZE_MAX};
		for (size_t i = 0; i < n_rows; i++)
			*MEMBER(finish) =
			    (struct store_finish){.spec = rows[i].spec, .from_ready = true, .end = ended()};
		commit();
		for (size_t i = 0; i < n_rows; i++)
			spec_unref(rows[i].spec);
		free(rows);
		rows = batch.fill[0].rows;
		n_rows = batch.fill[0].n_rows;
		if (n_rows != window)
			fail("fill", "too few rows");
		mark = (struct store_mark){rows[n_rows - 1].spec->priority, rows[n_rows - 1].spec->id};
		store_batch_clear(&batch);
		took_us[round] = clock_mono_us() - us;
	}
	tell("fill and end", window, rounds, clock_mono_us() - from_us);
	for (size_t i = 0; i < n_rows; i++)
		spec_unref(rows[i].spec);
	free(rows);
}

static void
bench_fill(size_t n)
{
	struct store_fill *fill = MEMBER(fill);

	*fill = (struct store_fill){.pool = POOL_CPU,
	    .queue = "default",
	    .owner = "uid:1000",
	    .from_start = true,
	    .n = n,
	    .max_bytes = SIZE_MAX};
	took_us[0] = clock_mono_us();
	commit();
	took_us[0] = clock_mono_us() - took_us[0];
	tell("fill", n, 1, took_us[0]);
	for (size_t i = 0; i < batch.fill[0].n_rows; i++)
		spec_unref(batch.fill[0].rows[i].spec);
	free(batch.fill[0].rows);
	store_batch_clear(&batch);
}

static void
read_done(struct store_read *read, void *arg)
{
	(void)arg;
	done = true;
	if (read->error < 0)
		fail("read", read->reason);
}

static void
bench_read(const char *what, size_t max_rows, size_t reads, unsigned fields)
{
	struct id_range range = {1, next_id - 1};
	struct store_read read = {.ranges = &range,
	    .n_ranges = 1,
	    .max_rows = max_rows,
	    .max_bytes = SIZE_MAX,
	    .fields = fields,
	    .done = read_done};
	int64_t from_us = clock_mono_us(), us;
	size_t rows = 0;

	for (size_t n = 0; n < reads; n++) {
		us = clock_mono_us();
		done = false;
		store_sqlite.read(store, &read);
		while (!done)
			event_base_loop(loop_base(loop), EVLOOP_ONCE);
		took_us[n] = clock_mono_us() - us;
		rows += read.n_rows;
		read.cursor = read.next;
		store_read_done(&read);
	}
	tell(what, rows / reads, reads, clock_mono_us() - from_us);
}

/* All pages of a read that nothing fits, or little: rows are those that were gone through. */
static void
bench_scan(const char *what, unsigned states, char *label)
{
	struct selection_filter filter = {
	    .states = states, .labels = label != NULL ? &label : NULL, .n_labels = label != NULL};
	struct id_range range = {1, next_id - 1};
	struct store_read read = {.ranges = &range,
	    .n_ranges = 1,
	    .filter = &filter,
	    .max_rows = 1000,
	    .max_bytes = SIZE_MAX,
	    .done = read_done};
	int64_t from_us = clock_mono_us();
	size_t n = 0;

	do {
		int64_t us = clock_mono_us();

		done = false;
		store_sqlite.read(store, &read);
		while (!done)
			event_base_loop(loop_base(loop), EVLOOP_ONCE);
		took_us[n++] = clock_mono_us() - us;
		read.cursor = read.next;
		store_read_done(&read);
	} while (read.more);
	tell(what, (size_t)next_id / n, n, clock_mono_us() - from_us);
}

static void
bench_forget(size_t per, size_t commits)
{
	int64_t from_us = clock_mono_us(), us, id = 1;

	for (size_t n = 0; n < commits; n++) {
		for (size_t i = 0; i < per; i++)
			*MEMBER(forget) = id++;
		us = clock_mono_us();
		commit();
		took_us[n] = clock_mono_us() - us;
		store_batch_clear(&batch);
	}
	tell("forget", per, commits, clock_mono_us() - from_us);
}

static void
bench_open(void)
{
	int64_t us = clock_mono_us(), closed_us;

	close_store();
	closed_us = clock_mono_us();
	open_store();
	printf("close %lld ms, open %lld ms", (long long)(closed_us - us) / 1000,
	    (long long)(clock_mono_us() - closed_us) / 1000);
	for (size_t i = 0; i < opened.n_lines; i++)
		printf(", %lld ready in %s", (long long)opened.lines[i].ready, opened.lines[i].queue);
	printf("\n");
}

static void
remove_store(void)
{
	static const char *const suffixes[] = {"", "-wal"};

	for (int i = 0; i < 2; i++) {
		char *name = mem_format("%s%s", path, suffixes[i]);

		unlink(name);
		free(name);
	}
}

int
main(int argc, char **argv)
{
	snprintf(path, sizeof(path), "%s/bench_store.db", argc > 1 ? argv[1] : ".");
	if (argc > 2)
		synchronous = argv[2];
	remove_store();
	loop = loop_new();
	open_store();
	bench_put("put done", STORE_DONE, 1, 3000);
	bench_put("put done", STORE_DONE, 100, 2000);
	bench_put("put done", STORE_DONE, 1000, 500);
	bench_put("put ready", STORE_READY, 1, 3000);
	bench_put("put ready", STORE_READY, 10, 2000);
	bench_put("put ready", STORE_READY, 100, 2000);
	bench_put("put ready", STORE_READY, 1000, 500);
	bench_start_finish(1, 2000);
	bench_start_finish(1000, 200);
	bench_map();
	bench_open();
	bench_fill(8192);
	bench_run_down(8192, 60);
	bench_read("read rows", 1000, 300, STORE_FIELD_SPEC | STORE_FIELD_ARGS | STORE_FIELD_RESULT);
	bench_read("read one", 1, 10000, STORE_FIELD_SPEC | STORE_FIELD_ARGS | STORE_FIELD_RESULT);
	bench_scan("scan for a label", 0, "none");
	bench_scan("scan for pending", 1u << JOB_PENDING, NULL);
	bench_scan("scan for failed", 1u << JOB_FAILED, NULL);
	bench_forget(1000, 200);
	close_store();
	store_batch_done(&batch);
	loop_free(loop);
	remove_store();
	return 0;
}
