/*
 * server: what request handlers work with: the parts of the daemon, gathered in one struct that main fills. Owns nothing.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/request.h"

struct config;
struct dispatch;
struct loop;
struct outfiles;
struct roster_owner;
struct task;
struct tls;
struct token;
struct tokens;
struct waiters;
struct webhooks;

struct server {
	struct loop *loop;
	struct config *config;
	struct dispatch *dispatch;
	struct waiters *waiters;
	struct outfiles *outfiles;
	struct webhooks *webhooks;
	const struct task *const *tasks;
	const struct method *const *methods; /* tables, ends with NULL */
	/* The peer gets the role and owner of a token; false: it is none, and the peer stays who it was. */
	bool (*authenticate)(struct server *server, const char *token, struct peer *peer);
	/*
	 * Takes nothing more and starts nothing more; drained(true) is called when nothing runs and all is written, drained(false) when wait_ms (SPEC_NONE: no
	 * limit) is over before. Then the daemon ends.
	 */
	void (*drain)(struct server *server, int64_t wait_ms, void (*drained)(bool idle, void *arg), void *arg);
	void *drain_arg;
	const struct token *token; /* of the operator, by TCP */
	struct tokens *tokens;     /* everybody else's */
	struct tls *tls;           /* for TCP; NULL: it is not encrypted, and only this machine comes by it */
	pid_t spawner_pid;
	int64_t started_ms; /* monotonic */
	unsigned connections;
	struct rooms rooms; /* of what all replies in the making keep */
	size_t n_ranges;    /* that the waits of all connections keep */
	struct roster_owner *range_owners; /* who keeps them */
};

#endif
