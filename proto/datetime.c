/*
 * datetime: see datetime.h. No function of libc's calendar: they know locales and zones, and take more than is allowed here.
 */
#include "datetime.h"

#include <stdbool.h>
#include <stddef.h>

#define DATETIME_END_MS INT64_C(253402300800000) /* the year 10000, which has a digit too many */

/* Exactly n digits from *at on, which goes behind them; -1: there are not so many, or the number is not in low … high. */
static int
datetime_number(const char **at, int n, int low, int high)
{
	int value = 0;

	for (int i = 0; i < n; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		value = value * 10 + (**at - '0');
	}
	return value >= low && value <= high ? value : -1;
}

static bool
datetime_skip(const char **at, char c, char other)
{
	if (**at != c && **at != other)
		return false;
	(*at)++;
	return true;
}

int
datetime_month_days(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Days since the epoch: the year begins in March, so that the day that leaps is its last. */
static int64_t
datetime_days(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int
datetime_read_date(const char **at, int64_t *ret_days)
{
	int year, month, day;

	if ((year = datetime_number(at, 4, 1, 9999)) < 0 || !datetime_skip(at, '-', '-') ||
	    (month = datetime_number(at, 2, 1, 12)) < 0 || !datetime_skip(at, '-', '-') ||
	    (day = datetime_number(at, 2, 1, datetime_month_days(year, month))) < 0)
		return -1;
	*ret_days = datetime_days(year, month, day);
	return 0;
}

/* A second may be the 60th: it is the first of the next minute. */
static int
datetime_read_clock(const char **at, int64_t *ret_ms)
{
	int hour, minute, second, ms = 0, weight = 100;

	if ((hour = datetime_number(at, 2, 0, 23)) < 0 || !datetime_skip(at, ':', ':') ||
	    (minute = datetime_number(at, 2, 0, 59)) < 0 || !datetime_skip(at, ':', ':') ||
	    (second = datetime_number(at, 2, 0, 60)) < 0)
		return -1;
	if (datetime_skip(at, '.', '.')) {
		if (**at < '0' || **at > '9')
			return -1;
		for (; **at >= '0' && **at <= '9'; (*at)++, weight /= 10)
			ms += (**at - '0') * weight;
	}
	*ret_ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + ms;
	return 0;
}

/* How far it is ahead of UTC. */
static int
datetime_read_offset(const char **at, int64_t *ret_ms)
{
	bool ahead = **at == '+';
	int hour, minute;

	*ret_ms = 0;
	if (datetime_skip(at, 'Z', 'z'))
		return 0;
	if (!datetime_skip(at, '+', '-') || (hour = datetime_number(at, 2, 0, 23)) < 0 || !datetime_skip(at, ':', ':') ||
	    (minute = datetime_number(at, 2, 0, 59)) < 0)
		return -1;
	*ret_ms = (hour * 60 + minute) * INT64_C(60000) * (ahead ? 1 : -1);
	return 0;
}

int
datetime_read(const char *text, int64_t *ret_ms)
{
	int64_t days, clock_ms, offset_ms, ms;

	if (datetime_read_date(&text, &days) < 0 || !datetime_skip(&text, 'T', 't') ||
	    datetime_read_clock(&text, &clock_ms) < 0 || datetime_read_offset(&text, &offset_ms) < 0 || *text != '\0')
		return -1;
	ms = days * INT64_C(86400000) + clock_ms - offset_ms;
	if (ms < 0 || ms >= DATETIME_END_MS)
		return -1;
	*ret_ms = ms;
	return 0;
}
