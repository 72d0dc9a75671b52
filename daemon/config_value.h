/*
 * config_value: the words of a configuration file: numbers, sizes, durations, modes, addresses. Pure.
 */
#ifndef DAEMON_CONFIG_VALUE_H
#define DAEMON_CONFIG_VALUE_H

#include <stddef.h>
#include <stdint.h>

/* Each: 0 and *ret, or -1 for a text that is none. The whole text counts; nothing is negative. */

/* "42" */
int config_value_integer(const char *text, int64_t *ret);
/* Bytes: "65536", "64K", "16M", "1G" (powers of 1024). */
int config_value_size(const char *text, int64_t *ret);
/* Milliseconds, from seconds "30", "0.5" or with a unit: "30s", "5m", "2h", "7d". */
int config_value_duration(const char *text, int64_t *ret_ms);
/* yes, no, true, false, on, off, 1, 0 */
int config_value_boolean(const char *text, int64_t *ret);
/* Octal permission bits: "0660". */
int config_value_mode(const char *text, int64_t *ret);
/* "127.0.0.1:7433", "[::1]:7433", "localhost:0"; the caller frees the host, which has no brackets. */
int config_value_address(const char *text, char **ret_host, int64_t *ret_port);
/* Whether what config_value_address() gave is a loopback address for certain. */
int config_value_is_loopback(const char *host);
/* Words between blanks and commas; the caller frees each and the array (NULL when there is none). */
size_t config_value_names(const char *text, char ***ret_names);

#endif
