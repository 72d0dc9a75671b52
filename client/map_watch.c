/*
 * What map hears of its jobs as they end, whatever their order: with --unordered their results, and in order, where it may
 * be given up, how many have failed.
 *
 * Each batch that was accepted gets a watch. There are at most MAP_WATCHES of them; batches that come meanwhile (of a line
 * each, say) share the next. Events come by fut_process, which map's loop calls.
 */
#include <stdlib.h>

#include "ctl.h"
#include "map_private.h"

#define MAP_WATCHES 1000

struct map_watch {
	struct ring ring; /* in map->open_watches */
	struct map *map;
	struct fut_watch *watch;
	int64_t expected, seen;
};

static void map_free_watch(struct map_watch *watch)
{
	watch->map->watches--;
	ring_remove(&watch->ring);
	fut_watch_free(watch->watch);
	free(watch);
}

static void map_end_watch(struct map_watch *watch)
{
	struct map *map = watch->map;
	int code = fut_watch_code(watch->watch);

	/* In order a daemon that knows no watch yet will do: then failures are found as they are printed. */
	if (code < 0 && code != FUT_E_NOT_FOUND && map->end == MAP_GOES_ON &&
	    (map->unordered || code != FUT_E_NO_SUCH_METHOD))
		ctl_die_failure();
	for (; map->unordered && watch->seen < watch->expected && map->end == MAP_GOES_ON; watch->seen++) {
		map_print_lost(map, 0, 0, "it is no longer kept");
		map->printed++;
	}
	map_free_watch(watch);
}

/* In order: what is behind so many failures is not worth its while; what is before them is still printed. */
static void map_note_ended(struct map *map, const struct fut_job *job)
{
	int64_t id = fut_job_id(job);

	if (fut_job_state(job) == FUT_SUCCEEDED)
		return;
	map->seen_failed++;
	map->last_failed = id > map->last_failed ? id : map->last_failed;
	if (map->seen_failed == map->max_fails) {
		map_close_input(map);
		map_cancel_behind(map, map->last_failed);
	}
}

static void map_take_event(struct fut_watch *handle, enum fut_event event, const struct fut_job *job, void *arg)
{
	struct map_watch *watch = arg;
	struct map *map = watch->map;

	(void)handle;
	if (event == FUT_EVENT_END) {
		map_end_watch(watch);
		return;
	}
	watch->seen++;
	if (map->end != MAP_GOES_ON)
		return;
	if (!map->unordered) {
		map_note_ended(map, job);
		return;
	}
	map_print_job(map, 0, ctl_span(fut_job_json(job)));
	map->printed++;
	if (map_has_failed(map))
		map_stop(map, MAP_GIVEN_UP);
}

void map_add_watched(struct map *map, struct fut_range ids)
{
	struct fut_range *last = map->n_unwatched > 0 ? &map->unwatched[map->n_unwatched - 1] : NULL;

	if (!map->unordered && map->max_fails == 0)
		return;
	if (last != NULL && last->last + 1 == ids.first) {
		last->last = ids.last;
		return;
	}
	map->unwatched = reallocarray(map->unwatched, map->n_unwatched + 1, sizeof(*map->unwatched));
	if (map->unwatched == NULL)
		ctl_die_memory();
	map->unwatched[map->n_unwatched++] = ids;
}

void map_ask_watch(struct map *map)
{
	struct fut_params *params;
	struct map_watch *watch;

	if (map->n_unwatched == 0 || map->watches == MAP_WATCHES || map->end != MAP_GOES_ON)
		return;
	watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		ctl_die_memory();
	watch->map = map;
	for (size_t i = 0; i < map->n_unwatched; i++)
		watch->expected += map->unwatched[i].last - map->unwatched[i].first + 1;
	params = ctl_params();
	fut_params_ranges(params, map->unwatched, map->n_unwatched);
	if (!map->unordered)
		fut_params_json(params, "fields", "[\"state\"]", SIZE_MAX);
	else if (!ctl.json)
		fut_params_json(params, "fields", "[\"state\",\"result\",\"error\"]", SIZE_MAX);
	if (fut_watch(ctl.client, params, map_take_event, watch, &watch->watch) < 0)
		ctl_die_failure();
	fut_params_free(params);
	ring_init(&watch->ring);
	ring_add(&map->open_watches, &watch->ring);
	map->watches++;
	map->n_unwatched = 0;
}

void map_drop_watches(struct map *map)
{
	while (!ring_is_empty(&map->open_watches))
		map_free_watch(RING_OF(ring_first(&map->open_watches), struct map_watch, ring));
}
