/*
 * select: SEL on the command line: ids and ranges (3,5-9), `last`, or filters (label=, state=, queue=, task=, owner=).
 */
#ifndef CLIENT_SELECT_H
#define CLIENT_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#include "futured.h"
#include "text.h"

enum select_key {
	SELECT_STATE,
	SELECT_TASK,
	SELECT_QUEUE,
	SELECT_LABEL,
	SELECT_OWNER,
	SELECT_KEY_COUNT,
};

#define SELECT_LAST (-1) /* as both ends of a range: one's own highest id, not looked up yet */

/* Either ranges or values; zeroes are an empty one. */
struct select {
	struct fut_range *ranges;
	size_t n_ranges;
	bool single;                         /* one plain id: answers are an object */
	struct text values[SELECT_KEY_COUNT]; /* of each filter, JSON strings with commas between */
};

/* Reads the words; several of one filter are or-ed, different ones and-ed. 0, or -1 with a sentence in wrong. */
int select_read(char *const *words, size_t count, struct select *ret_select, struct text *wrong);
/* Adds one filter value by hand, as select_read does for KEY=VALUE; -1 as there. */
int select_add_value(struct select *select, enum select_key key, const char *value, struct text *wrong);
bool select_is_filter(const struct select *select);
/* Whether the filter asks for states, so that what fits changes as jobs do. */
bool select_has_states(const struct select *select);
/* The filter as a JSON object. */
void select_write_filter(const struct select *select, struct text *out);
void select_done(struct select *select);

/* Reads SEL... of a command, connects if need be, and looks up `last`; dies where it is wrong or there is none. */
void select_read_or_die(char *const *words, size_t count, struct select *ret_select);
/* Puts id, ids or filter into params. */
void select_put(const struct select *select, struct fut_params *params);
/* Says that nothing fits the filter: that is no failure, but may be a slip. */
void select_say_none(const struct select *select);
/* Reads words that must be one id; dies otherwise. */
int64_t select_read_id(char *const *words, size_t count);

#endif
