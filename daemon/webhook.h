/*
 * webhook: tells whom a job has named of the job's end: a POST of the job object, again and again until it is answered
 * with 2xx, or given up.
 *
 * What is to be sent stands in the store, from the commit of the end on; here are only the few that are under way. Each
 * is sent at least once, and may be more often (the daemon may die before the answer is written): the Idempotency-Key is
 * the same each time. Loop thread.
 */
#ifndef DAEMON_WEBHOOK_H
#define DAEMON_WEBHOOK_H

#include <stdbool.h>
#include <stdint.h>

struct dispatch;
struct loop;
struct webhooks;

struct webhooks_config {
	struct loop *loop;
	struct dispatch *dispatch;
	const char *store_id; /* copied */
	int64_t retention_ms;
	/* A job's webhook is done with; retention may delete the job at until_ms. */
	void (*done)(int64_t until_ms, void *arg);
	void *arg;
};

/* Looks soon at what an earlier daemon left. */
struct webhooks *webhooks_new(const struct webhooks_config *config);
/* What is under way is forgotten, and sent again by the next daemon. After dispatch_free(): nothing is called any more then. */
void webhooks_free(struct webhooks *webhooks);

/* Some may have become due. Nothing is begun while dispatch drains. */
void webhooks_look(struct webhooks *webhooks);
/* dispatch's answer to dispatch_settle_webhook(). */
void webhook_settled(void *ctx, bool written);

struct webhooks_stats {
	int64_t sent, failed; /* since the daemon's start; failed: given up */
};
void webhooks_get_stats(const struct webhooks *webhooks, struct webhooks_stats *ret_stats);

#endif
