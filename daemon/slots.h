/*
 * slots: the one piece of memory that daemon and workers share: for each slot, how many of the jobs sent to it have
 * been begun, and which were taken back.
 *
 * Jobs that may run twice are sent ahead of time. When the first of them turns out to be long, the daemon takes the
 * rest back: it raises the floor below which nothing may begin, in one compare-and-swap, and knows exactly which jobs
 * will never start there. Without it a short job could wait hours behind a long one while another worker is idle.
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

/* Daemon, before a worker is spawned into slot: nothing begun, nothing withdrawn. */
void slots_reset(struct slots *slots, unsigned slot);
/*
 * Daemon: of the jobs sent so far (their running numbers are 0 … sent - 1 since the reset) none that has not begun may
 * begin any more. Returns the number behind the last that has begun: those from there up to sent will never start here
 * and are free to go elsewhere.
 */
uint32_t slots_withdraw(struct slots *slots, unsigned slot, uint32_t sent);
/* Daemon: the number behind the last job that has begun. */
uint32_t slots_begun(const struct slots *slots, unsigned slot);

/*
 * Worker, before each job it was sent, in order, with the running number of its frame (0 for the first since the
 * worker's birth): true, and the job counts as begun; false: it was withdrawn: skip it in silence.
 */
bool slots_begin(struct slots *slots, unsigned slot, uint32_t number);

#endif
