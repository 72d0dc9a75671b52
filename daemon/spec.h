/*
 * spec: what was submitted: the part of a job that never changes.
 *
 * One allocation, counted references. Made on the loop thread (from a request, or from a row of the store); the store's thread
 * reads it while a commit that names it is under way, and the loop keeps a reference for that long. References are taken and dropped on
 * the loop thread alone.
 */
#ifndef DAEMON_SPEC_H
#define DAEMON_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/jsonspan.h"
#include "proto/state.h"

/* What a job needs one of while it runs. A line holds jobs of one pool, so that nothing waits behind what it does not compete with. */
enum pool_kind {
	POOL_CPU,       /* a worker process, as many as cores */
	POOL_THREADS,   /* a thread of the I/O pool */
	POOL_WAITS,     /* a place on the waits thread */
	POOL_PROCESSES, /* a worker of the io lane, for commands */
	POOL_COUNT,
};

#define SPEC_DIGEST 32
#define SPEC_NONE (-1) /* a duration or time that was not given */

/* What a job's parents must come to, all of them. */
enum after_policy {
	AFTER_SUCCEEDED,
	AFTER_FINISHED, /* end, however */
	AFTER_FAILED,   /* fail or be cancelled */
};

/* What a command may take; 0: no limit. */
struct spec_limits {
	int64_t memory_mib;
	int64_t cpu_s;
	int64_t files; /* open at once */
};

struct spec {
	unsigned refs;
	uint8_t pool;        /* enum pool_kind */
	bool idempotent;
	bool pure;
	bool attempts_given; /* the submitter gave max_attempts: its failures are tried again too */
	bool restricted;     /* submitted by the role user */
	uint8_t after_policy; /* enum after_policy */
	int16_t priority;
	int32_t max_attempts;
	int64_t id;
	int64_t submitted_ms; /* wall clock, since the epoch */
	int64_t not_before_ms;/* wall clock, or SPEC_NONE */
	int64_t timeout_ms;   /* or SPEC_NONE */
	int64_t backoff_ms;   /* first pause before another attempt */
	int64_t retain_ms;    /* or SPEC_NONE: [retention] finished */
	int64_t expires_ms;   /* wall clock: begun by then or never; or SPEC_NONE */
	int64_t retry_of;     /* the job that this one does again, or 0 */
	struct spec_limits limits;
	const char *task;     /* these point into the allocation */
	const char *queue;
	const char *owner;
	const char *label;    /* or NULL */
	const char *key;      /* or NULL */
	const char *webhook;  /* or NULL */
	uint8_t digest[SPEC_DIGEST]; /* of the payload, where key is given */
	struct span args;     /* in the allocation; SPAN_NONE in the template of a map */
	struct span after;    /* in the allocation: the parents' ids, a JSON array; SPAN_NONE when there are none */
};

/* A copy of the fields and texts of from (its refs and allocation do not matter), with one reference. */
struct spec *spec_new(const struct spec *from) __attribute__((warn_unused_result));
struct spec *spec_ref(struct spec *spec);
void spec_unref(struct spec *spec); /* NULL is fine */
/* Bytes of memory that it takes. */
size_t spec_size(const struct spec *spec);

/* "cpu" or "io" as clients know it. */
enum lane spec_lane(const struct spec *spec);

#endif
