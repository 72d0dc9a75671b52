/*
 * The output of map in the order of its items, as the jobs at the front end.
 *
 * Either the end of the front job is awaited, or a window of jobs behind it is fetched. The window grows while whole
 * windows have ended, so that fast jobs take few requests, and shrinks to where the front job is still awaited.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "map_private.h"

#define MAP_WINDOW_MAX 1000

static bool map_skip_refused(struct map *map)
{
	struct map_piece *front;

	while ((front = map_front(map)) != NULL && front->refused) {
		map_print_refused(map);
		map_step(map);
	}
	return front != NULL;
}

void map_ask_front(struct map *map)
{
	struct fut_params *params;
	struct fut_range slice;
	struct select select = {.ranges = &slice, .n_ranges = 1};

	if (map->end != MAP_GOES_ON || map->unordered || map->front_request != 0 || !map_skip_refused(map))
		return;
	params = ctl_params();
	slice = map_front(map)->ids;
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

/* The front job cannot be shown, for a reason of its own. */
static void map_lose_front(struct map *map, const char *cause)
{
	map_print_lost(map, map->printed + 1, map_front(map)->ids.first, cause);
	map_step(map);
}

/* Whether the front is a job of an id below end. */
static bool map_front_is_below(const struct map *map, int64_t end)
{
	const struct map_piece *front = map_front(map);

	return front != NULL && !front->refused && front->ids.first < end;
}

static void map_take_window(struct map *map, const char *result)
{
	struct span jobs = ctl_span(result), job;
	struct jsonspan_iter iter;
	int64_t before = map->printed, end = map_front(map)->ids.first + map->asked, id;

	if (jsonspan_type(jobs) != JSONSPAN_ARRAY)
		ctl_die(CTL_REFUSED, "the daemon's answer to status is not of the form it should have");
	map->ended = true;
	jsonspan_iter_init(&iter, jobs);
	while (map->ended && !map_has_failed(map) && jsonspan_next(&iter, &job)) {
		id = ctl_member_integer(job, "id", 0);
		if (id >= end)
			break;
		/* Ids of a range that are not known are left out. */
		while (map_front_is_below(map, id))
			map_lose_front(map, "it is no longer kept");
		if (!map_front_is_below(map, id + 1))
			break;
		map->ended = !ctl_member_is(job, "state", "pending") && !ctl_member_is(job, "state", "running");
		if (map->ended) {
			map_print_job(map, map->printed + 1, job);
			map_step(map);
		}
	}
	while (map->ended && !map_has_failed(map) && map_front_is_below(map, end) &&
	       map->printed - before < map->asked)
		map_lose_front(map, "it is no longer kept");
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
			map_lose_front(map, "it is no longer kept");
	} else if (code == FUT_E_TOO_LARGE && map->asked > 1) {
		map->window = map->asked / 2;
	} else if (code == FUT_E_TOO_LARGE) {
		map_lose_front(map, "its result is too large for one message");
	} else if (code < 0) {
		ctl_die_failure();
	} else if (map->awaiting) {
		map->ended = true;
	} else {
		map_take_window(map, result);
	}
}
