/*
 * How map prints an item: its result, its job with --json, or with --output what its command wrote.
 *
 * What a command wrote comes with its result unless it was long or the job failed; then it is asked for, a piece at a time,
 * while everything else waits: results have their order, so nothing else could be printed anyway.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "map_private.h"
#include "progress.h"
#include "show.h"

#define MAP_PIECE 65536

/* How many bytes there were. */
static int64_t map_fetch_output(int64_t id, enum fut_stream stream, FILE *out)
{
	struct fut_chunk chunk = {.eof = false};

	do {
		if (fut_output(ctl.client, id, stream, chunk.next, MAP_PIECE, 0, &chunk) < 0)
			ctl_die_failure();
		fwrite(chunk.bytes, 1, chunk.len, out);
		free(chunk.bytes);
	} while (!chunk.eof && chunk.len > 0);
	return chunk.next;
}

static void map_print_whole(int64_t id, struct span result, enum fut_stream stream, FILE *out)
{
	size_t len = 0;
	char *text = NULL, who[32];
	int64_t kept;

	if (result.at != NULL && !ctl_member_is_true(result, "truncated"))
		text = show_read_stream(result, stream, &len);
	if (text != NULL) {
		fwrite(text, 1, len, out);
		free(text);
		return;
	}
	kept = map_fetch_output(id, stream, out);
	snprintf(who, sizeof(who), "job %lld", (long long)id);
	if (result.at != NULL)
		(void)show_say_lack(who, result, stream, kept);
}

static void map_print_output(int64_t id, struct span job)
{
	struct span result = SPAN_NONE;

	if (!ctl_member(job, "result", &result))
		result = SPAN_NONE;
	map_print_whole(id, result, FUT_STDOUT, stdout);
	fflush(stdout);
	map_print_whole(id, result, FUT_STDERR, stderr);
}

/* item is its place in the input, 0 where that is not known. */
static void map_fail(struct map *map, int64_t item, int64_t id, const char *what, const char *cause)
{
	map->failed++;
	if (!ctl.json && !map->output)
		puts("null");
	if (item > 0 && what != NULL)
		ctl_say("item %lld (job %lld) %s: %s", (long long)item, (long long)id, what, cause);
	else if (what != NULL)
		ctl_say("job %lld %s: %s", (long long)id, what, cause);
}

void map_print_refused(struct map *map)
{
	map_fail(map, 0, 0, NULL, NULL);
}

void map_print_lost(struct map *map, int64_t item, int64_t id, const char *cause)
{
	map_fail(map, item, id, "cannot be shown", cause);
}

void map_print_job(struct map *map, int64_t item, struct span job)
{
	int64_t id = ctl_member_integer(job, "id", 0);
	struct text cause = {0};
	struct span result;

	/* Results and progress may share a terminal. */
	progress_clear();
	if (ctl.json)
		ctl_print_line(job);
	else if (map->output)
		map_print_output(id, job);
	if (!ctl_member_is(job, "state", "succeeded")) {
		show_write_cause(job, &cause);
		map_fail(map, item, id, ctl_member_is(job, "state", "cancelled") ? "cancelled" : "failed",
		    ctl_text(&cause));
		text_done(&cause);
	} else if (!ctl.json && !map->output && ctl_member(job, "result", &result)) {
		ctl_print_line(result);
	}
}
