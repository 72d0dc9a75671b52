/*
 * Going through many jobs in slices of at most PAGES_SLICE.
 */
#include "pages.h"

#include <stdlib.h>

#include "ctl.h"

#define PAGES_SLICE 1000

static void pages_hand_out(struct span jobs, pages_cb job_cb, void *arg)
{
	struct jsonspan_iter iter;
	struct span job;

	if (jsonspan_type(jobs) != JSONSPAN_ARRAY)
		return;
	jsonspan_iter_init(&iter, jobs);
	while (jsonspan_next(&iter, &job))
		job_cb(job, arg);
}

/*
 * As ctl_call, but NULL where the reply would be too large and could be halved, or none of the ids is known and that
 * may be; fut_error_code tells which. /
 */
static char *pages_call(const char *method, struct fut_params *params, bool halves, bool may_lack)
{
	char *result = NULL;
	int code = fut_call(ctl.client, method, params, &result);

	if (code < 0 && !(halves && code == FUT_E_TOO_LARGE) && !(may_lack && code == FUT_E_NOT_FOUND))
		ctl_die_failure();
	fut_params_free(params);
	return result;
}

static char *pages_call_range(int64_t first, int64_t last, const char *fields, bool may_lack)
{
	struct fut_params *params = ctl_params();
	struct fut_range range = {first, last};
	struct select slice = {.ranges = &range, .n_ranges = 1};

	select_put(&slice, params);
	fut_params_json(params, "fields", fields, SIZE_MAX);
	return pages_call("status", params, last > first, may_lack);
}

static void pages_each_in_range(const struct fut_range *range, const char *fields, pages_cb job_cb, void *arg)
{
	int64_t slice = PAGES_SLICE, first = range->first, last;
	bool found = false;
	char *result;

	while (first <= range->last) {
		last = range->last - first < slice ? range->last : first + slice - 1;
		/* Ids in the midst of a range may be unknown, but not all of them. */
		result = pages_call_range(first, last, fields, found || last < range->last);
		if (result == NULL && fut_error_code(ctl.client) == FUT_E_TOO_LARGE) {
			slice = (last - first + 1) / 2;
			continue;
		}
		if (result != NULL) {
			found = true;
			pages_hand_out(ctl_span(result), job_cb, arg);
			free(result);
		}
		first = last + 1;
	}
}

void pages_each(const struct select *select, const char *fields, pages_cb job_cb, void *arg)
{
	if (select_is_filter(select)) {
		pages_each_listed(select, fields, true, 0, -1, job_cb, arg);
		return;
	}
	for (size_t i = 0; i < select->n_ranges; i++)
		pages_each_in_range(&select->ranges[i], fields, job_cb, arg);
}

static char *pages_call_list(const struct select *select, const char *fields, bool rising, int64_t after, int64_t limit)
{
	struct fut_params *params = ctl_params();

	if (select_is_filter(select))
		select_put(select, params);
	fut_params_json(params, "fields", fields, SIZE_MAX);
	fut_params_string(params, "order", rising ? "id" : "-id");
	fut_params_integer(params, "limit", limit);
	if (after > 0)
		fut_params_integer(params, "after", after);
	return pages_call("list", params, limit > 1, false);
}

void pages_each_listed(const struct select *select, const char *fields, bool rising, int64_t after, int64_t limit,
    pages_cb job_cb, void *arg)
{
	int64_t slice = PAGES_SLICE, ask;
	struct span page, jobs;
	char *result;

	while (limit != 0) {
		ask = limit >= 0 && limit < slice ? limit : slice;
		result = pages_call_list(select, fields, rising, after, ask);
		if (result == NULL) {
			slice = ask / 2;
			continue;
		}
		page = ctl_span(result);
		if (!ctl_member(page, "jobs", &jobs) || jsonspan_type(jobs) != JSONSPAN_ARRAY)
			ctl_die(CTL_REFUSED, "the daemon's answer to list is not of the form it should have");
		pages_hand_out(jobs, job_cb, arg);
		if (limit > 0)
			limit -= (int64_t)jsonspan_length(jobs) < limit ? (int64_t)jsonspan_length(jobs) : limit;
		after = ctl_member_integer(page, "next", 0);
		free(result);
		if (after <= 0)
			break;
	}
}
