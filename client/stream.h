/*
 * stream: waiting for the end of one job, with its output passed on as it comes.
 */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "futured.h"

struct stream {
	int64_t id;
	bool stdout_too, stderr_too; /* which output to pass on, each to one's own */
	bool output_last;            /* pass it on once the job has ended: then it is that of its last attempt */
	bool cancels; /* Ctrl-C, and nobody reading our output, cancel the job; wait_catch_signals was called */
	double wait_s;               /* FUT_FOREVER: no limit */
	const char *fields;          /* of the job that is wanted in the end, a JSON array; NULL for all */

	/* In the end: */
	char *job;       /* the job object, or NULL when wait_s was over; freed by the caller */
	bool broken_out; /* nobody reads our standard output any more */
	int64_t passed[2]; /* bytes of standard output and error that were passed on */
};

/* Runs until the job has ended and all its output was written. Dies where the daemon refuses or is lost. */
void stream_run(struct stream *stream);

#endif
