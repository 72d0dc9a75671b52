/*
 * The command map: one job for each line of input, one line of result for each, in the same order.
 *
 * Three things go on side by side in one loop: lines are gathered into batches and submitted, the results are fetched
 * from the front as they end, and on a terminal the ends are counted for the line of progress. The jobs stand in the
 * daemon, so memory is bounded by one batch and one window of results, however long the input is. The window grows
 * while whole windows have ended, so that fast jobs take few requests, and shrinks to where the front job is still
 * awaited.
 */
#include "map.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "items.h"
#include "job_options.h"
#include "progress.h"
#include "select.h"
#include "show.h"
#include "wait.h"

#define MAP_WINDOW_MIN 16
#define MAP_WINDOW_MAX 1000
#define MAP_TICK_MS    200
#define MAP_RETRY_MS   1000

struct map {
	struct items items;
	const char *task;

	/* The batch under way, or to be sent again at retry_ms. */
	struct text batch;
	size_t batch_count;
	int64_t batches; /* begun so far */
	int64_t map_request;
	int64_t retry_ms;

	/* What was submitted and not printed yet, by rising id. */
	struct fut_range *ranges;
	size_t n_ranges, first_range;
	int64_t submitted, printed, failed;

	/* The front: either its end is awaited, or a window of states and results fetched. */
	int64_t front_request;
	bool awaiting, ended; /* the front job has not ended; it has just been awaited */
	int64_t window, asked;

	int64_t count_request, cancel_request;
	int64_t count_sent_ms, count_next_ms;
	int64_t count_printed, count_failed; /* when the count was asked for */

	bool stopped; /* by Ctrl-C, or since nobody reads the results */
	int status;
};

static const char *map_file;

const struct option_spec map_options[] = {
    {"arg-file", 'a', OPTION_TEXT, &map_file, "FILE", "read the items from FILE in place of standard input"},
    {0},
};

static int64_t map_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct fut_range *map_front(const struct map *map)
{
	return map->first_range < map->n_ranges ? &map->ranges[map->first_range] : NULL;
}

static void map_add_range(struct map *map, int64_t first, int64_t count)
{
	struct fut_range *last = map->n_ranges > map->first_range ? &map->ranges[map->n_ranges - 1] : NULL;

	map->submitted += count;
	if (last != NULL && last->last + 1 == first) {
		last->last += count;
		return;
	}
	if (map->first_range > 0) {
		map->n_ranges -= map->first_range;
		memmove(map->ranges, map->ranges + map->first_range, map->n_ranges * sizeof(*map->ranges));
		map->first_range = 0;
	}
	map->ranges = reallocarray(map->ranges, map->n_ranges + 1, sizeof(*map->ranges));
	if (map->ranges == NULL)
		ctl_die_memory();
	map->ranges[map->n_ranges++] = (struct fut_range){first, first + count - 1};
}

/*
 * Submitting
 */

/*
 * The first batch has the key as it was given; whoever repeats the same input gets the same batches, so the others are
 * numbered.
 */
static void map_put_key(const struct map *map, struct fut_params *params)
{
	struct text key = {0};

	if (job_options.key == NULL)
		return;
	text_add_string(&key, job_options.key);
	if (map->batches > 1)
		text_add_format(&key, "#%lld", (long long)map->batches);
	fut_params_string(params, "key", ctl_text(&key));
	text_done(&key);
}

static void map_send_batch(struct map *map)
{
	struct fut_params *params = job_options_params();

	if (map->retry_ms == 0) {
		map->batches++;
		map->batch_count = items_take_batch(&map->items, &map->batch);
	}
	map->retry_ms = 0;
	fut_params_string(params, "task", map->task);
	fut_params_json(params, "items", text_string(&map->batch), map->batch.len);
	map_put_key(map, params);
	map->map_request = ctl_send("map", params);
}

