/*
 * config_value: see config_value.h. Strict: what is not wholly understood is refused, as a daemon that runs on half a
 * configuration is worse than one that does not start.
 */
#include "daemon/config_value.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

struct unit {
	const char *suffix;
	int64_t factor;
};

/* Whole digits at *text, moved behind them. -1 when there are none or they do not fit. */
static int
digits_read(const char **text, int64_t *ret)
{
	const char *at = *text;
	int64_t value = 0;

	if (*at < '0' || *at > '9')
		return -1;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (value > (INT64_MAX - 9) / 10)
			return -1;
		value = value * 10 + (*at - '0');
	}
	*text = at;
	*ret = value;
	return 0;
}

static int
unit_find(const struct unit *units, const char *suffix, int64_t *ret_factor)
{
	for (; units->suffix != NULL; units++) {
		if (strcmp(units->suffix, suffix) == 0) {
			*ret_factor = units->factor;
			return 0;
		}
	}
	return -1;
}

int
config_value_integer(const char *text, int64_t *ret)
{
	int64_t value;

	if (digits_read(&text, &value) < 0 || *text != '\0')
		return -1;
	*ret = value;
	return 0;
}

int
config_value_size(const char *text, int64_t *ret)
{
	static const struct unit units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
	int64_t value, factor;

	if (digits_read(&text, &value) < 0 || unit_find(units, text, &factor) < 0 || value > INT64_MAX / factor)
		return -1;
	*ret = value * factor;
	return 0;
}

int
config_value_duration(const char *text, int64_t *ret_ms)
{
	static const struct unit units[] = {
	    {"", 1000}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
	int64_t whole, thousandths = 0, scale = 100, factor;

	if (digits_read(&text, &whole) < 0)
		return -1;
	if (*text == '.') {
		text++;
		if (*text < '0' || *text > '9')
			return -1;
		for (; *text >= '0' && *text <= '9'; text++, scale /= 10)
			thousandths += (*text - '0') * scale;
	}
	if (unit_find(units, text, &factor) < 0 || whole > INT64_MAX / factor - 1)
		return -1;
	*ret_ms = whole * factor + thousandths * factor / 1000;
	return 0;
}

int
config_value_boolean(const char *text, int64_t *ret)
{
	static const struct unit words[] = {
	    {"yes", 1}, {"true", 1}, {"on", 1}, {"1", 1}, {"no", 0}, {"false", 0}, {"off", 0}, {"0", 0}, {NULL, 0}};

	return unit_find(words, text, ret);
}

int
config_value_mode(const char *text, int64_t *ret)
{
	int64_t mode = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 4)
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '7')
			return -1;
		mode = mode * 8 + (*text - '0');
	}
	if (mode > 0777)
		return -1;
	*ret = mode;
	return 0;
}

/* What can be no part of one is refused here; whether there is such a host shows when it is looked up. */
static bool
address_is_host(const char *host, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)host[i] <= ' ' || host[i] == '[' || host[i] == ']' || host[i] == 0x7f)
			return false;
	}
	return len > 0;
}

int
config_value_address(const char *text, char **ret_host, int64_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	size_t len;
	int64_t port;

	if (colon == NULL || config_value_integer(colon + 1, &port) < 0 || port > 65535)
		return -1;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL) {
		return -1; /* an IPv6 address wants brackets */
	}
	if (!address_is_host(host, len))
		return -1;
	*ret_host = mem_copy(host, len);
	*ret_port = port;
	return 0;
}

int
config_value_is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

size_t
config_value_names(const char *text, char ***ret_names)
{
	static const char blanks[] = " \t,";
	char **names = NULL;
	size_t n = 0, capacity = 0, len;

	for (text += strspn(text, blanks); *text != '\0'; text += strspn(text, blanks)) {
		len = strcspn(text, blanks);
		names = mem_room(names, n, &capacity, sizeof(*names));
		names[n++] = mem_copy(text, len);
		text += len;
	}
	*ret_names = names;
	return n;
}
