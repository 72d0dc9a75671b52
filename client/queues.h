/*
 * queues: the commands queues, pause, resume and set-queue.
 */
#ifndef CLIENT_QUEUES_H
#define CLIENT_QUEUES_H

#include "ctl.h"
#include "table.h"

extern const struct command queues_commands[];

/* An array of queues, as the daemon gives it, as the rows of a table that is begun and ended; on out. */
void queues_print(struct span queues, FILE *out);

#endif
