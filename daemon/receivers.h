/*
 * receivers: which receivers of webhooks are known to be down, so that one of them does not take all the places of the
 * others: while it is down one try at a time is let through to it. Pure; of bounded size; what it forgets is tried.
 */
#ifndef DAEMON_RECEIVERS_H
#define DAEMON_RECEIVERS_H

#include <stdbool.h>
#include <stdint.h>

#define RECEIVERS_MAX 64

struct receiver {
	uint64_t origin;
	unsigned failures; /* 0: the place is free */
	int64_t until_ms;  /* nothing is sent to it before */
	bool probing;      /* a try is on its way */
};

/* Zeroed at first. */
struct receivers {
	struct receiver down[RECEIVERS_MAX];
};

/* What stands for the scheme, host and port of a URL. */
uint64_t receivers_origin(const char *url);
/* Whether something may be sent there; if so, receivers_note() follows when it is known what came of it. */
bool receivers_may(struct receivers *receivers, uint64_t origin, int64_t now_ms);
/* In how many milliseconds it is worth asking again; 0: now. */
int64_t receivers_rest_ms(struct receivers *receivers, uint64_t origin, int64_t now_ms);
/*
 * reached: it has answered, whatever. After its first failure it is left alone for less than half a second, which is
 * doubled for each further one, up to a minute.
 */
void receivers_note(struct receivers *receivers, uint64_t origin, bool reached, int64_t now_ms);

#endif
