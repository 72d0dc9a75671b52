/*
 * The input of map: batches of items become jobs.
 *
 * One request is under way at a time, and what comes in meanwhile makes the next batch. While the daemon is busy a
 * batch is tried again in halves; an error ends the input, not the jobs that were accepted.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "job_options.h"
#include "map_private.h"
#include "select.h"

#define MAP_RETRY_MS 1000

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

/* How long the batch is up to the end of its first n items. */
static size_t map_length(const struct map *map, size_t n)
{
	struct span item = SPAN_NONE;
	struct jsonspan_iter iter;

	jsonspan_iter_init(&iter, (struct span){map->batch.at, map->batch.len});
	for (size_t i = 0; i < n; i++)
		(void)jsonspan_next(&iter, &item);
	return (size_t)(item.at + item.len - map->batch.at);
}

/* The lines behind the batch that were refused have their place behind its jobs. */
static void map_add_refused(struct map *map)
{
	for (; map->unordered && map->refused > 0; map->refused--)
		map_print_refused(map);
	if (map->refused > 0)
		map_add_piece(map, (struct fut_range){1, (int64_t)map->refused}, true);
	map->refused = 0;
}

void map_send_batch(struct map *map)
{
	struct fut_params *params;
	struct text items = {0};

	if (map->batch_count == 0) {
		map->batch_count = items_take_batch(&map->items, &map->batch, &map->refused);
		if (map->batch_count == 0 && map->refused > 0) {
			text_clear(&map->batch);
			map_add_refused(map);
			return;
		}
		map->batches++;
	}
	params = job_options_params();
	map->sent = map->batch_count < map->portion ? map->batch_count : map->portion;
	if (map->sent == map->batch_count) {
		fut_params_json(params, "items", text_string(&map->batch), map->batch.len);
	} else {
		text_add(&items, text_string(&map->batch), map_length(map, map->sent));
		text_add(&items, "]", 1);
		fut_params_json(params, "items", ctl_text(&items), items.len);
		text_done(&items);
	}
	fut_params_string(params, "task", map->task);
	map_put_key(map, params);
	map->map_request = ctl_send("map", params);
}

/* Takes what was accepted off the batch. */
static void map_shorten_batch(struct map *map)
{
	size_t length = map_length(map, map->sent);

	map->batch_count -= map->sent;
	if (map->batch_count == 0) {
		text_clear(&map->batch);
		return;
	}
	/* A comma stands there. */
	map->batch.at[length] = '[';
	map->batch.len -= length;
	memmove(map->batch.at, map->batch.at + length, map->batch.len);
}

void map_close_input(struct map *map)
{
	items_stop(&map->items);
	text_clear(&map->items.batch);
	map->items.batch_count = 0;
	map->items.refused = 0;
	map->batch_count = 0;
	map->refused = 0;
}

/*
 * The daemon has no room for so many now, perhaps never for so many at once: half of them are tried again later. With a
 * key the requests have to be the same each time, so that is a refusal.
 */
static void map_retry_later(struct map *map)
{
	double seconds = MAP_RETRY_MS / 1000.0;
	struct span data, retry_after;

	if (fut_error_data(ctl.client) != NULL) {
		data = ctl_span(fut_error_data(ctl.client));
		if (ctl_member(data, "retry_after", &retry_after))
			(void)jsonspan_number(retry_after, &seconds);
	}
	map->portion = map->sent > 1 ? map->sent / 2 : 1;
	map->retry_ms = map_now_ms() + (int64_t)(seconds * 1000);
}

/* In order: so many have ended as failures that nothing behind them is wanted. */
static bool map_has_seen_enough(const struct map *map)
{
	return map->max_fails > 0 && map->seen_failed >= map->max_fails;
}

void map_take_submitted(struct map *map, int code, const char *result)
{
	struct span reply;
	int64_t first;

	map->map_request = 0;
	if (code == FUT_E_BUSY && map->batch_count > 0 && job_options.key == NULL) {
		map_retry_later(map);
		return;
	}
	/* The input was closed while this was on its way: it is not missed. */
	if (code == FUT_E_BUSY && map_has_seen_enough(map))
		return;
	if (code < 0) {
		/* What was accepted before is seen to its end; the status tells that it was not all. */
		if (map->end == MAP_GOES_ON)
			map->status = ctl_say_failure();
		map_close_input(map);
		return;
	}
	reply = ctl_span(result);
	first = ctl_member_integer(reply, "first", 0);
	if (ctl_member_integer(reply, "count", -1) != (int64_t)map->sent || (first <= 0 && map->sent > 0))
		ctl_die(CTL_REFUSED, "the daemon's answer to map is not of the form it should have");
	if (map->sent == 0)
		return;
	map_add_piece(map, (struct fut_range){first, first + (int64_t)map->sent - 1}, false);
	map->submitted += (int64_t)map->sent;
	map->portion = map->portion < SIZE_MAX / 2 ? map->portion * 2 : map->portion;
	if (map->end != MAP_GOES_ON) {
		map_stop(map, map->end);
		return;
	}
	if (map_has_seen_enough(map)) {
		map_cancel_behind(map, map->last_failed);
		return;
	}
	map_add_watched(map, (struct fut_range){first, first + (int64_t)map->sent - 1});
	map_shorten_batch(map);
	if (map->batch_count == 0)
		map_add_refused(map);
}
