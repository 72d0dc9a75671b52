/*
 * session: one connection: lines in, replies out, and when to stop reading. It never sees a descriptor: the listener makes the bufferevent and says who
 * the other side is. Loop thread.
 */
#ifndef DAEMON_SESSION_H
#define DAEMON_SESSION_H

#include "daemon/request.h"

#define SESSION_REFUSAL 320 /* bytes of the longest */

struct bufferevent;
struct sessions;

/* The line that answers what is not looked at any further: an error with `"id":null`; more is the rest of error.data. Its length. */
size_t session_write_refusal(char reply[SESSION_REFUSAL], enum rpc_error code, const char *message, const char *more);

struct sessions *sessions_new(struct server *server);
/* Closes all connections at once; what is in their output buffers is tried once. */
void sessions_free(struct sessions *sessions);
/* Takes bev. role ROLE_NONE: it must say hello with a token. */
void sessions_add(struct sessions *sessions, struct bufferevent *bev, enum role role, const char *owner);
unsigned sessions_count(const struct sessions *sessions);
/* Whether one more of that owner's has room beside the others': who is no operator may have as many as he leaves free, of so many. */
bool sessions_owner_has_room(const struct sessions *sessions, const char *owner, unsigned most);
/* Closes the connection that has for longest not said who it is; false: all have. */
bool sessions_drop_stranger(struct sessions *sessions);
/* The tokens file was read anew: closes the connections whose token is not in it any more with the same role. How many that were. */
unsigned sessions_close_revoked(struct sessions *sessions);
/* Reading may go on where it was stopped because too much was on its way to the store. */
void sessions_resume(struct sessions *sessions);

#endif
