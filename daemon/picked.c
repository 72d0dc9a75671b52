/*
 * picked: see picked.h.
 */
#include "daemon/picked.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/gather.h"
#include "daemon/mem.h"
#include "daemon/server.h"

#define PICKED_REPLY_BYTES 96 /* of one job in the reply, at the most */

void
picked_done(struct picked *picked)
{
	selection_done(&picked->selection);
	free(picked->owner);
	free(picked->jobs);
}

struct picked_job *
picked_find(const struct picked *picked, int64_t id)
{
	size_t low = 0, high = picked->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (picked->jobs[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < picked->n ? &picked->jobs[low] : NULL;
}

bool
picked_has_ended(const struct picked_job *job)
{
	return job->was == JOB_SUCCEEDED || job->was == JOB_FAILED || job->was == JOB_CANCELLED;
}

/* All of the selection that the caller may see. */
static void
picked_gather(struct picked *picked, const struct selection_filter *filter, bool (*row)(const struct store_row *, void *),
    void (*done)(int, const char *, void *), void *arg)
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	struct gather_what what = {.ranges = picked->selection.ranges, .n_ranges = picked->selection.n_ranges, .filter = filter};

	if (picked->selection.filtered) {
		what.ranges = &all;
		what.n_ranges = 1;
	}
	what.owner = picked->owner;
	what.row = row;
	what.done = done;
	what.arg = arg;
	gather_start(picked->request->server->dispatch, &what);
}

/* ---- the first look -------------------------------------------------------------------------------------------------------- */

static bool
picked_row(const struct store_row *row, void *arg)
{
	struct picked *picked = arg;

	picked->jobs = mem_room(picked->jobs, picked->n, &picked->capacity, sizeof(*picked->jobs));
	picked->jobs[picked->n++] = (struct picked_job){.id = row->id, .was = row->state};
	return picked->n <= (size_t)picked->request->server->config->limit_message / PICKED_REPLY_BYTES;
}

bool
picked_check_unknown(struct request *request, const struct selection *selection, bool (*knows)(int64_t id, const void *who),
    const void *who, bool any)
{
	int64_t *unknown = NULL;
	size_t n = 0, capacity = 0;

	for (size_t i = 0; i < selection->n_asked; i++) {
		if (!selection->is_range[i] && !knows(selection->asked[i].first, who)) {
			unknown = mem_room(unknown, n, &capacity, sizeof(*unknown));
			unknown[n++] = selection->asked[i].first;
		}
	}
	if (n == 0 && (any || selection->filtered))
		return true;
	if (n > 0)
		request_fail_ids(request, unknown, n);
	else
		request_fail(request, RPC_NOT_FOUND, "none of the jobs named exists");
	free(unknown);
	return false;
}

static bool
picked_knows(int64_t id, const void *who)
{
	const struct picked_job *job = picked_find(who, id);

	return job != NULL && job->id == id;
}

/* How many the reply will name: one that was asked for twice comes twice. */
static size_t
picked_count(const struct picked *picked)
{
	const struct selection *selection = &picked->selection;
	size_t count = selection->filtered ? picked->n : 0;

	for (size_t i = 0; i < selection->n_asked; i++) {
		const struct picked_job *first = picked_find(picked, selection->asked[i].first);
		const struct picked_job *end = picked_find(picked, selection->asked[i].last + 1);

		if (first != NULL)
			count += (size_t)((end != NULL ? end : picked->jobs + picked->n) - first);
	}
	return count;
}

static void
picked_go(void *arg)
{
	struct picked *picked = arg;

	picked->ready(picked);
}

/* What would be too long to be told is not begun. */
static void
picked_surveyed(int error, const char *reason, void *arg)
{
	struct picked *picked = arg;
	size_t count = error == 0 ? picked_count(picked) : 0;

	if (error != 0)
		request_fail(picked->request, RPC_INTERNAL, "%s", reason);
	else if (count > request_room(picked->request) / PICKED_REPLY_BYTES)
		request_fail(picked->request, RPC_TOO_LARGE, "the reply would be longer than [limits] message: name fewer jobs at a time");
	else if (picked_check_unknown(picked->request, &picked->selection, picked_knows, picked, picked->n > 0)) {
		room_take(&picked->request->room, count * PICKED_REPLY_BYTES, picked_go, picked);
		return;
	}
	picked->release(picked);
}

void
picked_start(struct picked *picked, struct request *request, struct selection *selection)
{
	const char *owner = request_owner_filter(request);

	picked->request = request;
	picked->selection = *selection;
	picked->owner = owner != NULL ? mem_text(owner) : NULL;
	if (selection->count > 1 || selection->filtered)
		request_is_bulk(request);
	picked_gather(picked, selection->filtered ? &picked->selection.filter : NULL, picked_row, picked_surveyed, picked);
}

/* ---- once more ------------------------------------------------------------------------------------------------------------- */

/* A look at those that are not done, for what it calls at its end. */
struct picked_look {
	struct picked *picked;
	void (*done)(struct picked *picked);
};

static bool
picked_row_again(const struct store_row *row, void *arg)
{
	struct picked_look *look = arg;
	struct picked_job *job = picked_find(look->picked, row->id);

	if (job != NULL && job->id == row->id && !job->done)
		job->was = row->state;
	return true;
}

static void
picked_looked(int error, const char *reason, void *arg)
{
	struct picked_look *look = arg;
	struct picked *picked = look->picked;
	void (*done)(struct picked *picked) = look->done;

	(void)error; /* then what was read first must do */
	(void)reason;
	free(look);
	done(picked);
}

void
picked_look_again(struct picked *picked, void (*done)(struct picked *picked))
{
	struct picked_look *look = mem_new(sizeof(*look));

	*look = (struct picked_look){picked, done};
	picked_gather(picked, NULL, picked_row_again, picked_looked, look); /* what fitted a filter need not fit it any more */
}

/* ---- the reply ------------------------------------------------------------------------------------------------------------- */

void
picked_reply(struct picked *picked, void (*write)(struct text *text, const struct picked_job *job))
{
	const struct selection *selection = &picked->selection;
	struct text result = {0};

	text_add_char(&result, '[');
	for (size_t i = 0; selection->filtered && i < picked->n; i++) {
		if (result.len > 1)
			text_add_char(&result, ',');
		write(&result, &picked->jobs[i]);
	}
	for (size_t i = 0; i < selection->n_asked; i++) {
		const struct picked_job *job = picked_find(picked, selection->asked[i].first);

		for (; job != NULL && job < picked->jobs + picked->n && job->id <= selection->asked[i].last; job++) {
			if (result.len > 1)
				text_add_char(&result, ',');
			write(&result, job);
		}
	}
	text_add_char(&result, ']');
	if (selection->single) {
		memmove(result.at, result.at + 1, result.len - 2);
		result.len -= 2;
	}
	picked->request->changed = true;
	request_reply(picked->request, &result);
	picked->release(picked);
}
