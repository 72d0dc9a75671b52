/*
 * worker: the process behind a slot: reads jobs from its channel (descriptor 3), runs functions in itself and
 * supervises commands, one at a time, in order, and writes results. Single-threaded; knows neither libevent, SQLite nor
 * threads.
 *
 * It ends when the channel does. PR_SET_PDEATHSIG kills it when the spawner dies (a function leaves no tree), but not
 * while it supervises: then it must live long enough to end the command's tree. What a terminal sends to the whole
 * group (INT, TERM, HUP) it ignores.
 */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "daemon/spawner.h"

/* In the forked child, with the channel at descriptor 3. Never returns. */
void worker_main(const struct spawner_config *config, unsigned slot) __attribute__((noreturn));

#endif
