/*
 * pages: going through many jobs in slices, so that neither memory nor a message grows with their number.
 */
#ifndef CLIENT_PAGES_H
#define CLIENT_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/jsonspan.h"
#include "select.h"

/* Every member of a job object but args and result, which may be large; and those as well. */
#define PAGES_SMALL_MEMBERS                                                                                           \
	"\"task\",\"queue\",\"lane\",\"priority\",\"label\",\"key\",\"owner\",\"after\",\"retry_of\",\"state\","      \
	"\"reason\","                                                                                                 \
	"\"attempt\",\"max_attempts\",\"timeout\",\"submitted\",\"not_before\",\"expires\",\"started\",\"finished\"," \
	"\"progress\","                                                                                               \
	"\"error\",\"usage\""
#define PAGES_LIST_FIELDS "[" PAGES_SMALL_MEMBERS "]"
#define PAGES_ALL_FIELDS  "[" PAGES_SMALL_MEMBERS ",\"args\",\"result\"]"

typedef void (*pages_cb)(struct span job, void *arg);

/*
 * Calls job_cb for each job of a selection: ids in the order given, a filter's by rising id. fields is a JSON array. A
 * slice that is too large for a message is asked for again in halves. Returns how many there were. Dies where the daemon
 * refuses, and where an id that is named, or a whole range, is not known; before the first job_cb if the selection fits
 * one slice.
 */
int64_t pages_each(const struct select *select, const char *fields, pages_cb job_cb, void *arg);

/*
 * The same of a filter (it may be empty: all), at most limit of them (-1: no limit), from after on (0: from the start).
 */
int64_t pages_each_listed(const struct select *select, const char *fields, bool rising, int64_t after, int64_t limit,
    pages_cb job_cb, void *arg);

/* The highest id of a filter (it may be empty: of all jobs that one may see), or 0. */
int64_t pages_find_last(const struct select *select);

#endif
