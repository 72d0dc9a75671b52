/*
 * The output of map: a line for each job, in order, as the jobs at the front end.
 *
 * Either the end of the front job is awaited, or a window of jobs behind it is fetched. The window grows while whole
 * windows have ended, so that fast jobs take few requests, and shrinks to where the front job is still awaited. /
 */
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "map_private.h"
#include "progress.h"
#include "select.h"
#include "show.h"

#define MAP_WINDOW_MAX 1000

void map_ask_front(struct map *map)
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

void map_take_front(struct map *map, int code, const char *result)
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
