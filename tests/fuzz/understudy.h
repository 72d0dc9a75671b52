/*
 * understudy: plays the spawner and its workers to a daemon's end (workers.h), in the same process and thread, without
 * any process being forked: it takes the orders, and whoever uses it decides what a worker says of a job, and when one
 * dies.
 *
 * It keeps what the real ones promise: a worker is born when it is ordered, greets, begins its jobs in order and only
 * what was not withdrawn; one that is killed, or whose channel is closed, is told as gone, once, behind all that it wrote.
 */
#ifndef TESTS_FUZZ_UNDERSTUDY_H
#define TESTS_FUZZ_UNDERSTUDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/frame.h"
#include "daemon/slots.h"

#define UNDERSTUDY_SLOTS 8

struct understudy;

struct understudy_worker {
	int channel; /* -1: there is no worker in this slot */
	int pid;
	uint32_t number; /* of the next job */
	char *in;
	size_t len, capacity;
};

struct understudy {
	int link; /* the spawner's end */
	unsigned n_slots;
	struct slots *shared; /* the daemon's */
	int births;           /* so far */
	unsigned refuse;      /* so many of the next births fail */
	bool mute;            /* nothing is read of the channels and nothing is said, not even a greeting */
	struct understudy_worker workers[UNDERSTUDY_SLOTS];
	/* A job that the worker has begun; payload lives during the call. */
	void (*job)(struct understudy *us, unsigned slot, const struct frame_header *header, struct span payload);
	void (*cancel)(struct understudy *us, unsigned slot, const struct frame_header *header, struct span payload);
	void (*died)(struct understudy *us, unsigned slot); /* it is about to be told */
	void *arg;
};

/* *ret_fd is the daemon's end of the link (for workers_config.spawner_fd, which takes it). */
void understudy_open(struct understudy *us, unsigned n_slots, struct slots *shared, int *ret_fd);
void understudy_close(struct understudy *us);
/* Takes what has been ordered and written; false when there was nothing. */
bool understudy_turn(struct understudy *us);
/* What a worker writes, as far as its channel takes it; not in a slot without one. */
void understudy_write(struct understudy *us, unsigned slot, struct span bytes);
void understudy_put(struct understudy *us, unsigned slot, struct frame_out *out); /* and ends out */
/* The worker ends with a wait status. */
void understudy_die(struct understudy *us, unsigned slot, int status);

#endif
