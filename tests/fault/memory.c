/*
 * memory: memory that runs out. For LD_PRELOAD, in front of the C library's allocators, which all libraries use.
 *
 * Every way by which the program comes to an allocation has a number that is the same in each run: a hash of the innermost DEPTH return
 * addresses, each counted from where its library begins. To $MEMORY_SEEN each new one is added, as a line "KIND WAY", where KIND is `daemon`,
 * and of what it forks `spawner` and of that `worker`. $MEMORY_FAIL is "KIND WAY" or "KIND WAY from": the first allocation that comes that
 * way, in whichever process, has no memory, or it and all of that process behind it. $MEMORY_TOLD is a file that is made then: the way by names.
 *
 * Not for builds with sanitizers, which have allocators of their own.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH	  10 /* frames that tell one way from another */
#define SKIPPED	  3  /* the innermost frames are ours */
#define WAYS	  (1 << 16)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static const char *const kinds[] = {"daemon", "spawner", "worker", "deeper"};
static int kind; /* how many forks lie between this process and the first */
static int fail_kind = -1, fails_on, armed;
static uint64_t fail_way;
static char seen_path[4096], told_path[4096]; /* forked processes close what they do not know, so nothing is kept open */
static atomic_int struck;
static _Atomic uint64_t ways[WAYS]; /* those that have been seen, at most half of the places */
static atomic_int n_ways;
static _Thread_local int inside; /* backtrace() and what it calls may allocate */

static void
tell_seen(uint64_t way)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%s %016llx\n", kinds[kind], (unsigned long long)way);
	int fd = open(seen_path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd >= 0 && write(fd, line, (size_t)len) != len)
		abort();
	if (fd >= 0)
		close(fd);
}

/* Only the first of all processes strikes. */
static int
strike(void)
{
	int fd = open(told_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	void *frames[DEPTH + SKIPPED];

	if (fd >= 0) {
		backtrace_symbols_fd(frames, backtrace(frames, DEPTH + SKIPPED), fd);
		close(fd);
	}
	atomic_store(&struck, fd >= 0 ? 1 : -1);
	return fd >= 0;
}

/* Whether it was not there before. */
static int
ways_add(uint64_t way)
{
	for (size_t place = way % WAYS;; place = (place + 1) % WAYS) {
		uint64_t there = 0;

		if (atomic_compare_exchange_strong(&ways[place], &there, way)) {
			if (atomic_fetch_add(&n_ways, 1) > WAYS / 2)
				abort();
			return 1;
		}
		if (there == way)
			return 0;
	}
}

static uint64_t
way_here(void)
{
	void *frames[DEPTH + SKIPPED];
	int n = backtrace(frames, DEPTH + SKIPPED);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (int i = SKIPPED; i < n; i++) {
		struct dl_find_object object;
		uintptr_t at = (uintptr_t)frames[i];

		if (_dl_find_object((char *)frames[i] - 1, &object) == 0)
			at -= (uintptr_t)object.dlfo_map_start;
		hash = (hash ^ at) * UINT64_C(0x100000001b3);
	}
	return hash | 1;
}

/* Whether the allocation that is under way is to have no memory. */
static int __attribute__((noinline))
fails(void)
{
	int fail = 0;

	if (!armed || inside)
		return 0;
	inside = 1;
	if (atomic_load(&struck) == 1 && fails_on) {
		fail = kind == fail_kind;
	} else if (seen_path[0] != '\0' || (kind == fail_kind && atomic_load(&struck) == 0)) {
		int error = errno;
		uint64_t way = way_here();

		if (seen_path[0] != '\0' && ways_add(way))
			tell_seen(way);
		fail = kind == fail_kind && way == fail_way && atomic_load(&struck) == 0 && strike();
		errno = error;
	}
	inside = 0;
	if (fail)
		errno = ENOMEM;
	return fail;
}

/* ---- the allocators ------------------------------------------------------------------------- */

void *
malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

void *
reallocarray(void *old, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return fails() ? NULL : __libc_realloc(old, bytes);
}

int
posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *at = fails() ? NULL : __libc_memalign(alignment, size);

	if (at == NULL)
		return ENOMEM;
	*ret = at;
	return 0;
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

/* ---- birth ---------------------------------------------------------------------------------- */

static void
after_fork(void)
{
	if (kind < 3)
		kind++;
}

static void
take_path(const char *name, char *path)
{
	const char *value = getenv(name);

	snprintf(path, 4096, "%s", value != NULL ? value : "");
}

static void __attribute__((constructor))
begin(void)
{
	const char *fail = getenv("MEMORY_FAIL");
	char name[16] = "", from[8] = "";
	unsigned long long way = 0;
	void *frame;

	backtrace(&frame, 1); /* loads what it needs */
	if (fail != NULL) {
		if (sscanf(fail, "%15s %llx %7s", name, &way, from) < 2)
			abort();
		for (int i = 0; i < 4; i++)
			if (strcmp(name, kinds[i]) == 0)
				fail_kind = i;
		fail_way = way;
		fails_on = strcmp(from, "from") == 0;
	}
	take_path("MEMORY_SEEN", seen_path);
	take_path("MEMORY_TOLD", told_path);
	pthread_atfork(NULL, NULL, after_fork);
	armed = 1;
}
