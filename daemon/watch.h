/*
 * watch: streams of events about jobs: each as it ends, in the order of finishing or of id, and as it begins to run or makes progress.
 *
 * A watch is as slow as its reader. It keeps its place in the order and no list of jobs: when its client has read, the next are read from the store.
 * Changes of running jobs that a slow reader misses are told by their latest state. Loop thread.
 */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include "daemon/render.h"
#include "daemon/request.h"
#include "proto/selection.h"

enum watch_order { WATCH_FINISHED, WATCH_ID };
enum watch_event { WATCH_E_FINISHED = 1 << 0, WATCH_E_RUNNING = 1 << 1, WATCH_E_PROGRESS = 1 << 2 };

struct watch_what {
	struct selection selection; /* taken */
	enum watch_order order;
	unsigned events;            /* enum watch_event */
	render_fields fields;
};

/* Takes the request and what->selection; the watch lives until it has told its end, is stopped, or its connection closes. */
void watch_start(struct request *request, struct watch_what *what);
/* Nothing more is told of it. -1: this connection has no such watch. */
int watch_stop(struct peer *peer, int64_t number);

#endif
