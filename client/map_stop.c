/*
 * The end of map before its time: Ctrl-C, a reader that left, or too many failures.
 *
 * What was submitted is cancelled in one request and its end awaited in another, so that when futurectl ends nothing of it
 * runs any more. Nothing is printed from then on but one line that says what happened.
 */
#include <stdio.h>

#include "ctl.h"
#include "map_private.h"

static const char *map_reason(enum map_end end)
{
	switch (end) {
	case MAP_GOES_ON: break;
	case MAP_INTERRUPTED: return "interrupted";
	case MAP_UNREAD: return "nobody reads its results any more";
	case MAP_GIVEN_UP: return "too many others of its map have failed";
	}
	return "stopped";
}

static void map_drop(int64_t *request)
{
	if (*request != 0)
		fut_drop(ctl.client, *request);
	*request = 0;
}

void map_cancel_behind(struct map *map, int64_t id)
{
	struct fut_params *params;
	struct select rest;
	size_t count = 0;

	if (!map_select_rest(map, &rest))
		return;
	for (size_t i = 0; i < rest.n_ranges; i++) {
		if (rest.ranges[i].last <= id)
			continue;
		rest.ranges[count] = rest.ranges[i];
		rest.ranges[count].first = rest.ranges[i].first > id ? rest.ranges[i].first : id + 1;
		count++;
	}
	rest.n_ranges = count;
	if (count > 0) {
		params = ctl_params();
		select_put(&rest, params);
		fut_params_string(params, "reason", map_reason(MAP_GIVEN_UP));
		map_drop(&map->cancel_request);
		map->cancel_request = ctl_send("cancel", params);
	}
	select_done(&rest);
}

void map_stop(struct map *map, enum map_end end)
{
	struct fut_params *params;
	struct select rest;

	if (map->end == MAP_GOES_ON)
		map->end = end;
	map_close_input(map);
	map_drop(&map->front_request);
	map_drop(&map->count_request);
	map_drop(&map->cancel_request);
	map_drop(&map->end_request);
	if (!map_select_rest(map, &rest))
		return;
	params = ctl_params();
	select_put(&rest, params);
	fut_params_string(params, "reason", map_reason(map->end));
	map->cancel_request = ctl_send("cancel", params);
	params = ctl_params();
	select_put(&rest, params);
	fut_params_bool(params, "jobs", false);
	map->end_request = ctl_send("await", params);
	select_done(&rest);
}

void map_take_end(struct map *map, int code, const char *result)
{
	struct span counts;
	int64_t cancelled = 0;

	map->end_request = 0;
	if (code < 0 && code != FUT_E_NOT_FOUND)
		ctl_die_failure();
	if (code == 0 && ctl_member(ctl_span(result), "counts", &counts))
		cancelled = ctl_member_integer(counts, "cancelled", 0);
	if (map->end == MAP_GIVEN_UP)
		ctl_say("%lld failed: the rest is given up, %lld of %lld jobs are cancelled", (long long)map->failed,
		    (long long)cancelled, (long long)map->submitted);
	else if (map->end == MAP_INTERRUPTED)
		ctl_say("interrupted: %lld of %lld jobs are cancelled", (long long)cancelled,
		    (long long)map->submitted);
}
