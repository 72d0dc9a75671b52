/*
 * picked: the jobs that a method has picked by a selection, to do something with each: cancel, retry, forget.
 *
 * It reads which there are and how they stand, refuses the request where ids that were named one by one do not exist, and in the end writes
 * the reply in the order asked. Its size is bounded by [limits] message, for the reply has a part for each job. Loop thread.
 */
#ifndef DAEMON_PICKED_H
#define DAEMON_PICKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/request.h"
#include "daemon/store.h"
#include "proto/selection.h"

/*
 * Ids that were named one by one must exist, and of ranges at least one. knows() is asked for the former; any: there are some at all. false: the
 * request has been failed.
 */
bool picked_check_unknown(struct request *request, const struct selection *selection, bool (*knows)(int64_t id, const void *who),
    const void *who, bool any);

struct picked_job {
	int64_t id;
	enum job_state was; /* when it was read */
	bool done;          /* what was asked has been done with it */
	int64_t made;       /* retry: the new job */
	int refused;        /* an RPC code: why it was not done, where that is not how the job stands */
};

struct picked {
	struct request *request;
	struct selection selection;
	char *owner;             /* only this owner's, or NULL */
	struct picked_job *jobs; /* by id */
	size_t n, capacity;
	/* The jobs are here; not called when the request has been refused: then the whole is gone by release(). */
	void (*ready)(struct picked *picked);
	void (*release)(struct picked *picked);
};

/* Takes the content of selection. ready and release are set; the struct stays where it is until release. */
void picked_start(struct picked *picked, struct request *request, struct selection *selection);
void picked_done(struct picked *picked);

/* The job of that id, or the one behind its place, or NULL at the end. */
struct picked_job *picked_find(const struct picked *picked, int64_t id);
bool picked_has_ended(const struct picked_job *job);

/* Reads how those that are not done stand by now, then calls done. */
void picked_look_again(struct picked *picked, void (*done)(struct picked *picked));

/* Answers with what write() says of each, in the order asked, and releases. */
void picked_reply(struct picked *picked, void (*write)(struct text *text, const struct picked_job *job));

#endif
