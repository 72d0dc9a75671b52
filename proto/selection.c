/*
 * selection: see selection.h. A selection is read into a local one, which is given back whole on any failure: the
 * caller's is touched on success alone.
 */
#include "selection.h"

#include <stdlib.h>
#include <string.h>

#include "errors.h"

static int
refuse(const char **ret_what, const char *what)
{
	*ret_what = what;
	return RPC_BAD_PARAMS;
}

static int
out_of_memory(const char **ret_what)
{
	*ret_what = "out of memory";
	return RPC_INTERNAL;
}

static void
names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

void
selection_filter_done(struct selection_filter *filter)
{
	names_free(filter->tasks, filter->n_tasks);
	names_free(filter->queues, filter->n_queues);
	names_free(filter->labels, filter->n_labels);
	names_free(filter->owners, filter->n_owners);
	memset(filter, 0, sizeof(*filter));
}

void
selection_done(struct selection *selection)
{
	free(selection->asked);
	free(selection->is_range);
	free(selection->ranges);
	selection_filter_done(&selection->filter);
	memset(selection, 0, sizeof(*selection));
}

/* A decimal number from 1 to SELECTION_ID_MAX without leading zeros; the end of it, NULL when there is none. */
static const char *
id_parse(const char *at, int64_t *ret_id)
{
	int64_t id = 0;

	if (*at < '1' || *at > '9')
		return NULL;
	for (; *at >= '0' && *at <= '9'; at++) {
		id = id * 10 + (*at - '0');
		if (id > SELECTION_ID_MAX)
			return NULL;
	}
	*ret_id = id;
	return at;
}

static bool
id_read(struct span value, int64_t *ret_id)
{
	int64_t id;

	if (jsonspan_integer(value, &id) < 0 || id < 1 || id > SELECTION_ID_MAX)
		return false;
	*ret_id = id;
	return true;
}

/* "5-9" */
static bool
range_read(struct span value, struct id_range *ret_range)
{
	struct id_range range;
	char text[48];
	const char *at;

	if (jsonspan_string_copy(value, text, sizeof(text)) < 0)
		return false;
	at = id_parse(text, &range.first);
	if (at == NULL || *at != '-')
		return false;
	at = id_parse(at + 1, &range.last);
	if (at == NULL || *at != '\0' || range.first > range.last)
		return false;
	*ret_range = range;
	return true;
}

static int
range_compare(const void *a, const void *b)
{
	const struct id_range *left = a, *right = b;

	return (left->first > right->first) - (left->first < right->first);
}

/* Sorts ranges and merges what overlaps or touches; returns how many are left. */
static size_t
ranges_merge(struct id_range *ranges, size_t n)
{
	size_t last = 0;

	qsort(ranges, n, sizeof(*ranges), range_compare);
	for (size_t i = 1; i < n; i++) {
		if (ranges[i].first > ranges[last].last + 1)
			ranges[++last] = ranges[i];
		else if (ranges[i].last > ranges[last].last)
			ranges[last].last = ranges[i].last;
	}
	return last + 1;
}

/* Fills ranges and count from what was asked; RPC_TOO_LARGE when more than max ids are named. */
static int
selection_normalise(struct selection *selection, uint64_t max)
{
	uint64_t named = 0;

	for (size_t i = 0; i < selection->n_asked; i++) {
		uint64_t n = (uint64_t)(selection->asked[i].last - selection->asked[i].first) + 1;

		if (n > max - named)
			return RPC_TOO_LARGE;
		named += n;
	}
	memcpy(selection->ranges, selection->asked, selection->n_asked * sizeof(*selection->asked));
	selection->n_ranges = ranges_merge(selection->ranges, selection->n_asked);
	for (size_t i = 0; i < selection->n_ranges; i++)
		selection->count += (uint64_t)(selection->ranges[i].last - selection->ranges[i].first) + 1;
	return 0;
}

static int
selection_reserve(struct selection *selection, size_t n)
{
	selection->asked = calloc(n, sizeof(*selection->asked));
	selection->is_range = calloc(n, sizeof(*selection->is_range));
	selection->ranges = calloc(n, sizeof(*selection->ranges));
	return selection->asked != NULL && selection->is_range != NULL && selection->ranges != NULL ? 0 : -1;
}

static int
selection_read_id(struct selection *selection, struct span id, const char **ret_what)
{
	if (selection_reserve(selection, 1) < 0)
		return out_of_memory(ret_what);
	if (!id_read(id, &selection->asked[0].first))
		return refuse(ret_what, "id must be a job id: an integer from 1 to 2^53-1");
	selection->asked[0].last = selection->asked[0].first;
	selection->n_asked = 1;
	selection->single = true;
	return 0;
}

