/*
 * Going through many jobs in slices of at most PAGES_SLICE.
 *
 * A long range is listed, not asked for by its ids: then it costs what jobs there are in it, however far it goes.
 */
#include "pages.h"

#include <stdlib.h>

#include "ctl.h"

#define PAGES_SLICE 1000

/* Returns how many there were. */
static int64_t pages_hand_out(struct span jobs, pages_cb job_cb, void *arg)
{
	struct jsonspan_iter iter;
	struct span job;
	int64_t count = 0;

	if (jsonspan_type(jobs) != JSONSPAN_ARRAY)
		ctl_die(CTL_REFUSED, "the daemon's answer is not of the form it should have");
	jsonspan_iter_init(&iter, jobs);
	for (; jsonspan_next(&iter, &job); count++)
		job_cb(job, arg);
	return count;
}

/* As ctl_call, but NULL where the reply would be too large and could be cut. */
static char *pages_call(const char *method, struct fut_params *params, bool cuts)
{
	char *result = NULL;
	int code = fut_call(ctl.client, method, params, &result);

	if (code < 0 && !(cuts && code == FUT_E_TOO_LARGE))
		ctl_die_failure();
	fut_params_free(params);
	return result;
}

/*
 * Listing
 */

struct pages_list {
	const struct select *select; /* a filter, or empty */
	const char *fields;
	bool rising;
	int64_t after;
	int64_t limit; /* -1: none */
	int64_t until; /* the highest id that is wanted; 0: none */
	pages_cb job_cb;
	void *arg;
	int64_t count;
	bool over;
};

static void pages_take_listed(struct span job, void *arg)
{
	struct pages_list *list = arg;

	if (list->until > 0 && ctl_member_integer(job, "id", 0) > list->until) {
		list->over = true;
		return;
	}
	list->count++;
	list->job_cb(job, list->arg);
}

static char *pages_call_list(const struct pages_list *list, int64_t limit)
{
	struct fut_params *params = ctl_params();

	if (select_is_filter(list->select))
		select_put(list->select, params);
	fut_params_json(params, "fields", list->fields, SIZE_MAX);
	fut_params_string(params, "order", list->rising ? "id" : "-id");
	fut_params_integer(params, "limit", limit);
	if (list->after > 0)
		fut_params_integer(params, "after", list->after);
	return pages_call("list", params, limit > 1);
}

static void pages_run_list(struct pages_list *list)
{
	int64_t slice = PAGES_SLICE, ask;
	struct span jobs = SPAN_NONE;
	char *result;

	while (!list->over && list->limit != 0) {
		ask = list->limit >= 0 && list->limit < slice ? list->limit : slice;
		result = pages_call_list(list, ask);
		if (result == NULL) {
			slice = ask / 2;
			continue;
		}
		if (!ctl_member(ctl_span(result), "jobs", &jobs))
			ctl_die(CTL_REFUSED, "the daemon's answer to list is not of the form it should have");
		ask = pages_hand_out(jobs, pages_take_listed, list);
		if (list->limit > 0)
			list->limit -= ask < list->limit ? ask : list->limit;
		list->after = ctl_member_integer(ctl_span(result), "next", 0);
		list->over = list->over || list->after <= 0;
		free(result);
	}
}

int64_t pages_each_listed(const struct select *select, const char *fields, bool rising, int64_t after, int64_t limit,
    pages_cb job_cb, void *arg)
{
	struct pages_list list = {
	    .select = select,
	    .fields = fields,
	    .rising = rising,
	    .after = after,
	    .limit = limit,
	    .job_cb = job_cb,
	    .arg = arg,
	};

	pages_run_list(&list);
	return list.count;
}

static void pages_note_id(struct span job, void *arg)
{
	*(int64_t *)arg = ctl_member_integer(job, "id", 0);
}

int64_t pages_find_last(const struct select *select)
{
	int64_t id = 0;

	(void)pages_each_listed(select, "[]", false, 0, 1, pages_note_id, &id);
	return id;
}

/*
 * Selections
 */

static int64_t pages_each_in_long_range(const struct fut_range *range, const char *fields, pages_cb job_cb, void *arg)
{
	static const struct select all;
	struct pages_list list = {
	    .select = &all,
	    .fields = fields,
	    .rising = true,
	    .after = range->first - 1,
	    .until = range->last,
	    .limit = -1,
	    .job_cb = job_cb,
	    .arg = arg,
	};

	pages_run_list(&list);
	if (list.count == 0)
		ctl_die(CTL_REFUSED, "there is no job from %lld to %lld", (long long)range->first,
		    (long long)range->last);
	return list.count;
}

/* Of few ids, in one request; the ranges one by one where that is too large, and at last one of them in two. */
static int64_t pages_each_in_few(const struct fut_range *ranges, size_t n_ranges, const char *fields, pages_cb job_cb,
    void *arg)
{
	/* Only read. */
	struct select select = {.ranges = (struct fut_range *)(uintptr_t)ranges, .n_ranges = n_ranges};
	struct fut_params *params = ctl_params();
	int64_t count = 0;
	char *result;

	select_put(&select, params);
	fut_params_json(params, "fields", fields, SIZE_MAX);
	result = pages_call("status", params, n_ranges > 1 || ranges[0].first < ranges[0].last);
	if (result != NULL)
		count = pages_hand_out(ctl_span(result), job_cb, arg);
	else if (n_ranges == 1)
		count = pages_each_in_long_range(ranges, fields, job_cb, arg);
	else
		for (size_t i = 0; i < n_ranges; i++)
			count += pages_each_in_few(&ranges[i], 1, fields, job_cb, arg);
	free(result);
	return count;
}

int64_t pages_each(const struct select *select, const char *fields, pages_cb job_cb, void *arg)
{
	int64_t count = 0;
	size_t from, i;

	if (select_is_filter(select))
		return pages_each_listed(select, fields, true, 0, -1, job_cb, arg);
	for (i = 0; i < select->n_ranges;) {
		int64_t ids = 0;

		for (from = i; i < select->n_ranges; i++) {
			ids += select->ranges[i].last - select->ranges[i].first + 1;
			if (ids > PAGES_SLICE)
				break;
		}
		if (i > from)
			count += pages_each_in_few(select->ranges + from, i - from, fields, job_cb, arg);
		else
			count += pages_each_in_long_range(&select->ranges[i++], fields, job_cb, arg);
	}
	return count;
}
