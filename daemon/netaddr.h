/*
 * netaddr: which network addresses lead back to this machine or its link: what an ordinary user's http.fetch may not
 * reach, and where alone the daemon listens without TLS. Pure.
 */
#ifndef DAEMON_NETADDR_H
#define DAEMON_NETADDR_H

#include <stdbool.h>
#include <sys/socket.h>

/* Whether nobody but this machine reaches a listener there: 127/8 or ::1. */
bool netaddr_is_loopback(const struct sockaddr *address);
/* Loopback, link-local or unspecified, also inside an IPv6 address; and every family but IPv4 and IPv6. */
bool netaddr_is_local(const struct sockaddr *address);
/* The same for a URL's host that needs no look-up: an address as text (brackets or not), or localhost. */
bool netaddr_host_is_local(const char *host);

#endif
