/*
 * disk: a disk whose power can be cut, that is slow, or that fails. For LD_PRELOAD, in front of the C library.
 *
 * Only files named futured.db… in the folder $DISK_DIR are on it; all else goes through. What their writers write goes to the real file as ever,
 * where they and others read it. Beside it stands in $DISK_SHADOW what a power cut would leave:
 *
 *     INODE    a file as far as it was synced: fsync() and fdatasync() copy what was written since the last time
 *     names    the folder as it was synced: a line "INODE NAME" for each file; fsync() of the folder writes it
 *
 * `disk.py` makes of them, after everything was killed, what the next start finds. A real disk may keep more than was synced: disk.py mixes.
 *
 * $DISK_SYNC_MS makes each sync take so long, as on a slow disk: what hastens ahead of it is seen. $DISK_FAIL is `write N ERRNO [once]` or
 * `sync N ERRNO [once]`: the Nth call (a sync of the folder is one too), counted over the daemon's whole life, and all behind it (or it alone)
 * fail so, until there is a file $DISK_HEALED; a negative ERRNO is a signal that ends the daemon in place of the call. $DISK_COUNT names a file
 * to which, at each sync, the numbers of writes and syncs so far are written. To $DISK_TOLD a line is added for each call that failed, and for
 * each sync of a file, other than one that is still being made (….new), of which a sync had failed before.
 *
 * It knows what SQLite does with its files (pwrite, one thread, no maps) and no more. Not for builds with sanitizers.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS 1024
#define PAGE 512 /* what is written is remembered in pieces of this size */
#define REAL(name) ((__typeof__(&name))real(#name))

/* A file as it is open. Dirty pieces are remembered for each file, so two descriptors of one file share them by inode. */
struct dirty {
	ino_t inode;
	unsigned char *bits;
	size_t n; /* pieces that bits has room for */
	off_t cut; /* truncated to this since the last sync; -1: was not */
	int sync_failed;
	struct dirty *next;
};

static struct dirty *files;
static struct dirty *by_fd[FDS];
static char is_folder[FDS], is_new[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long n_writes, n_syncs;

static void *
real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		abort();
	return function;
}

static const char *
setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? value : "";
}

/* ---- what is on this disk ------------------------------------------------------------------- */

static int
is_ours(const char *path)
{
	const char *dir = setting("DISK_DIR"), *slash = strrchr(path, '/');
	size_t len = strlen(dir);

	return len > 0 && slash != NULL && (size_t)(slash - path) == len && strncmp(path, dir, len) == 0 &&
	    strncmp(slash + 1, "futured.db", 10) == 0;
}

static void
shadow_path(ino_t inode, char *path, size_t size)
{
	snprintf(path, size, "%s/%llu", setting("DISK_SHADOW"), (unsigned long long)inode);
}

static void
note_open(int fd, const char *path)
{
	struct dirty *file;
	struct stat st;

	if (fd < 0 || fd >= FDS)
		return;
	pthread_mutex_lock(&lock);
	by_fd[fd] = NULL;
	is_folder[fd] = strcmp(path, setting("DISK_DIR")) == 0;
	is_new[fd] = strstr(path, ".new") != NULL;
	if (is_ours(path) && fstat(fd, &st) == 0) {
		for (file = files; file != NULL && file->inode != st.st_ino; file = file->next)
			;
		if (file == NULL) {
			file = calloc(1, sizeof(*file));
			file->inode = st.st_ino;
			file->cut = -1;
			file->next = files;
			files = file;
		}
		by_fd[fd] = file;
	}
	pthread_mutex_unlock(&lock);
}

static struct dirty *
of_fd(int fd)
{
	return fd >= 0 && fd < FDS ? by_fd[fd] : NULL;
}

/* ---- faults --------------------------------------------------------------------------------- */

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
tell(const char *format, ...)
{
	const char *path = setting("DISK_TOLD");
	char text[128];
	va_list args;
	int fd, len;

	if (path[0] == '\0')
		return;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0 || REAL(write)(fd, text, (size_t)len) != len)
		abort();
	REAL(close)(fd);
}

/* Whether this call is to fail; errno is set then. */
static int
fails(const char *kind, long number)
{
	char wanted[8] = "", once[8] = "";
	int error = 0;
	long from = 0;

	if (sscanf(setting("DISK_FAIL"), "%7s %ld %d %7s", wanted, &from, &error, once) < 3 || strcmp(wanted, kind) != 0)
		return 0;
	if (number < from || (once[0] != '\0' && number > from) || access(setting("DISK_HEALED"), F_OK) == 0)
		return 0;
	tell("%s %ld failed\n", kind, number);
	if (error < 0)
		kill(getpid(), -error);
	errno = error;
	return 1;
}

static void
tell_counts(void)
{
	const char *path = setting("DISK_COUNT");
	char text[64];
	int fd;

	if (path[0] == '\0' || (fd = REAL(open)(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)) < 0)
		return;
	if (REAL(pwrite)(fd, text, (size_t)snprintf(text, sizeof(text), "%9ld %9ld\n", n_writes, n_syncs), 0) < 0)
		abort();
	REAL(close)(fd);
}

/* ---- writing -------------------------------------------------------------------------------- */

static void
note_write(struct dirty *file, off_t at, size_t len)
{
	size_t first = (size_t)at / PAGE, last = ((size_t)at + len - 1) / PAGE;

	if (last >= file->n) {
		size_t n = last + 4096;

		file->bits = realloc(file->bits, n);
		memset(file->bits + file->n, 0, n - file->n);
		file->n = n;
	}
	memset(file->bits + first, 1, last - first + 1);
}

