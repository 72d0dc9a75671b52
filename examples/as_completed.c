/*
 * as_completed: many jobs by one map, and each result as soon as it is there, whatever the order.
 *
 *	cc -o as_completed as_completed.c $(pkg-config --cflags --libs libfutured)
 *	./as_completed 0.3 0.1 0.2
 *
 * Each job sleeps for so many seconds, so the shortest is told first. The watch could as well be opened by another
 * program, or again after a restart: all it needs is the ids.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <futured.h>

/* The arguments as a JSON array with the args of one job each: [[0.3],[0.1],[0.2]]. */
static char *items_of(char **words)
{
	size_t size = sizeof("[]");
	char *items, *at;

	for (char **word = words; *word != NULL; word++)
		size += strlen(*word) + sizeof("[],");
	items = at = malloc(size);
	if (items == NULL)
		errx(1, "out of memory");
	*at++ = '[';
	for (char **word = words; *word != NULL; word++)
		at += sprintf(at, "%s[%s]", word > words ? "," : "", *word);
	strcpy(at, "]");
	return items;
}

int main(int argc, char **argv)
{
	struct fut_client *client = fut_new("as_completed");
	struct fut_params *params = fut_params_new();
	char *items = items_of(argv + 1);
	struct fut_watch *watch;
	struct fut_range range;
	enum fut_event event;
	struct fut_job *job;
	int64_t first, count;
	int r;

	if (argc < 2)
		errx(2, "usage: as_completed SECONDS...");
	if (client == NULL || params == NULL)
		errx(1, "out of memory");
	if (fut_connect(client) < 0 || fut_map(client, "time.sleep", items, NULL, &first, &count) < 0)
		errx(1, "%s", fut_error_message(client));
	range.first = first;
	range.last = first + count - 1;
	fut_params_ranges(params, &range, 1);
	if (fut_watch(client, params, NULL, NULL, &watch) < 0)
		errx(1, "%s", fut_error_message(client));
	while ((r = fut_watch_next(watch, FUT_FOREVER, &event, &job)) > 0) {
		printf("%s %s\n", argv[1 + fut_job_id(job) - first],
		       fut_job_state(job) == FUT_SUCCEEDED ? fut_job_result(job) : fut_job_error_message(job));
		fflush(stdout);
		fut_job_free(job);
	}
	if (r < 0)
		errx(1, "%s", fut_error_message(client));
	fut_watch_free(watch);
	fut_params_free(params);
	free(items);
	fut_free(client);
	return 0;
}
