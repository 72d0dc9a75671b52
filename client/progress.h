/*
 * progress: one line on standard error that tells how far many jobs are, only where that is a terminal.
 */
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	int64_t ended;
	int64_t failed; /* or cancelled, among the ended */
	int64_t total;
	bool growing; /* total is not known yet: more may be submitted */
};

/* Whether there is a terminal to draw on. */
bool progress_wanted(void);
void progress_draw(const struct progress *progress);
/* Takes the line away, if one is drawn, so that something else can be written. */
void progress_clear(void);

#endif
