/*
 * What the two halves of futures share: future.c has what programs see, future_watch.c how ends are learnt.
 *
 * A future waits in adding (its submission is under way), fresh (accepted, and nobody asked for its end yet) or in a
 * group (a watch tells its end), and settles once: then it is in done, and never changes.
 */
#ifndef CLIENT_FUTURE_H
#define CLIENT_FUTURE_H

#include "internal.h"

struct group;

struct fut_future {
	struct fut_client *client; /* NULL once that is freed */
	struct ring ring;	   /* in the list of what it waits for */
	struct group *group;	   /* where it is in one */
	struct ids_node node;	   /* its id, 0 while unknown; in futures.table while fresh or in a group */
	bool named;		   /* the program named the id, so that it may be unknown to the daemon */
	bool running;
	bool done;
	int64_t request;	   /* of the submission under way, else 0 */
	struct fut_params *cancel; /* to be sent once the id is known */
	struct ring calls;	   /* of struct future_call, not called yet */
	struct fut_job *job;	   /* once it ended */
	struct failure failure;	   /* why no end will be seen; or of the job's end, code alone */
};

/* The job is accepted under id. */
void future_accept(struct fut_client *client, struct fut_future *future, int64_t id);
/*
 * Nothing will change: the job has ended (taken), or failure (copied) says why no end will be seen. Callbacks are due.
 */
void future_settle(struct fut_client *client, struct fut_future *future, struct fut_job *job,
		   const struct failure *failure);
/* It leaves its list; a group in which nobody waits any more is given up. */
void future_leave(struct fut_client *client, struct fut_future *future);

#endif
