/*
 * The command map: one job for each line of input, one line of result for each, in the same order.
 *
 * Three things go on side by side in one loop: lines are gathered into batches and submitted, the results are fetched
 * from the front as they end, and on a terminal the ends are counted for the line of progress. The jobs stand in the
 * daemon, so memory is bounded by one batch and one window of results, however long the input is.
 */
#include "map.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "job_options.h"
#include "map_private.h"
#include "options.h"
#include "progress.h"
#include "select.h"
#include "wait.h"

#define MAP_TICK_MS 200

static const char *map_file;
static bool map_output, map_unordered, map_fail_fast;
static struct option_integer map_max_fails;

static const struct option_spec map_options[] = {
    {"arg-file", 'a', OPTION_TEXT, &map_file, "FILE", "read the items from FILE in place of standard input"},
    {"output", 'o', OPTION_FLAG, &map_output, NULL, "print what the commands wrote, in place of results"},
    {"unordered", 'u', OPTION_FLAG, &map_unordered, NULL, "print results as they come, not in order"},
    {"fail-fast", 0, OPTION_FLAG, &map_fail_fast, NULL, "cancel the rest as soon as one has failed"},
    {"max-fails", 0, OPTION_INTEGER, &map_max_fails, "N", "cancel the rest once N have failed"},
    {0},
};

int64_t map_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * What was submitted
 */

struct map_piece *map_front(const struct map *map)
{
	return map->first_piece < map->n_pieces ? &map->pieces[map->first_piece] : NULL;
}

void map_add_piece(struct map *map, struct fut_range ids, bool refused)
{
	struct map_piece *last = map_front(map) != NULL ? &map->pieces[map->n_pieces - 1] : NULL;

	if (last != NULL && !last->refused && !refused && last->ids.last + 1 == ids.first) {
		last->ids.last = ids.last;
		return;
	}
	if (map->first_piece > 0) {
		map->n_pieces -= map->first_piece;
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): there is a first piece */
		memmove(map->pieces, map->pieces + map->first_piece, map->n_pieces * sizeof(*map->pieces));
		map->first_piece = 0;
	}
	map->pieces = reallocarray(map->pieces, map->n_pieces + 1, sizeof(*map->pieces));
	if (map->pieces == NULL)
		ctl_die_memory();
	map->pieces[map->n_pieces++] = (struct map_piece){ids, refused};
}

void map_step(struct map *map)
{
	struct map_piece *front = map_front(map);

	map->printed++;
	if (++front->ids.first > front->ids.last)
		map->first_piece++;
}

bool map_select_rest(const struct map *map, struct select *ret_rest)
{
	struct fut_range *ranges = calloc(map->n_pieces + 1, sizeof(*ranges));
	size_t count = 0;

	if (ranges == NULL)
		ctl_die_memory();
	for (size_t i = map->first_piece; i < map->n_pieces; i++)
		if (!map->pieces[i].refused)
			ranges[count++] = map->pieces[i].ids;
	if (count == 0) {
		free(ranges);
		return false;
	}
	*ret_rest = (struct select){.ranges = ranges, .n_ranges = count};
	return true;
}

/*
 * Progress
 */

/* Without any item the daemon is asked all the same, once: it knows whether there is that task. */
static bool map_is_to_ask(const struct map *map)
{
	return map->batches == 0 && map->items.line == 0 && items_is_over(&map->items);
}

/* Whether more may be submitted than was. */
static bool map_is_growing(const struct map *map)
{
	return !items_is_over(&map->items) || map->items.batch_count > 0 || map->batch_count > 0 || map_is_to_ask(map);
}

/* What has ended has been printed: nobody needs to be asked. */
static void map_draw_printed(struct map *map)
{
	struct progress progress = {
	    .ended = map->printed,
	    .failed = map->failed,
	    .total = map->submitted,
	    .growing = map_is_growing(map),
	};

	if (map->end != MAP_GOES_ON || map_now_ms() < map->count_next_ms)
		return;
	map->count_next_ms = map_now_ms() + MAP_TICK_MS;
	progress_draw(&progress);
}

static void map_ask_counts(struct map *map)
{
	struct fut_params *params;
	struct select rest;

	if (map->unordered) {
		map_draw_printed(map);
		return;
	}
	if (map->end != MAP_GOES_ON || map->count_request != 0 || map_now_ms() < map->count_next_ms ||
	    !map_select_rest(map, &rest))
		return;
	params = ctl_params();
	select_put(&rest, params);
	select_done(&rest);
	fut_params_bool(params, "jobs", false);
	fut_params_integer(params, "wait", 0);
	map->count_request = ctl_send("await", params);
	map->count_sent_ms = map_now_ms();
	map->count_printed = map->printed;
	map->count_failed = map->failed;
}

