/*
 * session: one connection: lines in, replies out, and when to stop reading. It never sees a descriptor: the listener makes the bufferevent and says who
 * the other side is. Loop thread.
 */
#ifndef DAEMON_SESSION_H
#define DAEMON_SESSION_H

#include "daemon/request.h"

struct bufferevent;
struct sessions;

struct sessions *sessions_new(struct server *server);
/* Closes all connections at once; what is in their output buffers is tried once. */
void sessions_free(struct sessions *sessions);
/* Takes bev. role ROLE_NONE: it must say hello with a token. */
void sessions_add(struct sessions *sessions, struct bufferevent *bev, enum role role, const char *owner);
unsigned sessions_count(const struct sessions *sessions);
/* Closes the connection that has for longest not said who it is; false: all have. */
bool sessions_drop_stranger(struct sessions *sessions);
/* The tokens file was read anew: closes the connections whose token is not in it any more with the same role. How many that were. */
unsigned sessions_close_revoked(struct sessions *sessions);
/* Reading may go on where it was stopped because too much was on its way to the store. */
void sessions_resume(struct sessions *sessions);

#endif
