/*
 * cgroup: see cgroup.h. A failure costs what the group was for and never a job: the tree is also ended by proctree, and
 * memory has an rlimit.
 */
#include "daemon/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/mem.h"

#define NAME_SIZE    32
#define CONTENT_SIZE 4096

/* What stands in a file, as text; its length, or -1. */
static ssize_t
cgroup_read(int dir, const char *name, char content[CONTENT_SIZE])
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, content, CONTENT_SIZE - 1);
	close(fd);
	content[n > 0 ? n : 0] = '\0';
	return n;
}

/* Mostly nobody asks: what is not there is done without. */
static int
cgroup_write(int dir, const char *name, const char *content)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(content);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, content, len);
	close(fd);
	return n == (ssize_t)len ? 0 : -1;
}

/* ---- where ----------------------------------------------------------------------------------- */

static bool
cgroup_is_delegated(const char *path)
{
	char value[8];

	if (access(path, W_OK) < 0)
		return false;
	return (getxattr(path, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1') ||
	       (getxattr(path, "trusted.delegate", value, sizeof(value)) == 1 && value[0] == '1');
}

/* The path of the line "0::/a/b", malloc'ed, or NULL. */
static char *
cgroup_own_path(const char *own)
{
	const char *line = strncmp(own, "0::", 3) == 0 ? own - 1 : strstr(own, "\n0::");

	return line != NULL ? strndup(line + 4, strcspn(line + 4, "\n")) : NULL;
}

char *
cgroup_find(const char *own, const char *const *mounts)
{
	static const char *const usual[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", NULL};
	char content[CONTENT_SIZE], *path, *found = NULL;

	if (own == NULL) {
		if (cgroup_read(AT_FDCWD, "/proc/self/cgroup", content) < 0)
			return NULL;
		own = content;
	}
	path = cgroup_own_path(own);
	for (const char *const *mount = mounts != NULL ? mounts : usual; path != NULL && *mount != NULL; mount++) {
		char *mark = mem_format("%s/cgroup.controllers", *mount);
		char *whole = mem_format("%s%s", *mount, path);

		if (found == NULL && access(mark, F_OK) == 0 && cgroup_is_delegated(whole)) {
			found = whole;
			whole = NULL;
		}
		free(mark);
		free(whole);
	}
	free(path);
	return found;
}

/* ---- the daemon's ---------------------------------------------------------------------------- */

static int
cgroup_open_group(int root, const char *name)
{
	return openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Of an earlier life: what lives in it has lost all who knew it. It takes the kernel a while to end it. */
static void
cgroup_clear(int root, const char *name)
{
	int group = cgroup_open_group(root, name);

	cgroup_kill(group);
	if (group >= 0)
		close(group);
	unlinkat(root, name, AT_REMOVEDIR);
}

static void
cgroup_clear_slots(int root)
{
	int fd = cgroup_open_group(root, ".");
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, "slot-", 5) == 0)
			cgroup_clear(root, entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

/* The controllers can be handed down only by a group that has no process of its own. */
static void
cgroup_hand_down(int root, int group)
{
	static const char *const controllers[] = {"+memory", "+pids"};

	if (cgroup_write(group, "cgroup.procs", "0") < 0)
		return;
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
		cgroup_write(root, "cgroup.subtree_control", controllers[i]);
}

int
cgroup_open(const char *path, int *ret_lock)
{
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int lock = -1, error;

	if (root < 0)
		return -1;
	if (mkdirat(root, "daemon", 0700) == 0 || errno == EEXIST)
		lock = cgroup_open_group(root, "daemon");
	if (lock < 0) {
		error = errno;
		close(root);
		errno = error;
		return -1;
	}
	*ret_lock = lock;
	return root;
}

void
cgroup_take(int root, int lock)
{
	cgroup_hand_down(root, lock);
	cgroup_clear_slots(root);
}

/* ---- a command's ----------------------------------------------------------------------------- */

bool
cgroup_limit(int group, int64_t memory_mib)
{
	char number[NAME_SIZE];

	snprintf(number, sizeof(number), "%d", CGROUP_PIDS_MAX);
	cgroup_write(group, "pids.max", number);
	if (memory_mib == 0)
		return false;
	snprintf(number, sizeof(number), "%lld", (long long)memory_mib << 20);
	if (cgroup_write(group, "memory.max", number) < 0)
		return false;
	/* Memory on disk would be memory beyond the limit; a tree that has lost a process is no longer what it was. */
	return cgroup_write(group, "memory.swap.max", "0") == 0 && cgroup_write(group, "memory.oom.group", "1") == 0;
}

int
cgroup_make(int root, unsigned slot, int64_t memory_mib, bool *ret_memory)
{
	char name[NAME_SIZE];
	int group;

	*ret_memory = false;
	if (root < 0)
		return -1;
	snprintf(name, sizeof(name), "slot-%u", slot);
	if (mkdirat(root, name, 0755) < 0) {
		if (errno == EEXIST)
			cgroup_clear(root, name); /* of a supervisor that was killed: its tree is gone already */
		if (mkdirat(root, name, 0755) < 0)
			return -1;
	}
	group = cgroup_open_group(root, name);
	if (group < 0)
		return -1;
	*ret_memory = cgroup_limit(group, memory_mib);
	return group;
}

void
cgroup_kill(int group)
{
	if (group >= 0)
		cgroup_write(group, "cgroup.kill", "1"); /* before Linux 5.14 proctree does it alone */
}

bool
cgroup_ran_out_of_memory(int group)
{
	char content[CONTENT_SIZE];
	const char *line;

	if (group < 0 || cgroup_read(group, "memory.events", content) < 0)
		return false;
	line = strncmp(content, "oom_kill ", 9) == 0 ? content : strstr(content, "\noom_kill ");
	return line != NULL && strtol(strchr(line, ' '), NULL, 10) > 0;
}

void
cgroup_remove(int root, unsigned slot, int group)
{
	char name[NAME_SIZE];

	if (group < 0)
		return;
	close(group);
	snprintf(name, sizeof(name), "slot-%u", slot);
	unlinkat(root, name, AT_REMOVEDIR);
}
