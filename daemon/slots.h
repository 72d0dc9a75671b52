/*
 * slots: the one piece of memory that daemon and workers share: for each slot, how many of the jobs sent to it have been begun, and
 * how many may be.
 *
 * Jobs that may run twice are sent ahead of time. When the first of them turns out to be long, the daemon takes the rest back: it lowers the limit
 * to what has been begun, in one compare-and-swap, and knows exactly which jobs will never start there. Without it a short job could
 * wait hours behind a long one while another worker is idle.
 *
 * Made before the spawner's birth, inherited by fork, never by a command (exec drops the mapping).
 */
#ifndef DAEMON_SLOTS_H
#define DAEMON_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

struct slots;

/* n slots in shared memory, or NULL with errno. Lives as long as the process. */
struct slots *slots_new(unsigned n);
void slots_free(struct slots *slots);

/* Daemon, before a worker is spawned into slot: nothing begun, nothing allowed. */
void slots_reset(struct slots *slots, unsigned slot);
/* Daemon, before it sends one more FRAME_JOB: one more may begin. */
void slots_allow(struct slots *slots, unsigned slot);
/* Daemon: no job that has not begun may begin any more; returns how many have begun since the reset. The jobs sent after those are free to go elsewhere. */
uint32_t slots_withdraw(struct slots *slots, unsigned slot);
/* Daemon: how many have begun. */
uint32_t slots_begun(const struct slots *slots, unsigned slot);

/*
 * Worker, before each job it was sent, in order: true, and the job counts as begun; false: it was withdrawn: skip it in silence.
 * Withdrawn jobs keep their numbers: the worker passes the running number of the frame (0 for the first since its birth).
 */
bool slots_begin(struct slots *slots, unsigned slot, uint32_t number);

#endif
