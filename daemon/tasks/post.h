/*
 * post: the POST of a webhook, as far as it is a transfer. Whom, when and how often is daemon/webhook.c's.
 */
#ifndef DAEMON_TASKS_POST_H
#define DAEMON_TASKS_POST_H

#include "daemon/task.h"

/*
 * For waits_begin_own(); it stands in no table, so nobody can submit it. args: [URL, idempotency key, body], the first
 * two strings, the body any JSON, sent as it is. It succeeds with {"status":…} when there is an answer, whatever that
 * is.
 */
extern const struct task task_post;

/* The status of an answer; 0: there was none. */
int post_status(const struct outcome *outcome);

/* Loop thread: NULL, or why it cannot be posted to this URL (static). */
const char *post_check_url(const char *url);
/* Loop thread: it leads to this machine or its link, as can be told without a look-up. */
bool post_url_is_local(const char *url);

#endif