static int
selection_read_ids(struct selection *selection, struct span ids, const char **ret_what)
{
	size_t n = jsonspan_type(ids) == JSONSPAN_ARRAY ? jsonspan_length(ids) : 0;
	struct jsonspan_iter iter;
	struct span value;

	if (n == 0)
		return refuse(ret_what, "ids must be an array of one or more job ids and ranges");
	if (selection_reserve(selection, n) < 0)
		return out_of_memory(ret_what);
	jsonspan_iter_init(&iter, ids);
	while (jsonspan_next(&iter, &value)) {
		struct id_range *range = &selection->asked[selection->n_asked];
		bool is_range = jsonspan_type(value) == JSONSPAN_STRING;

		if (is_range ? !range_read(value, range) : !id_read(value, &range->first))
			return refuse(ret_what, "ids must hold job ids from 1 and ranges, the lower end first, as strings (\"5-9\") alone");
		if (!is_range)
			range->last = range->first;
		selection->is_range[selection->n_asked++] = is_range;
	}
	return 0;
}

/* Reads a string or an array of strings. 0 or an enum rpc_error; what was read is in *ret_names in either case. */
static int
names_read(struct span value, char ***ret_names, size_t *ret_n, const char **ret_what)
{
	bool is_array = jsonspan_type(value) == JSONSPAN_ARRAY;
	size_t n = is_array ? jsonspan_length(value) : 1;
	struct jsonspan_iter iter;
	struct span name = value;
	int result;

	if (n == 0)
		return refuse(ret_what, "filter has a member with an empty array");
	*ret_names = calloc(n, sizeof(**ret_names));
	if (*ret_names == NULL)
		return out_of_memory(ret_what);
	jsonspan_iter_init(&iter, value);
	while (*ret_n < n) {
		if (is_array && !jsonspan_next(&iter, &name))
			break;
		result = jsonspan_string(name, &(*ret_names)[*ret_n], NULL);
		if (result == -2)
			return out_of_memory(ret_what);
		if (result < 0)
			return refuse(ret_what, "each member of filter must be a string or an array of strings");
		(*ret_n)++;
	}
	return 0;
}

/* Reads state: its words become bits. */
static int
states_read(struct span value, unsigned *ret_states, const char **ret_what)
{
	char **names = NULL;
	size_t n = 0;
	enum job_state state;
	int result = names_read(value, &names, &n, ret_what);

	for (size_t i = 0; i < n && result == 0; i++) {
		if (job_state_parse(names[i], &state) == 0)
			*ret_states |= 1U << state;
		else
			result = refuse(ret_what, "filter: state must be pending, running, succeeded, failed or cancelled");
	}
	names_free(names, n);
	return result;
}

static int
filter_read_member(struct selection_filter *filter, struct span key, struct span value, const char **ret_what)
{
	if (jsonspan_is(key, "state"))
		return states_read(value, &filter->states, ret_what);
	if (jsonspan_is(key, "task"))
		return names_read(value, &filter->tasks, &filter->n_tasks, ret_what);
	if (jsonspan_is(key, "queue"))
		return names_read(value, &filter->queues, &filter->n_queues, ret_what);
	if (jsonspan_is(key, "label"))
		return names_read(value, &filter->labels, &filter->n_labels, ret_what);
	if (jsonspan_is(key, "owner"))
		return names_read(value, &filter->owners, &filter->n_owners, ret_what);
	return refuse(ret_what, "filter may have the members state, task, queue, label and owner alone");
}

int
selection_filter_read(struct span filter, struct selection_filter *ret_filter, const char **ret_what)
{
	struct selection_filter read = {.states = 0};
	struct jsonspan_iter iter;
	struct span key, value;
	int result = 0;

	if (jsonspan_type(filter) != JSONSPAN_OBJECT)
		return refuse(ret_what, "filter must be an object");
	jsonspan_iter_init(&iter, filter);
	while (result == 0 && jsonspan_next_member(&iter, &key, &value))
		result = filter_read_member(&read, key, value, ret_what);
	if (result == 0)
		*ret_filter = read;
	else
		selection_filter_done(&read);
	return result;
}

int
selection_read(struct span id, struct span ids, struct span filter, uint64_t max, struct selection *ret_selection,
    const char **ret_param, const char **ret_what)
{
	struct selection selection = {.single = false};
	int n = (id.at != NULL) + (ids.at != NULL) + (filter.at != NULL);
	const char *param = filter.at != NULL ? "filter" : ids.at != NULL ? "ids" : "id";
	int result;

	if (n != 1) {
		*ret_param = param;
		*ret_what =
		    n == 0 ? "one of id, ids and filter is needed" : "only one of id, ids and filter may be given";
		return RPC_BAD_PARAMS;
	}
	if (filter.at != NULL) {
		selection.filtered = true;
		result = selection_filter_read(filter, &selection.filter, ret_what);
	} else {
		result = ids.at != NULL ? selection_read_ids(&selection, ids, ret_what)
					: selection_read_id(&selection, id, ret_what);
		if (result == 0)
			result = selection_normalise(&selection, max);
		if (result == RPC_TOO_LARGE)
			*ret_what = "the call names more jobs than a selection may hold";
	}
	if (result == 0) {
		*ret_selection = selection;
	} else {
		*ret_param = param;
		selection_done(&selection);
	}
	return result;
}

bool
selection_has(const struct selection *selection, int64_t id)
{
	size_t low = 0, high = selection->n_ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (id < selection->ranges[middle].first)
			high = middle;
		else if (id > selection->ranges[middle].last)
			low = middle + 1;
		else
			return true;
	}
	return false;
}