static void map_cancel_rest(struct map *map)
{
	struct fut_params *params = ctl_params();
	struct select rest = {.ranges = map_front(map), .n_ranges = map->n_ranges - map->first_range};

	if (rest.n_ranges > 0) {
		select_put(&rest, params);
		fut_params_string(params, "reason", "interrupted");
		if (map->cancel_request != 0)
			fut_drop(ctl.client, map->cancel_request);
		map->cancel_request = ctl_send("cancel", params);
	} else {
		fut_params_free(params);
	}
}

/* Nothing more is read or submitted; what was is cancelled, and its end awaited. */
static void map_stop(struct map *map)
{
	if (map->stopped)
		return;
	map->stopped = true;
	items_stop(&map->items);
	text_clear(&map->items.batch);
	map->items.batch_count = 0;
	map->retry_ms = 0;
	map_cancel_rest(map);
}

static void map_take_submitted(struct map *map, int code, const char *result)
{
	struct span reply, retry_after;
	double seconds = MAP_RETRY_MS / 1000.0;

	map->map_request = 0;
	if (code == FUT_E_BUSY && !map->stopped) {
		if (fut_error_data(ctl.client) != NULL &&
		    ctl_member(ctl_span(fut_error_data(ctl.client)), "retry_after", &retry_after))
			(void)jsonspan_number(retry_after, &seconds);
		map->retry_ms = map_now_ms() + 1 + (int64_t)(seconds * 1000);
		return;
	}
	if (code < 0) {
		/* What was accepted before is seen to its end; the status tells that it was not all. */
		map->status = ctl_say_failure();
		items_stop(&map->items);
		text_clear(&map->items.batch);
		map->items.batch_count = 0;
		return;
	}
	reply = ctl_span(result);
	if (ctl_member_integer(reply, "count", -1) != (int64_t)map->batch_count ||
	    ctl_member_integer(reply, "first", 0) <= 0)
		ctl_die(CTL_REFUSED, "the daemon's answer to map is not of the form it should have");
	map_add_range(map, ctl_member_integer(reply, "first", 0), (int64_t)map->batch_count);
	text_clear(&map->batch);
	if (map->stopped)
		map_cancel_rest(map);
}

/*
 * Results
 */

static void map_ask_front(struct map *map)
{
	struct fut_params *params;
	struct fut_range *front = map_front(map), slice;
	struct select select = {.ranges = &slice, .n_ranges = 1};

	if (front == NULL || map->front_request != 0)
		return;
	params = ctl_params();
	slice = *front;
	map->awaiting = !map->ended;
	if (map->awaiting) {
		slice.last = slice.first;
		fut_params_bool(params, "jobs", false);
	} else {
		if (slice.last - slice.first >= map->window)
			slice.last = slice.first + map->window - 1;
		if (!ctl.json)
			fut_params_json(params, "fields", "[\"state\",\"result\",\"error\"]", SIZE_MAX);
	}
	map->asked = slice.last - slice.first + 1;
	select_put(&select, params);
	map->front_request = ctl_send(map->awaiting ? "await" : "status", params);
}

/* Takes the front job off. */
static void map_step(struct map *map)
{
	struct fut_range *front = map_front(map);

	map->printed++;
	if (++front->first > front->last)
		map->first_range++;
}

static void map_print_failed(struct map *map, int64_t id, const char *state, const char *cause)
{
	map->failed++;
	if (!ctl.json)
		puts("null");
	if (!map->stopped)
		ctl_say("item %lld (job %lld) %s: %s", (long long)map->printed + 1, (long long)id, state, cause);
}

static void map_print_job(struct map *map, struct span job)
{
	struct text cause = {0};
	struct span result;
	char *state;

	/* Results and progress may share a terminal. */
	progress_clear();
	if (ctl.json)
		ctl_print_line(job);
	if (ctl_member_is(job, "state", "succeeded")) {
		if (!ctl.json && ctl_member(job, "result", &result))
			ctl_print_line(result);
	} else {
		state = ctl_member_string(job, "state");
		show_write_cause(job, &cause);
		map_print_failed(map, ctl_member_integer(job, "id", 0), state != NULL ? state : "failed",
		    ctl_text(&cause));
		free(state);
		text_done(&cause);
	}
}

