/*
 * orphans: see orphans.h. A round: some names are read from the folder, their jobs are asked of the store, and the files of those that it
 * does not know are deleted. What the folder cannot tell, or the store, is left for the next start.
 */
#include "daemon/orphans.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/gather.h"
#include "daemon/log.h"
#include "daemon/mem.h"

#define ORPHANS_ROUND 512 /* names */

struct orphans {
	struct dispatch *dispatch;
	struct outfiles *outfiles;
	DIR *folder; /* NULL: done */
	int64_t next_id;
	int64_t ids[ORPHANS_ROUND]; /* rising, each once; then those that are known go */
	struct id_range ranges[ORPHANS_ROUND];
	size_t n;
	size_t at; /* of ids: the first that the store has not come to */
	size_t n_lost;
	int64_t n_deleted;
	bool end_of_folder;
	bool stopped;
};

static void orphans_round(struct orphans *orphans);

/* "ID.out" or "ID.err": the id, else 0. */
static int64_t
orphans_id(const char *name)
{
	char *end;
	long long id;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	errno = 0;
	id = strtoll(name, &end, 10);
	return errno == 0 && (strcmp(end, ".out") == 0 || strcmp(end, ".err") == 0) ? id : 0;
}

static int
orphans_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
orphans_end(struct orphans *orphans)
{
	if (orphans->folder != NULL)
		closedir(orphans->folder);
	orphans->folder = NULL;
	if (orphans->n_deleted > 0)
		log_notice("output files of %lld jobs that are gone were deleted", (long long)orphans->n_deleted);
	orphans->n_deleted = 0;
}

/* On the thread. */
static void
orphans_read_names(void *arg)
{
	struct orphans *orphans = arg;
	size_t n = 0, unique = 0;
	struct dirent *entry;
	int64_t id;

	while (n < ORPHANS_ROUND && (entry = readdir(orphans->folder)) != NULL) {
		id = orphans_id(entry->d_name);
		if (id > 0 && id < orphans->next_id)
			orphans->ids[n++] = id;
	}
	orphans->end_of_folder = n < ORPHANS_ROUND;
	qsort(orphans->ids, n, sizeof(orphans->ids[0]), orphans_compare);
	for (size_t i = 0; i < n; i++) {
		if (unique == 0 || orphans->ids[unique - 1] != orphans->ids[i])
			orphans->ids[unique++] = orphans->ids[i];
	}
	orphans->n = unique;
}

static void
orphans_next(void *arg)
{
	struct orphans *orphans = arg;

	orphans->n_deleted += (int64_t)orphans->n_lost;
	if (orphans->stopped || orphans->end_of_folder)
		orphans_end(orphans);
	else
		orphans_round(orphans);
}

/* Those before the known one are lost. */
static void
orphans_skip_to(struct orphans *orphans, int64_t known)
{
	while (orphans->at < orphans->n && orphans->ids[orphans->at] < known)
		orphans->ids[orphans->n_lost++] = orphans->ids[orphans->at++];
	if (orphans->at < orphans->n && orphans->ids[orphans->at] == known)
		orphans->at++;
}

static bool
orphans_known(const struct store_row *row, void *arg)
{
	orphans_skip_to(arg, row->id);
	return true;
}

static void
orphans_asked(int error, const char *reason, void *arg)
{
	struct orphans *orphans = arg;

	(void)reason;
	if (error != 0 || orphans->stopped) {
		orphans_end(orphans);
		return;
	}
	orphans_skip_to(orphans, INT64_MAX);
	if (orphans->n_lost > 0)
		outfiles_delete(orphans->outfiles, orphans->ids, orphans->n_lost, orphans_next, orphans);
	else
		orphans_next(orphans);
}

static void
orphans_have_names(void *arg)
{
	struct orphans *orphans = arg;
	struct gather_what what = {.ranges = orphans->ranges, .row = orphans_known, .done = orphans_asked, .arg = orphans};

	orphans->at = orphans->n_lost = 0;
	if (orphans->stopped || orphans->n == 0) {
		orphans_next(orphans);
		return;
	}
	for (size_t i = 0; i < orphans->n; i++)
		orphans->ranges[i] = (struct id_range){orphans->ids[i], orphans->ids[i]};
	what.n_ranges = orphans->n;
	gather_start(orphans->dispatch, &what);
}

static void
orphans_round(struct orphans *orphans)
{
	iopool_call(dispatch_iopool(orphans->dispatch), orphans_read_names, orphans_have_names, orphans);
}

struct orphans *
orphans_new(struct dispatch *dispatch, struct outfiles *outfiles, int dir, int64_t next_id)
{
	struct orphans *orphans = mem_new(sizeof(*orphans));
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	orphans->dispatch = dispatch;
	orphans->outfiles = outfiles;
	orphans->next_id = next_id;
	orphans->folder = fd >= 0 ? fdopendir(fd) : NULL;
	if (orphans->folder != NULL)
		orphans_round(orphans);
	else if (fd >= 0)
		close(fd);
	return orphans;
}

void
orphans_stop(struct orphans *orphans)
{
	if (orphans != NULL)
		orphans->stopped = true;
}

void
orphans_free(struct orphans *orphans)
{
	if (orphans == NULL)
		return;
	orphans_end(orphans);
	free(orphans);
}
