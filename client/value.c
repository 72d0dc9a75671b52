/*
 * How people write numbers, durations and times, and how they are shown. Pure; the locale's numbers are not set in
 * futurectl.
 */
#include "value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/datetime.h"
#include "proto/jsonspan.h"

#define VALUE_DURATION_MAX 1e10 /* three centuries */

static const struct {
	const char *name;
	double seconds;
} value_units[] = {
	{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800},
};

double value_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The seconds of a unit of len letters, or 0. */
static double value_unit(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(value_units) / sizeof(value_units[0]); i++)
		if (strlen(value_units[i].name) == len && strncmp(value_units[i].name, name, len) == 0)
			return value_units[i].seconds;
	return 0;
}

int value_read_duration(const char *text, double *ret_seconds)
{
	double sum = 0, unit;
	size_t digits, letters;
	char *end;

	for (const char *at = text; at == text || *at != '\0'; at += digits + letters) {
		double number;

		digits = strspn(at, "0123456789.");
		if (digits == 0)
			return -1;
		number = strtod(at, &end);
		letters = strspn(at + digits, "abcdefghijklmnopqrstuvwxyz");
		if (letters == 0 && (at != text || at[digits] != '\0'))
			return -1;
		unit = letters == 0 ? 1 : value_unit(at + digits, letters);
		if (end != at + digits || unit == 0)
			return -1;
		sum += number * unit;
	}
	if (!(sum <= VALUE_DURATION_MAX))
		return -1;
	*ret_seconds = sum;
	return 0;
}

int value_read_integer(const char *text, int64_t *ret)
{
	const char *digits = text + (text[0] == '-' || text[0] == '+');
	char *end;
	long long value;

	if (!isdigit((unsigned char)digits[0]))
		return -1;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return -1;
	*ret = value;
	return 0;
}

int value_read_time(const char *text, double *ret_seconds)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	double fraction = 0;
	char *end;

	if (rest == NULL)
		return -1;
	if (*rest == '.') {
		fraction = strtod(rest, &end);
		rest = end;
	}
	if (strcmp(rest, "Z") != 0)
		return -1;
	*ret_seconds = (double)timegm(&tm) + fraction;
	return 0;
}

/* "Z", "+01:00" or "-0130" up to the end: seconds east of UTC. 0, or -1. */
static int value_read_offset(const char *text, long *ret_seconds)
{
	int hours, minutes, len = 0;

	*ret_seconds = 0;
	if (strcmp(text, "Z") == 0)
		return 0;
	if (text[0] != '+' && text[0] != '-')
		return -1;
	if (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &len) < 2)
		len = 0;
	if (len == 0 && sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &len) < 2)
		return -1;
	if (len == 0 || text[1 + len] != '\0' || hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return -1;
	*ret_seconds = (text[0] == '-' ? -1 : 1) * (hours * 3600L + minutes * 60L);
	return 0;
}

/* "18:00" or "18:00:30" of tm's day, in local time. 0, or -1. */
static int value_read_local(const char *text, struct tm *tm, double *ret_seconds)
{
	const char *rest = strptime(text, "%H:%M:%S", tm);
	time_t moment;

	if (rest == NULL) {
		tm->tm_sec = 0;
		rest = strptime(text, "%H:%M", tm);
	}
	tm->tm_isdst = -1;
	moment = rest != NULL && *rest == '\0' ? mktime(tm) : -1;
	if (moment < 0)
		return -1;
	*ret_seconds = (double)moment;
	return 0;
}

int value_read_moment(const char *text, time_t now, double *ret_seconds)
{
	struct tm tm = {0}, today;
	const char *rest = strptime(text, "%Y-%m-%d", &tm), *zone;
	double fraction = 0;
	long east;
	char *end;

	if (rest == NULL) {
		if (localtime_r(&now, &today) == NULL)
			return -1;
		tm = today;
		if (value_read_local(text, &tm, ret_seconds) < 0)
			return -1;
		if (*ret_seconds > (double)now)
			return 0;
		today.tm_mday++;
		return value_read_local(text, &today, ret_seconds);
	}
	if (*rest != 'T' && *rest != 't' && *rest != ' ')
		return -1;
	/* To strptime() every month has 31 days, and mktime() takes the 30th of February for a day of March. */
	if (tm.tm_mday > datetime_month_days(tm.tm_year + 1900, tm.tm_mon + 1))
		return -1;
	zone = strptime(rest + 1, "%H:%M:%S", &tm);
	if (zone == NULL || *zone == '\0')
		return value_read_local(rest + 1, &tm, ret_seconds);
	if (*zone == '.') {
		fraction = strtod(zone, &end);
		zone = end;
	}
	if (value_read_offset(zone, &east) < 0)
		return -1;
	*ret_seconds = (double)(timegm(&tm) - east) + fraction;
	return 0;
}

int value_read_mib(const char *text, int64_t *ret_mib)
{
	static const char units[] = "KMGTP";
	size_t digits = strspn(text, "0123456789.");
	const char *unit;
	char *end;
	double mib = strtod(text, &end);

	if (digits == 0 || end != text + digits)
		return -1;
	if (*end != '\0') {
		unit = strchr(units, toupper((unsigned char)*end));
		if (unit == NULL || (end[1] != '\0' && strcasecmp(end + 1, "iB") != 0))
			return -1;
		mib /= 1024;
		for (; unit > units; unit--)
			mib *= 1024;
	}
	if (!(mib > 0 && mib <= 1e12))
		return -1;
	*ret_mib = (int64_t)mib;
	*ret_mib += (double)*ret_mib < mib;
	return 0;
}

bool value_is_json(const char *text)
{
	return jsonspan_validate((struct span){text, strlen(text)}, NULL, NULL) == 0;
}

void value_write_time(struct text *out, double seconds)
{
	long long ms = (long long)(seconds * 1000 + 0.5);
	time_t whole = (time_t)(ms / 1000);
	char digits[32] = "";
	struct tm tm;

	if (gmtime_r(&whole, &tm) != NULL)
		strftime(digits, sizeof(digits), "%Y-%m-%dT%H:%M:%S", &tm);
	text_add_format(out, "%s.%03lldZ", digits, ms % 1000);
}

void value_write_local_time(struct text *out, double seconds)
{
	time_t whole = (time_t)seconds;
	char digits[32] = "";
	struct tm tm;

	if (localtime_r(&whole, &tm) != NULL)
		strftime(digits, sizeof(digits), "%Y-%m-%d %H:%M:%S", &tm);
	text_add_string(out, digits);
}

void value_write_duration(struct text *out, double seconds)
{
	long long whole = seconds < 0 ? 0 : (long long)seconds;

	if (whole < 10)
		text_add_format(out, "%.2fs", seconds < 0 ? 0 : seconds);
	else if (whole < 60)
		text_add_format(out, "%.1fs", seconds);
	else if (whole < 3600)
		text_add_format(out, "%lldm%02llds", whole / 60, whole % 60);
	else if (whole < 86400)
		text_add_format(out, "%lldh%02lldm", whole / 3600, whole % 3600 / 60);
	else
		text_add_format(out, "%lldd%02lldh", whole / 86400, whole % 86400 / 3600);
}
