/*
 * log: one line a fact on standard error, as systemd's journal wants it ("<4>text" when it is the journal that reads, else with
 * a time stamp). Any thread, any process; one write(2) a line, so lines never mix. What came from users is escaped.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Before the first fork; who is the word before each line ("futured", in children "spawner", "worker"). Static string. */
void log_init(const char *who);
void log_set_level(enum log_level level);
/* "error" ... "debug": 0 and *ret_level, else -1. */
int log_level_parse(const char *name, enum log_level *ret_level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
