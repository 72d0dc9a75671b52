/*
 * pump: runs a loop of the test's own thread until something holds, with a deadline that FUTURED_TEST_SCALE stretches.
 */
#ifndef TESTS_UNIT_PUMP_H
#define TESTS_UNIT_PUMP_H

#include <check.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/loop.h"

#define PUMP_MS 60000

static inline int64_t
pump_scale(void)
{
	const char *scale = getenv("FUTURED_TEST_SCALE");

	return scale != NULL && atoi(scale) > 0 ? atoi(scale) : 1;
}

/* One turn, which ends also when nothing happens. */
static inline void
pump_turn(struct loop *loop)
{
	const struct timeval tick = {.tv_usec = 20000};

	event_base_loopexit(loop_base(loop), &tick);
	ck_assert_int_ge(event_base_loop(loop_base(loop), EVLOOP_ONCE), 0);
}

#define PUMP(loop, condition)                                                                                          \
	do {                                                                                                           \
		int64_t pump_deadline = loop_mono_ms() + PUMP_MS * pump_scale();                                       \
		while (!(condition)) {                                                                                 \
			ck_assert_msg(loop_mono_ms() < pump_deadline, "too late: %s", #condition);                     \
			pump_turn(loop);                                                                               \
		}                                                                                                      \
	} while (0)

#endif
