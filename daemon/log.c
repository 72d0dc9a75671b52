/*
 * log: see log.h. The level and the name are set before threads exist, or at a reload from the loop alone; a torn read of an
 * enum costs one line more or less.
 */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048

static const char *log_who = "futured";
static _Atomic int log_threshold = LOG_LEVEL_INFO;
static int log_to_journal;

static const char *const log_names[] = {"error", "warning", "notice", "info", "debug"};
static const int log_priorities[] = {3, 4, 5, 6, 7};

void
log_init(const char *who)
{
	log_who = who;
	log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

void
log_set_level(enum log_level level)
{
	atomic_store(&log_threshold, (int)level);
}

int
log_level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(log_names) / sizeof(log_names[0]); i++) {
		if (strcmp(name, log_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

/* Where the line goes: "<6>futured: " for the journal, else "2026-11-21T02:30:00Z futured: info: ". */
static size_t
log_prefix(char *line, size_t size, enum log_level level)
{
	char stamp[32];
	struct tm tm;
	time_t now;
	int n;

	if (log_to_journal) {
		n = snprintf(line, size, "<%d>%s: ", log_priorities[level], log_who);
	} else {
		now = time(NULL);
		gmtime_r(&now, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
		n = snprintf(line, size, "%s %s: %s: ", stamp, log_who, log_names[level]);
	}
	return n < 0 ? 0 : (size_t)n;
}

static void __attribute__((format(printf, 2, 0)))
log_write(enum log_level level, const char *format, va_list args)
{
	char line[LOG_LINE_MAX];
	size_t start, len;
	int n;

	if ((int)level > atomic_load(&log_threshold))
		return;
	start = log_prefix(line, sizeof(line) - 2, level);
	n = vsnprintf(line + start, sizeof(line) - 1 - start, format, args);
	len = n < 0 ? start : start + (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	for (size_t i = start; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nobody to tell */
}

#define LOG_FUNCTION(name, level)                                                                                      \
	void name(const char *format, ...)                                                                             \
	{                                                                                                              \
		va_list args;                                                                                          \
		va_start(args, format);                                                                                \
		log_write(level, format, args);                                                                        \
		va_end(args);                                                                                          \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_notice, LOG_LEVEL_NOTICE)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
