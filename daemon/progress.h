/*
 * progress: how far a job is: a fraction and a text, and the lines in which a command tells them.
 *
 * A command writes lines to the descriptor that FUTURED_PROGRESS_FD names: `NUMBER TEXT` or `NUMBER% TEXT`, the number
 * a decimal one from 0 to 1 (with %: to 100), the text optional. A line that is none of that, or longer than
 * PROGRESS_LINE, is ignored. Pure; no threads.
 */
#ifndef DAEMON_PROGRESS_H
#define DAEMON_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/text.h"

#define PROGRESS_LINE	 1024
#define PROGRESS_TEXT	 255
#define PROGRESS_MILLION 1000000
#define PROGRESS_GAP_MS	 50 /* between two that are told of one job: what comes faster is left out, but the last */

struct progress {
	int32_t millionths;	      /* of the whole, from 0 to PROGRESS_MILLION */
	char text[PROGRESS_TEXT + 1]; /* UTF-8 */
};

/* Text that is longer than PROGRESS_TEXT is cut between characters; one that is no UTF-8 is "". NULL is "". */
void progress_set(struct progress *progress, double fraction, const char *text, size_t len);
/* {"fraction":0.5,"text":"…"} */
void progress_add_json(const struct progress *progress, struct text *text);

/* Gathers lines; zeroed at first. */
struct progress_reader {
	struct progress last; /* of the last line that fits */
	size_t len;
	bool skipping; /* to the end of a line that is too long */
	char line[PROGRESS_LINE];
};
/* Takes what was read next; whether there was a line that fits. */
bool progress_read(struct progress_reader *reader, const char *bytes, size_t len);

#endif
