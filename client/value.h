/*
 * value: how people write numbers, durations and times, and how they are shown. Pure.
 */
#ifndef CLIENT_VALUE_H
#define CLIENT_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

/* "90", "1.5", "250ms", "1h30m", "2d": seconds; units ms s m h d w. 0, or -1. */
int value_read_duration(const char *text, double *ret_seconds);
/* A whole decimal number, perhaps with a sign. 0, or -1. */
int value_read_integer(const char *text, int64_t *ret);
/* "2026-11-21T02:30:00.123Z" as seconds since 1970. 0, or -1. */
int value_read_time(const char *text, double *ret_seconds);
/* Whether text is JSON as the protocol has it. */
bool value_is_json(const char *text);

/* "0.04s", "12.3s", "4m05s", "3h12m", "2d04h". */
void value_write_duration(struct text *out, double seconds);

#endif