static ssize_t
write_at(int fd, const void *buf, size_t len, off_t at)
{
	struct dirty *file = of_fd(fd);
	int failed;
	ssize_t n;

	if (file == NULL)
		return REAL(pwrite)(fd, buf, len, at);
	pthread_mutex_lock(&lock);
	failed = fails("write", ++n_writes);
	pthread_mutex_unlock(&lock);
	if (failed)
		return -1;
	n = REAL(pwrite)(fd, buf, len, at);
	pthread_mutex_lock(&lock);
	if (n > 0)
		note_write(file, at, (size_t)n);
	pthread_mutex_unlock(&lock);
	return n;
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t at)
{
	return write_at(fd, buf, len, at);
}

ssize_t
pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	return write_at(fd, buf, len, at);
}

ssize_t
write(int fd, const void *buf, size_t len)
{
	if (of_fd(fd) != NULL)
		abort(); /* SQLite does not; if it learns to, this must */
	return REAL(write)(fd, buf, len);
}

static int
truncate_to(int fd, off_t size)
{
	struct dirty *file = of_fd(fd);

	pthread_mutex_lock(&lock);
	if (file != NULL && (file->cut < 0 || size < file->cut))
		file->cut = size;
	pthread_mutex_unlock(&lock);
	return REAL(ftruncate)(fd, size);
}

int
ftruncate(int fd, off_t size)
{
	return truncate_to(fd, size);
}

int
ftruncate64(int fd, off_t size)
{
	return truncate_to(fd, size);
}

/* ---- syncing -------------------------------------------------------------------------------- */

static void
copy_piece(int from, int to, size_t first, size_t n)
{
	static char buf[256 * PAGE];

	while (n > 0) {
		size_t some = n < 256 ? n : 256;
		ssize_t len = pread(from, buf, some * PAGE, (off_t)(first * PAGE));

		if (len > 0 && REAL(pwrite)(to, buf, (size_t)len, (off_t)(first * PAGE)) != len)
			abort();
		first += some;
		n -= some;
	}
}

/* What was written since the last time goes into the shadow. With the lock held. */
static void
sync_file(int fd, struct dirty *file)
{
	char path[4096];
	struct stat st;
	int to;

	shadow_path(file->inode, path, sizeof(path));
	to = REAL(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (to < 0 || fstat(fd, &st) < 0)
		abort();
	if (file->cut >= 0 && REAL(ftruncate)(to, file->cut) < 0)
		abort();
	for (size_t i = 0, n; i < file->n; i += n) {
		for (n = 1; i + n < file->n && file->bits[i + n] == file->bits[i];)
			n++;
		if (file->bits[i])
			copy_piece(fd, to, i, n);
	}
	if (REAL(ftruncate)(to, st.st_size) < 0)
		abort();
	REAL(close)(to);
	free(file->bits);
	file->bits = NULL;
	file->n = 0;
	file->cut = -1;
}

/* The names in the folder. With the lock held. */
static void
sync_folder(void)
{
	char path[4096], old[4096 + 8];
	struct dirent *entry;
	FILE *to;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/names", setting("DISK_SHADOW"));
	snprintf(old, sizeof(old), "%s.new", path);
	dir = opendir(setting("DISK_DIR"));
	to = fopen(old, "we");
	if (dir == NULL || to == NULL)
		abort();
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, "futured.db", 10) == 0)
			fprintf(to, "%llu %s\n", (unsigned long long)entry->d_ino, entry->d_name);
	}
	closedir(dir);
	if (fclose(to) != 0 || rename(old, path) < 0)
		abort();
}

static int
sync_it(int fd, int (*real_sync)(int fd))
{
	int ms = (int)strtol(setting("DISK_SYNC_MS"), NULL, 10);
	struct dirty *file = of_fd(fd);
	int failed = 0;

	if (file == NULL && !(fd >= 0 && fd < FDS && is_folder[fd]))
		return real_sync(fd);
	if (ms > 0)
		poll(NULL, 0, ms);
	pthread_mutex_lock(&lock);
	failed = fails("sync", ++n_syncs);
	tell_counts();
	if (file != NULL && file->sync_failed && !is_new[fd])
		tell("synced again after a sync that failed\n");
	if (file != NULL && failed)
		file->sync_failed = 1;
	if (!failed && setting("DISK_SHADOW")[0] != '\0') {
		if (file != NULL)
			sync_file(fd, file);
		else
			sync_folder();
	}
	pthread_mutex_unlock(&lock);
	return failed ? -1 : 0;
}

int
fsync(int fd)
{
	return sync_it(fd, REAL(fsync));
}

int
fdatasync(int fd)
{
	return sync_it(fd, REAL(fdatasync));
}

/* ---- opening -------------------------------------------------------------------------------- */

static mode_t
mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPENER(name)                                                       \
	int name(const char *path, int flags, ...)                         \
	{                                                                  \
		va_list args;                                              \
		mode_t mode;                                               \
		int fd;                                                    \
                                                                           \
		va_start(args, flags);                                     \
		mode = mode_of(flags, args);                               \
		va_end(args);                                              \
		fd = REAL(name)(path, flags, mode);                        \
		note_open(fd, path);                                       \
		return fd;                                                 \
	}

OPENER(open)
OPENER(open64)

int
close(int fd)
{
	if (fd >= 0 && fd < FDS) {
		pthread_mutex_lock(&lock);
		by_fd[fd] = NULL;
		is_folder[fd] = is_new[fd] = 0;
		pthread_mutex_unlock(&lock);
	}
	return REAL(close)(fd);
}
