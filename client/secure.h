/*
 * TLS between a wire and its socket: what is written goes out encrypted, what comes is decrypted, and the wire cannot tell.
 *
 * OpenSSL works on memory here, and the bytes go by send and recv: so no write raises SIGPIPE, and nothing waits that was not
 * asked to. One for each connection. Nothing here sets a client's failure but secure_open.
 */
#ifndef CLIENT_SECURE_H
#define CLIENT_SECURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct fut_client;
struct fut_tls;
struct secure;

/*
 * Shakes hands over the connected socket fd, which stays the caller's, waiting up to timeout_ms, and checks that host is who
 * answers. Negative as client_fail.
 */
int secure_open(struct fut_client *client, int fd, const char *host, const struct fut_tls *tls, int timeout_ms,
		struct secure **ret_secure);
/* NULL is allowed. */
void secure_free(struct secure *secure);

/* As recv and send with MSG_NOSIGNAL. What OpenSSL objects to is EPROTO. */
ssize_t secure_recv(struct secure *secure, int fd, void *bytes, size_t len, int flags);
ssize_t secure_send(struct secure *secure, int fd, const void *bytes, size_t len);
/* Something has come that secure_recv gives without the socket; something waits that secure_send (of 0 bytes too) writes. */
bool secure_has_input(const struct secure *secure);
bool secure_has_output(const struct secure *secure);

#endif