/* The front job cannot be shown, for a reason of its own. */
static void map_print_lost(struct map *map, const char *cause)
{
	map_print_failed(map, map_front(map)->first, "cannot be shown", cause);
	map_step(map);
}

static void map_take_window(struct map *map, const char *result)
{
	struct span jobs = ctl_span(result), job;
	struct jsonspan_iter iter;
	int64_t before = map->printed, end = map_front(map)->first + map->asked, id;

	if (jsonspan_type(jobs) != JSONSPAN_ARRAY)
		ctl_die(CTL_REFUSED, "the daemon's answer to status is not of the form it should have");
	map->ended = true;
	jsonspan_iter_init(&iter, jobs);
	while (map->ended && jsonspan_next(&iter, &job)) {
		id = ctl_member_integer(job, "id", 0);
		if (id >= end)
			break;
		while (map_front(map) != NULL && map_front(map)->first < id)
			map_print_lost(map, "it is no longer kept");
		if (map_front(map) == NULL || map_front(map)->first != id)
			break;
		map->ended = !ctl_member_is(job, "state", "pending") && !ctl_member_is(job, "state", "running");
		if (map->ended) {
			map_print_job(map, job);
			map_step(map);
		}
	}
	/* Ids of a range that are not known are left out: whole windows of them would never end. */
	while (map->ended && map_front(map) != NULL && map_front(map)->first < end &&
	    map->printed - before < map->asked)
		map_print_lost(map, "it is no longer kept");
	map->window = map->ended ? map->window * 2 : (map->printed - before) * 2;
	map->window = map->window < MAP_WINDOW_MIN ? MAP_WINDOW_MIN : map->window;
	map->window = map->window > MAP_WINDOW_MAX ? MAP_WINDOW_MAX : map->window;
}

static void map_take_front(struct map *map, int code, const char *result)
{
	map->front_request = 0;
	if (code == FUT_E_NOT_FOUND) {
		/* A window of nothing that is known, or the one job that was awaited. */
		for (int64_t i = 0; i < map->asked; i++)
			map_print_lost(map, "it is no longer kept");
	} else if (code == FUT_E_TOO_LARGE && map->asked > 1) {
		map->window = map->asked / 2;
	} else if (code == FUT_E_TOO_LARGE) {
		map_print_lost(map, "its result is too large for one message");
	} else if (code < 0) {
		ctl_die_failure();
	} else if (map->awaiting) {
		map->ended = true;
	} else {
		map_take_window(map, result);
	}
}

/*
 * Progress
 */

static void map_ask_counts(struct map *map)
{
	struct fut_params *params;
	struct select rest = {.ranges = map_front(map), .n_ranges = map->n_ranges - map->first_range};

	if (map->count_request != 0 || rest.n_ranges == 0 || map_now_ms() < map->count_next_ms)
		return;
	params = ctl_params();
	select_put(&rest, params);
	fut_params_bool(params, "jobs", false);
	fut_params_integer(params, "wait", 0);
	map->count_request = ctl_send("await", params);
	map->count_sent_ms = map_now_ms();
	map->count_printed = map->printed;
	map->count_failed = map->failed;
}

static void map_take_counts(struct map *map, int code, const char *result)
{
	struct progress progress = {.total = map->submitted, .growing = !items_is_over(&map->items)};
	int64_t now = map_now_ms();
	struct span counts;

	map->count_request = 0;
	/* Counting takes a large store a while: it should not be kept busy with that. */
	map->count_next_ms = now + MAP_TICK_MS + 10 * (now - map->count_sent_ms);
	if (code < 0 || !ctl_member(ctl_span(result), "counts", &counts))
		return;
	progress.failed = ctl_member_integer(counts, "failed", 0) + ctl_member_integer(counts, "cancelled", 0);
	progress.ended = map->count_printed + progress.failed + ctl_member_integer(counts, "succeeded", 0);
	progress.failed += map->count_failed;
	progress_draw(&progress);
}

