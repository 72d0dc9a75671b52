/*
 * procfs: see procfs.h.
 */
#include "daemon/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/mem.h"

/* The whole of a file, with a NUL behind it; NULL when it cannot be read. */
static char *
procfs_read(const char *path, size_t *ret_len)
{
	size_t len = 0, capacity = 4096;
	char *bytes;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	bytes = mem_grow(NULL, capacity, 1);
	while ((n = read(fd, bytes + len, capacity - len - 1)) > 0) {
		len += (size_t)n;
		if (capacity - len - 1 < 1024) {
			capacity *= 2;
			bytes = mem_grow(bytes, capacity, 1);
		}
	}
	close(fd);
	bytes[len] = '\0';
	*ret_len = len;
	return bytes;
}

int
procfs_stat(pid_t pid, struct procfs_stat *ret_stat)
{
	unsigned long long start_time;
	long threads;
	char path[64];
	char *text, *fields;
	size_t len;
	char state;
	int parent, n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	text = procfs_read(path, &len);
	if (text == NULL)
		return -1;
	fields = strrchr(text, ')'); /* the name before it may hold anything */
	n = fields == NULL
		? 0
		: sscanf(fields, ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
		      &state, &parent, &threads, &start_time);
	free(text);
	if (n != 4)
		return -1;
	ret_stat->parent = parent;
	ret_stat->ended = (state == 'Z' || state == 'X') && threads <= 1; /* a leader may end before its threads */
	ret_stat->start_time = start_time;
	return 0;
}

/* Numbers to an array that grows. */
struct procfs_pids {
	pid_t *at;
	size_t n, capacity;
};

static void
procfs_pids_add(struct procfs_pids *pids, long pid)
{
	pids->at = mem_room(pids->at, pids->n, &pids->capacity, sizeof(*pids->at));
	pids->at[pids->n++] = (pid_t)pid;
}

static void
procfs_add_children_of_thread(struct procfs_pids *pids, pid_t pid, const char *thread)
{
	char path[96];
	char *text, *at, *end;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)pid, thread);
	text = procfs_read(path, &len);
	if (text == NULL)
		return;
	for (at = text;; at = end) {
		long child = strtol(at, &end, 10);

		if (end == at)
			break;
		procfs_pids_add(pids, child);
	}
	free(text);
}

/* Calls with the name of each entry of a folder of /proc that is a number. */
static void
procfs_each(const char *path, void (*cb)(struct procfs_pids *pids, pid_t pid, const char *name),
    struct procfs_pids *pids, pid_t pid)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (dir == NULL && errno == ENOMEM)
		mem_out(0); /* nobody is there and nobody can be seen are not the same */
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			cb(pids, pid, entry->d_name);
	}
	closedir(dir);
}

size_t
procfs_children(pid_t pid, pid_t **ret_children)
{
	struct procfs_pids pids = {0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	procfs_each(path, procfs_add_children_of_thread, &pids, pid);
	*ret_children = pids.at;
	return pids.n;
}

static void
procfs_add_name(struct procfs_pids *pids, pid_t pid, const char *name)
{
	(void)pid;
	procfs_pids_add(pids, strtol(name, NULL, 10));
}

size_t
procfs_all(pid_t **ret_pids)
{
	struct procfs_pids pids = {0};

	procfs_each("/proc", procfs_add_name, &pids, 0);
	*ret_pids = pids.at;
	return pids.n;
}

size_t
procfs_threads(void)
{
	struct procfs_pids pids = {0};

	procfs_each("/proc/self/task", procfs_add_name, &pids, 0);
	free(pids.at);
	return pids.n;
}

bool
procfs_has_env(pid_t pid, const char *entry)
{
	size_t len, entry_len = strlen(entry);
	char path[64];
	char *text;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	text = procfs_read(path, &len);
	if (text == NULL)
		return false;
	for (size_t at = 0; at < len && !found; at += strlen(text + at) + 1)
		found = strncmp(text + at, entry, entry_len + 1) == 0;
	free(text);
	return found;
}

bool
procfs_works(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	return access(path, R_OK) == 0;
}

int
procfs_hold(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 && errno == ENOSYS ? PROCFS_UNHELD : fd;
}

int
procfs_signal(int hold, pid_t pid, int sig)
{
	if (hold == PROCFS_UNHELD)
		return kill(pid, sig);
	return (int)syscall(SYS_pidfd_send_signal, hold, sig, NULL, 0);
}

void
procfs_release(int hold)
{
	if (hold >= 0)
		close(hold);
}
