/*
 * runas: a command as another Unix user, for a daemon that root has started ([exec] run_as = owner).
 *
 * Who a user is (groups, home, shell) is looked up in the worker, each time: users change while a daemon lives, and a
 * look-up allocates and may block. The command's own process then becomes that user between fork and exec, for good, and
 * nothing of the job has run before. The worker, its parent, stays root: it may signal whatever the command becomes, and the
 * command may not signal it. No libevent, no threads.
 */
#ifndef DAEMON_RUNAS_H
#define DAEMON_RUNAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RUNAS_NOBODY INT64_C(-1) /* no Unix user */

/* The uid of "uid:1000"; RUNAS_NOBODY for any other owner. */
int64_t runas_owner(const char *owner);

/* Whether this process can do it: NULL, or what is missing, a static phrase that goes behind "run_as = owner needs". */
const char *runas_missing(void);

struct runas_user {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned, as the texts */
	size_t n_groups;
	char *name, *home, *shell;
};

/*
 * 0; -1: the user is not known, or RUNAS_NOBODY; or RUNAS_LATER: the database of users cannot be asked now, and may be soon. why_not
 * (of size bytes) says why.
 */
#define RUNAS_LATER (-2)
int runas_find(int64_t uid, struct runas_user *ret_user, char *why_not, size_t size) __attribute__((warn_unused_result));
void runas_done(struct runas_user *user);

/*
 * Becomes the user, with its groups and no others, and proves that there is no way back. 0, or an errno: then the process
 * must end. Between fork and exec: allocates nothing.
 */
int runas_become(const struct runas_user *user) __attribute__((warn_unused_result));

#endif
