/*
 * selection: the set of jobs a request names: `id`, `ids` (with ranges) or `filter`.
 *
 * Normalised: ids become sorted, disjoint, inclusive ranges; the order in which they were asked is kept beside. Pure.
 */
#ifndef PROTO_SELECTION_H
#define PROTO_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jsonspan.h"
#include "state.h"

#define SELECTION_ID_MAX ((INT64_C(1) << 53) - 1)

struct id_range {
	int64_t first;
	int64_t last; /* inclusive */
};

struct selection_filter {
	unsigned states;                              /* bit per enum job_state; 0: any */
	char **tasks, **queues, **labels, **owners;   /* NULL: any; arrays owned by the filter */
	size_t n_tasks, n_queues, n_labels, n_owners; /* 1 or more where the array is there */
};

struct selection {
	bool single;            /* came as `id`: answers with one object */
	bool filtered;          /* came as `filter` */
	struct id_range *asked; /* in the order asked; a plain id is a range of one */
	bool *is_range;         /* beside asked: it was written as a range, unknown ids in it are skipped */
	size_t n_asked;
	struct id_range *ranges; /* the same ids sorted, merged, disjoint */
	size_t n_ranges;
	uint64_t count; /* distinct ids; 0 for a filter */
	struct selection_filter filter;
};

/*
 * Reads the selection from the members id, ids, filter (spans of values, SPAN_NONE where absent): exactly one must be
 * there. 0, RPC_BAD_PARAMS with *ret_param the member that is wrong ("id", "ids", "filter") and *ret_what a phrase, or
 * RPC_TOO_LARGE when more than max ids are named (an id named twice counts twice, so that who goes through asked is
 * bounded too), or RPC_INTERNAL when memory runs out. *ret_param and *ret_what are static and set on every failure. On
 * success *ret_selection must be ended with selection_done().
 */
int selection_read(struct span id, struct span ids, struct span filter, uint64_t max, struct selection *ret_selection,
    const char **ret_param, const char **ret_what);
void selection_done(struct selection *selection);

/* Whether id is in ranges; for filters it is meaningless. Binary search. */
bool selection_has(const struct selection *selection, int64_t id);

/* Reads a filter alone (for `list`): 0, RPC_BAD_PARAMS or RPC_INTERNAL. An empty one fits all. */
int selection_filter_read(struct span filter, struct selection_filter *ret_filter, const char **ret_what);
void selection_filter_done(struct selection_filter *filter);

#endif