static void map_take_counts(struct map *map, int code, const char *result)
{
	struct progress progress = {
	    .total = map->submitted,
	    .growing = map_is_growing(map),
	};
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

bool map_has_failed(const struct map *map)
{
	return map->max_fails > 0 && map->failed >= map->max_fails;
}

static void map_take_replies(struct map *map)
{
	int64_t request;
	char *result;
	int r;

	/* Callbacks first: what is due after a reply was read is told by the next wait, a reply that is there is not. */
	if (fut_process(ctl.client, 0) < 0)
		ctl_die_failure();
	for (;;) {
		map_ask_watch(map);
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
		else if (request == map->end_request)
			map_take_end(map, r, result);
		free(result);
		if (map->end == MAP_GOES_ON && map_has_failed(map))
			map_stop(map, MAP_GIVEN_UP);
		map_ask_front(map);
	}
}

static bool map_is_over(const struct map *map)
{
	if (map->map_request != 0)
		return false;
	if (map->end != MAP_GOES_ON)
		return map->end_request == 0;
	if (map_is_growing(map))
		return false;
	return map->unordered ? map->n_unwatched == 0 && map->watches == 0 : map_front(map) == NULL;
}

/*
 * Whether there is something to submit; what was gathered goes out as soon as there is no more input to be had at once.
 */
static bool map_may_send(const struct map *map)
{
	bool whole = items_is_full(&map->items) || items_is_over(&map->items);

	if (map->map_request != 0)
		return false;
	if (map->batch_count > 0)
		return map_now_ms() >= map->retry_ms;
	return (map->items.batch_count > 0 && (whole || job_options.key == NULL)) || map->items.refused > 0 || map_is_to_ask(map);
}

static int map_timeout_ms(const struct map *map, bool progress)
{
	int64_t left = map->retry_ms - map_now_ms();
	int timeout_ms = progress && map_front(map) != NULL ? MAP_TICK_MS : -1;

	if (map->batch_count == 0 || map->map_request != 0)
		return timeout_ms;
	left = left < 0 ? 0 : left > 60000 ? 60000 : left;
	return timeout_ms < 0 || left < timeout_ms ? (int)left : timeout_ms;
}

static void map_turn(struct map *map, bool progress)
{
	bool send = map_may_send(map);
	bool read = !map->items.eof && !items_is_full(&map->items);

	if ((fflush(stdout) != 0 || ferror(stdout)) && map->end == MAP_GOES_ON)
		map_stop(map, MAP_UNREAD);
	if (wait_turn(read ? map->items.fd : -1, send ? 0 : map_timeout_ms(map, progress)))
		items_read(&map->items);
	else if (send && map->end == MAP_GOES_ON)
		map_send_batch(map);
	if (wait_signal() != 0 && map->end == MAP_GOES_ON)
		map_stop(map, MAP_INTERRUPTED);
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
	map_drop_watches(map);
	items_done(&map->items);
	text_done(&map->batch);
	free(map->pieces);
	free(map->unwatched);
	if (wait_signal() != 0)
		return 128 + wait_signal();
	return ferror(stdout) ? 128 + SIGPIPE : ctl_finish_output(status);
}

static int map_main(struct operands *operands)
{
	struct map map = {.task = NULL, .window = MAP_WINDOW_MIN, .portion = SIZE_MAX};
	struct args_exec exec = {.no_env = job_options.no_env};
	bool progress = progress_wanted();

	job_options_check(operands, false);
	if (job_options.args != NULL)
		ctl_die_usage("--args is for one job; the items of a map are the arguments");
	if (map_output && (operands->command == NULL || ctl.json))
		ctl_die_usage(ctl.json ? "--output and --json exclude each other" : "--output is for a command");
	if (map_fail_fast && map_max_fails.given)
		ctl_die_usage("--fail-fast is --max-fails 1; give one");
	if (map_max_fails.given && map_max_fails.value < 1)
		ctl_die_usage("--max-fails is 1 or more");
	ring_init(&map.open_watches);
	map.output = map_output;
	map.unordered = map_unordered;
	map.max_fails = map_fail_fast ? 1 : map_max_fails.value;
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

const struct command map_commands[] = {
    {
	.name = "map",
	.synopsis = "[OPTION]... TASK [-a FILE]\n[OPTION]... [-a FILE] -- COMMAND {}",
	.summary = "one job for each line of input, results in order",
	.text = "Reads items, one a line, from standard input or FILE; submits a job for each;\n"
		"prints the results as JSON, a line each, in the same order. A job that failed gives\n"
		"null, and its cause on standard error.\n"
		"\n"
		"For a task, a line that is a JSON array or object is all its arguments, any other\n"
		"its one argument. For a command, {} in its arguments stands for the line; without\n"
		"any {} the line is its last argument.\n"
		"\n"
		"With --output what the commands wrote is printed in place of results, unmixed.\n"
		"--unordered prints each as it ends. --fail-fast and --max-fails cancel the rest; in\n"
		"order, what stands before the failure is still printed.\n"
		"\n"
		"Ctrl-C cancels all that has not ended. With --key KEY, input that takes several\n"
		"requests has KEY#2, KEY#3... for those behind the first.\n"
		"\n"
		"Examples:\n"
		"  seq 1000000000000 1000000000100 | futurectl map math.factorize\n"
		"  find /usr/share/doc -type f | futurectl map file.sha256\n"
		"  ls *.wav | futurectl map --fail-fast -- flac --silent {}\n",
	.options = {map_options, job_options_table, job_options_command},
	.operands = COMMAND_TAKES_TASK,
	.takes_command = true,
	.run = map_main,
    },
    {0},
};
