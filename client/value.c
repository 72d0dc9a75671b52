/*
 * How people write numbers, durations and times, and how they are shown. Pure; the locale's numbers are not set in
 * futurectl.
 */
#include "value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/jsonspan.h"

#define VALUE_DURATION_MAX 1e10 /* three centuries */

static const struct {
	const char *name;
	double seconds;
} value_units[] = {
	{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800},
};

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

bool value_is_json(const char *text)
{
	return jsonspan_validate((struct span){text, strlen(text)}, NULL, NULL) == 0;
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
