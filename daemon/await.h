/*
 * await: requests that wait for jobs to end: `await` itself and the second half of `run`. A wait holds no thread and never polls. Loop thread.
 */
#ifndef DAEMON_AWAIT_H
#define DAEMON_AWAIT_H

#include "daemon/render.h"
#include "daemon/request.h"
#include "proto/selection.h"

enum await_until { AWAIT_ALL, AWAIT_ANY, AWAIT_FIRST_FAILURE };

struct await_what {
	struct selection selection; /* taken */
	enum await_until until;
	int64_t wait_ms;            /* SPEC_NONE: no limit */
	bool jobs;
	render_fields fields;
};

/* Takes the request and what->selection. */
void await_start(struct request *request, struct await_what *what);

/*
 * The answer to `run`: the job once it has ended, or as it stands when wait_ms (SPEC_NONE: no limit) is over. fresh: its commit has just returned, so it
 * cannot have been told as ended before. Takes the request.
 */
void await_run(struct request *request, int64_t id, int64_t wait_ms, bool fresh);

#endif