/*
 * The loop
 */

static void map_take_replies(struct map *map)
{
	int64_t request;
	char *result;
	int r;

	for (;;) {
		result = NULL;
		r = fut_receive_any(ctl.client, 0, &request, &result);
		if (request == 0 && (r == FUT_E_TIMED_OUT || r == FUT_E_ARGUMENT))
			return;
		if (r == FUT_E_DISCONNECTED || r == FUT_E_BAD_REPLY)
			ctl_die_failure();
		if (request == map->map_request)
			map_take_submitted(map, r, result);
		else if (request == map->front_request)
			map_take_front(map, r, result);
		else if (request == map->count_request)
			map_take_counts(map, r, result);
		else if (request == map->cancel_request)
			map->cancel_request = 0;
		free(result);
		map_ask_front(map);
	}
}

static bool map_is_over(const struct map *map)
{
	return map->map_request == 0 && map->retry_ms == 0 && map->items.batch_count == 0 &&
	       items_is_over(&map->items) && map_front(map) == NULL;
}

/* Whether the batch should go out as soon as there is no input to be had at once. */
static bool map_may_send(const struct map *map)
{
	bool whole = items_is_full(&map->items) || items_is_over(&map->items);

	return map->map_request == 0 && map->retry_ms == 0 && map->items.batch_count > 0 &&
	       (whole || job_options.key == NULL);
}

static int map_timeout_ms(const struct map *map, bool progress)
{
	int64_t left = map->retry_ms - map_now_ms();
	int timeout_ms = progress && map_front(map) != NULL ? MAP_TICK_MS : -1;

	if (map->retry_ms == 0)
		return timeout_ms;
	left = left < 0 ? 0 : left > 60000 ? 60000 : left;
	return timeout_ms < 0 || left < timeout_ms ? (int)left : timeout_ms;
}

static void map_turn(struct map *map, bool progress)
{
	bool send = map_may_send(map);
	bool read = !map->items.eof && !items_is_full(&map->items);

	if (fflush(stdout) != 0)
		map_stop(map);
	if (wait_turn(read ? map->items.fd : -1, send ? 0 : map_timeout_ms(map, progress)))
		items_read(&map->items);
	else if (send)
		map_send_batch(map);
	if (map->retry_ms != 0 && map_now_ms() >= map->retry_ms)
		map_send_batch(map);
	if (wait_signal() != 0)
		map_stop(map);
	if (progress)
		map_ask_counts(map);
	map_take_replies(map);
}

/* Frees it; returns the exit status. */
static int map_finish(struct map *map)
{
	int status = map->failed > 0 ? CTL_JOB_FAILED : CTL_DONE;

	if (map->status != 0 || map->items.wrong)
		status = map->status != 0 ? map->status : CTL_REFUSED;
	items_done(&map->items);
	text_done(&map->batch);
	free(map->ranges);
	if (wait_signal() != 0)
		return 128 + wait_signal();
	return ferror(stdout) ? 128 + SIGPIPE : ctl_finish_output(status);
}

int map_main(struct operands *operands)
{
	struct map map = {.task = NULL, .window = MAP_WINDOW_MIN};
	struct args_exec exec = {.no_env = job_options.no_env};
	bool progress = progress_wanted();

	job_options_check(operands, false);
	if (job_options.args != NULL)
		ctl_die_usage("--args is for one job; the items of a map are the arguments");
	map.task = job_options_task(operands);
	items_open(&map.items, map_file);
	ctl_connect();
	map.items.task.name = map.task;
	map.items.command = operands->command;
	if (operands->command != NULL)
		args_write_exec_tail(&map.items.tail, &exec);
	wait_catch_signals();
	while (!map_is_over(&map)) {
		map_turn(&map, progress);
		map_ask_front(&map);
	}
	progress_clear();
	return map_finish(&map);
}
