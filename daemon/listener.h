/*
 * listener: the sockets on which clients come: makes or inherits them, accepts, finds out who it is, and hands a bufferevent on. A socket of
 * systemd's is never unlinked. At most a few connections a turn; without descriptors it rests for a moment. Loop thread.
 */
#ifndef DAEMON_LISTENER_H
#define DAEMON_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/session.h"

struct listener;

/*
 * A Unix socket at path with the file mode, or, with fd >= 0, one that was passed (fd is taken). NULL with *ret_reason malloc'ed.
 * A socket file that nobody listens on is replaced.
 */
struct listener *listener_open_unix(struct server *server, struct sessions *sessions, int fd, const char *path, unsigned mode,
    char **ret_reason);
struct listener *listener_open_tcp(struct server *server, struct sessions *sessions, int fd, const char *host, int port,
    char **ret_reason);
/* Of a TCP socket: "127.0.0.1:4730", with the port that it was given; "" for any other. */
void listener_place(const struct listener *listener, char *ret_place, size_t size);
/* Closes, and removes a socket file of our own. */
void listener_close(struct listener *listener);

#endif
