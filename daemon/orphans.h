/*
 * orphans: output files that belong to no job any more, as a daemon leaves them that dies between forgetting a job and deleting its files.
 * They are looked for once after a start, a few hundred files at a time, while the daemon works. Loop thread; the folder is read and the
 * files are deleted by the thread for output files.
 */
#ifndef DAEMON_ORPHANS_H
#define DAEMON_ORPHANS_H

#include <stdint.h>

#include "daemon/dispatch.h"
#include "daemon/outfile.h"

struct orphans;

/* Begins. dir is the output folder's descriptor, the caller's. Files of ids from next_id on are this daemon's own, and left alone. */
struct orphans *orphans_new(struct dispatch *dispatch, struct outfiles *outfiles, int dir, int64_t next_id);
/* The daemon ends: nothing more is asked of dispatch. Before the store is closed. */
void orphans_stop(struct orphans *orphans);
/* Behind the end of dispatch and its threads. */
void orphans_free(struct orphans *orphans);

#endif
