/*
 * stage: a whole daemon but its processes and sockets: store, dispatch, waits and I/O threads, methods and sessions, put
 * together as daemon/birth_parts.c does it, with an understudy for spawner and workers, tasks that touch nothing outside,
 * and connections that are pairs of buffers.
 *
 * Time: nothing waits for a clock. A job that sleeps does so until it is cancelled, webhooks are never sent.
 */
#ifndef TESTS_FUZZ_STAGE_H
#define TESTS_FUZZ_STAGE_H

#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/server.h"
#include "daemon/session.h"
#include "tests/fuzz/understudy.h"

#define STAGE_TOKEN "open sesame" /* of token:ci, an operator */

struct event;
struct retention;

struct stage_drainer {
	void (*drained)(bool idle, void *arg);
	void *arg;
	struct stage_drainer *next;
};

struct stage {
	struct config config;
	struct loop *loop;
	struct store *store;
	struct slots *shared;
	struct sessions *sessions;
	struct retention *retention;
	struct server server;
	struct understudy us; /* the user's callbacks stand here before stage_open() */
	struct stage_drainer *drainers;
	struct event *tick;
	int output_dir;
	bool drained; /* a daemon would end now */
};

/* Makes an empty store, once: stage_new_store() puts it into the folder. */
void stage_prepare(void);
void stage_new_store(void);
/* A daemon comes to life with the store that is in the folder, and ends as one that is killed between two turns. */
void stage_open(struct stage *stage);
void stage_close(struct stage *stage);
/* The client's end of a new connection. */
struct bufferevent *stage_connect(struct stage *stage, enum role role, const char *owner);
/* One turn of the loop and of the understudy; false: nothing was ordered or written. */
bool stage_turn(struct stage *stage, bool may_wait);
/* Whether threads or the store have something to tell that is on its way. */
bool stage_is_busy(struct stage *stage);
/* Turns until nothing is left to do but for what is held, sleeps or waits for a time. */
void stage_settle(struct stage *stage, void (*each_turn)(void));

#endif
