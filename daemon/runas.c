/*
 * runas: see runas.h.
 */
#include "daemon/runas.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "daemon/privacy.h"

#define OWNER_PREFIX "uid:"
#define UID_MAX      (INT64_C(0xffffffff) - 1) /* the last one means "no change" to the kernel */
#define GROUPS_FIRST 32
#define GROUPS_MAX   65536

int64_t
runas_owner(const char *owner)
{
	size_t len = strlen(OWNER_PREFIX);
	long long uid;
	char *end;

	if (strncmp(owner, OWNER_PREFIX, len) != 0 || owner[len] < '0' || owner[len] > '9')
		return RUNAS_NOBODY;
	errno = 0;
	uid = strtoll(owner + len, &end, 10);
	return errno == 0 && *end == '\0' && uid <= UID_MAX ? uid : RUNAS_NOBODY;
}

const char *
runas_missing(void)
{
	static const struct {
		unsigned capability;
		const char *what;
	} needed[] = {
	    {CAP_SETUID, "the capability CAP_SETUID"},
	    {CAP_SETGID, "the capability CAP_SETGID"},
	    {CAP_KILL, "the capability CAP_KILL: a command must be ended whoever it is"},
	    {CAP_CHOWN, "the capability CAP_CHOWN: a command's pipes are to be its own"},
	    {CAP_SYS_PTRACE, "the capability CAP_SYS_PTRACE: after a crash what is left is found by its environment"},
	    {CAP_DAC_READ_SEARCH, "the capability CAP_DAC_READ_SEARCH: after a crash what is left is found by its environment"},
	};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (geteuid() != 0)
		return "a daemon that root has started";
	if (syscall(SYS_capget, &header, data) < 0)
		return "a kernel that tells capabilities";
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if ((data[CAP_TO_INDEX(needed[i].capability)].effective & CAP_TO_MASK(needed[i].capability)) == 0)
			return needed[i].what;
	}
	return NULL;
}

/* All groups of the user, also those that it has by the group database. */
static int
runas_find_groups(struct runas_user *user)
{
	int n = GROUPS_FIRST, room;

	do {
		room = n;
		free(user->groups);
		user->groups = mem_new_array((size_t)room, sizeof(*user->groups));
		if (getgrouplist(user->name, user->gid, user->groups, &n) >= 0) {
			user->n_groups = (size_t)n;
			return 0;
		}
	} while (n > room && n <= GROUPS_MAX);
	return -1;
}

/* What getpwuid(3) says of a user that is not there; all else is a fault of the moment. */
static bool
runas_is_unknown(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

int
runas_find(int64_t uid, struct runas_user *ret_user, char *why_not, size_t size)
{
	struct runas_user user = {0};
	struct passwd *entry;
	int error;

	if (uid < 0 || uid > UID_MAX) {
		snprintf(why_not, size,
		    "its owner is no Unix user: with [exec] run_as = owner a command runs as the user who has submitted it by the Unix socket");
		return -1;
	}
	do {
		errno = 0;
		entry = getpwuid((uid_t)uid);
		error = errno;
	} while (entry == NULL && error == EINTR);
	if (entry == NULL) {
		snprintf(why_not, size, "the user with uid %lld, its owner, cannot be looked up: %s", (long long)uid,
		    error != 0 ? strerror(error) : "there is none");
		return runas_is_unknown(error) ? -1 : RUNAS_LATER;
	}
	user.uid = entry->pw_uid;
	user.gid = entry->pw_gid;
	user.name = mem_text(entry->pw_name);
	user.home = mem_text(entry->pw_dir[0] != '\0' ? entry->pw_dir : "/");
	user.shell = mem_text(entry->pw_shell[0] != '\0' ? entry->pw_shell : "/bin/sh");
	if (user.uid != (uid_t)uid || runas_find_groups(&user) < 0) {
		snprintf(why_not, size, "the groups of the user %.100s, its owner, cannot be looked up", user.name);
		runas_done(&user);
		return -1;
	}
	*ret_user = user;
	return 0;
}

void
runas_done(struct runas_user *user)
{
	free(user->groups);
	free(user->name);
	free(user->home);
	free(user->shell);
	*user = (struct runas_user){0};
}

/*
 * The kernel's own calls, which are of one thread: the child of a fork has no other. libc's would tell all the threads that it
 * believes in by a signal, and that includes the one that TSan starts in a child, which dies of it; nor does libc say that
 * they may be called there.
 */
#ifdef SYS_setresuid32 /* where the plain ones know 16 bits only */
#define RUNAS_CALL(name) SYS_##name##32
#else
#define RUNAS_CALL(name) SYS_##name
#endif

/* Whether the process is that user and nobody else, and cannot be root again. */
static bool
runas_is(const struct runas_user *user)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (getresuid(&real, &effective, &saved) < 0 || getresgid(&real_group, &effective_group, &saved_group) < 0)
		return false;
	if (real != user->uid || effective != user->uid || saved != user->uid)
		return false;
	if (real_group != user->gid || effective_group != user->gid || saved_group != user->gid)
		return false;
	return user->uid == 0 || (syscall(RUNAS_CALL(setuid), 0L) < 0 && (user->gid == 0 || syscall(RUNAS_CALL(setgid), 0L) < 0));
}

int
runas_become(const struct runas_user *user)
{
	/* Keys that root holds in its session are not for the command; it may be that nobody can ask for any. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM)
		return errno;
	if (syscall(RUNAS_CALL(setgroups), user->n_groups, user->groups) < 0 ||
	    syscall(RUNAS_CALL(setresgid), user->gid, user->gid, user->gid) < 0 ||
	    syscall(RUNAS_CALL(setresuid), user->uid, user->uid, user->uid) < 0)
		return errno;
	privacy_close_memory(); /* of root's, until it is executed: a kernel may be set to open it when a user changes */
	return runas_is(user) ? 0 : EPERM;
}
