/*
 * tls: what TCP connections are encrypted with: certificate, key, and who must have signed a client's certificate. OpenSSL below, under
 * libevent's bufferevents, so a session does not know the difference. Loop thread.
 */
#ifndef DAEMON_TLS_H
#define DAEMON_TLS_H

#include <stdbool.h>

struct bufferevent;
struct event_base;
struct tls;

/*
 * Reads the files; client_ca NULL: clients need no certificate. TLS 1.2 at the least. NULL with *ret_reason malloc'ed: which file cannot be
 * used and why.
 */
struct tls *tls_open(const char *certificate, const char *key, const char *client_ca, char **ret_reason);
void tls_close(struct tls *tls);

/* An accepted connection whose handshake goes on by itself; fd is the bufferevent's then. NULL: no memory, and fd is the caller's. */
struct bufferevent *tls_accept(struct tls *tls, struct event_base *base, int fd);

/*
 * At the end, when the loop does not turn any more: writes what stands in the output of any bufferevent, encrypted or not, as far as the
 * socket takes it at once.
 */
void tls_flush(struct bufferevent *bev);

#endif
