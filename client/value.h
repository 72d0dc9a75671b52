/*
 * value: how people write numbers, durations and times, and how they are shown. Pure but for the clock and the time zone.
 */
#ifndef CLIENT_VALUE_H
#define CLIENT_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "text.h"

/* Seconds since 1970. */
double value_now(void);
/* "90", "1.5", "250ms", "1h30m", "2d": seconds; units ms s m h d w. 0, or -1. */
int value_read_duration(const char *text, double *ret_seconds);
/* A whole decimal number, perhaps with a sign. 0, or -1. */
int value_read_integer(const char *text, int64_t *ret);
/* "2026-11-21T02:30:00.123Z" as seconds since 1970. 0, or -1. */
int value_read_time(const char *text, double *ret_seconds);
/*
 * A moment as people write it, in seconds since 1970: "2026-12-24T18:00:00.5Z" or with an offset as "+01:00";
 * "2026-12-24 18:00[:30]" (a T in place of the space as well) in local time; "18:00[:30]", the next such time after now.
 * 0, or -1.
 */
int value_read_moment(const char *text, time_t now, double *ret_seconds);
/* A size in whole MiB, rounded up: "512M", "2G", "1.5GiB", "700K"; without a unit it is MiB. 0, or -1. */
int value_read_mib(const char *text, int64_t *ret_mib);
/* Whether text is JSON as the protocol has it. */
bool value_is_json(const char *text);

/* "2026-11-21T02:30:00.123Z". */
void value_write_time(struct text *out, double seconds);
/* The same for people, in local time: "2026-11-21 03:30:00". */
void value_write_local_time(struct text *out, double seconds);
/* "0.04s", "12.3s", "4m05s", "3h12m", "2d04h". */
void value_write_duration(struct text *out, double seconds);

#endif
