/*
 * netaddr: see netaddr.h.
 */
#include "daemon/netaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
v4_is_local(uint32_t address)
{
	uint32_t top = address >> 24;

	return top == 127 || top == 0 || (address >> 16) == 0xa9fe; /* 169.254/16 */
}

/* Prefixes whose last four bytes are an IPv4 address: mapped, compatible (with ::), NAT64. */
static bool
v6_holds_v4(const struct in6_addr *address)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

	return IN6_IS_ADDR_V4MAPPED(address) || memcmp(address, &in6addr_any, 12) == 0 ||
	    memcmp(address, nat64, 12) == 0;
}

static bool
v6_is_local(const struct in6_addr *address)
{
	uint32_t v4;

	if (IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_LINKLOCAL(address))
		return true;
	if (!v6_holds_v4(address))
		return false;
	memcpy(&v4, &address->s6_addr[12], sizeof(v4));
	return v4_is_local(ntohl(v4));
}

bool
netaddr_is_loopback(const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	switch (address->sa_family) {
	case AF_INET: memcpy(&v4, address, sizeof(v4)); return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
	case AF_INET6: memcpy(&v6, address, sizeof(v6)); return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
	default: return false;
	}
}

bool
netaddr_is_local(const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	switch (address->sa_family) {
	case AF_INET: memcpy(&v4, address, sizeof(v4)); return v4_is_local(ntohl(v4.sin_addr.s_addr));
	case AF_INET6: memcpy(&v6, address, sizeof(v6)); return v6_is_local(&v6.sin6_addr);
	default: return true;
	}
}

bool
netaddr_host_is_local(const char *host)
{
	static const char name[] = "localhost";
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;
	size_t len = strlen(host);

	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	while (len > 0 && host[len - 1] == '.')
		len--;
	if (len >= sizeof(name) - 1 && strncasecmp(host + len - (sizeof(name) - 1), name, sizeof(name) - 1) == 0)
		return len == sizeof(name) - 1 || host[len - sizeof(name)] == '.';
	if (snprintf(text, sizeof(text), "%.*s", (int)len, host) >= (int)sizeof(text))
		return false;
	if (inet_pton(AF_INET, text, &v4) == 1)
		return v4_is_local(ntohl(v4.s_addr));
	return inet_pton(AF_INET6, text, &v6) == 1 && v6_is_local(&v6);
}
