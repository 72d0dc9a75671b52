/*
 * frame: what travels between the daemon and its workers, on a stream socket (descriptor 3 of a worker).
 *
 * A header in the machine's byte order, then JSON. A job's identity comes from the daemon's own state: the job and
 * token of a frame only say which of the jobs this worker holds is meant, and a frame that names another is a fault of
 * the worker. Pure: no I/O here; knows neither libevent nor threads.
 */
#ifndef DAEMON_FRAME_H
#define DAEMON_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/outcome.h"
#include "daemon/progress.h"
#include "daemon/spec.h"
#include "proto/jsonspan.h"

#define FRAME_VERSION 1
#define FRAME_MAX     ((uint32_t)(40u << 20)) /* a longer payload is a fault of the other side */

enum frame_type {
	FRAME_HELLO = 1,   /* worker: {"version":1,"pid":N}: ready for jobs */
	FRAME_JOB = 2,	   /* daemon: {"task":NAME,"attempt":N,"limits":[memory_mib,cpu_s,files],"as":UID,"args":ARGS}: start
			      when those before it are done; limits only where there are any, as only where it is not to be
			      run as ourselves */
	FRAME_CANCEL = 3,  /* daemon: {"grace_ms":N}: end the running command's tree: TERM, grace, KILL. Jobs not yet
			      begun are withdrawn by slots.h instead */
	FRAME_STARTED = 4, /* worker: {"pid":N}: the command's leader runs */
	FRAME_OUTPUT = 5,  /* worker: {"stdout":N,"stderr":N}: so many bytes of each are in the output files now */
	FRAME_RESULT = 6,  /* worker: {"usage":[user_us,system_us,max_rss_kib],"result":ANY} or
			      {"usage":[…],"error":{"type":…,…}}; "later" in place of "error": it has not begun, and is
			      to be tried again */
	FRAME_PROGRESS = 7, /* worker: {"millionths":N,"text":TEXT}: so far is the job that runs */
};

struct frame_header {
	uint32_t length; /* of the payload */
	uint8_t version;
	uint8_t type;
	uint16_t flags;
	uint64_t job;
	uint64_t token;
};
_Static_assert(sizeof(struct frame_header) == 24, "the header has no holes");

/*
 * Looks for one frame at the start of len bytes. 1 and *ret_header, *ret_payload (into the bytes) when a whole one is
 * there; 0 when more is needed (*ret_header is filled if at least the header is there: length tells how much); -1 when
 * it is no frame of ours (version, type, length).
 */
int frame_cut(const char *bytes, size_t len, struct frame_header *ret_header, struct span *ret_payload);

/*
 * A payload's reading, each 0 or -1 when it is not what the type says. Spans point into payload. The payload is
 * validated here.
 */
#define FRAME_AS_OURSELVES (-2)
struct frame_job {
	struct span task; /* string with quotes */
	unsigned attempt;
	struct spec_limits limits;
	int64_t as; /* FRAME_AS_OURSELVES, or whom a command is to become: a uid, or RUNAS_NOBODY (runas.h) */
	struct span args;
};
int frame_read_job(struct span payload, struct frame_job *ret_job);
int frame_read_cancel(struct span payload, int64_t *ret_grace_ms);
int frame_read_output(struct span payload, int64_t *ret_stdout, int64_t *ret_stderr);
int frame_read_progress(struct span payload, struct progress *ret_progress);
/* Copies the result into *ret_outcome, which the caller ends with outcome_done(). */
int frame_read_result(struct span payload, struct outcome *ret_outcome);

/*
 * A growing run of bytes to send; zeroed at first, ended with frame_out_done(). The payload's JSON parts are trusted to
 * be valid.
 */
struct frame_out {
	char *bytes;
	size_t len, capacity;
};
void frame_out_done(struct frame_out *out);
void frame_put_hello(struct frame_out *out, int pid);
void frame_put_job(struct frame_out *out, uint64_t job, uint64_t token, const char *task, unsigned attempt,
    const struct spec_limits *limits, int64_t as, struct span args);
void frame_put_cancel(struct frame_out *out, uint64_t job, uint64_t token, int64_t grace_ms);
void frame_put_started(struct frame_out *out, uint64_t job, uint64_t token, int pid);
void frame_put_output(struct frame_out *out, uint64_t job, uint64_t token, int64_t stdout_bytes, int64_t stderr_bytes);
void frame_put_progress(struct frame_out *out, uint64_t job, uint64_t token, const struct progress *progress);
void frame_put_result(struct frame_out *out, uint64_t job, uint64_t token, const struct outcome *outcome);

#endif
