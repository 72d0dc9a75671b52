/*
 * datetime: a time as clients write it: RFC 3339, "2026-11-21T02:30:00.123Z". Pure.
 */
#ifndef PROTO_DATETIME_H
#define PROTO_DATETIME_H

#include <stdint.h>

/*
 * Milliseconds since the epoch. The fraction may be missing or have any number of digits (what is below a millisecond is
 * cut off), the offset may be Z or ±hh:mm, T and Z may be small letters. 0, or -1: it is none, or (in UTC) before 1970
 * or behind 9999.
 */
int datetime_read(const char *text, int64_t *ret_ms);

/* How many days that month has, 1 to 12, of a year from 1 on. */
int datetime_month_days(int year, int month);

#endif
