/*
 * mem: see mem.h. There is nothing to save by going on without memory: what was accepted is in the store, and the next start
 * finds it there.
 */
#include "daemon/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEM_LARGE (256 << 10)
#define MEM_TRIM  (4 << 20) /* of the heap's end, that may stay */

/* Without this the C library takes ever larger blocks from the heap, where each may keep all that is below it. */
void
mem_init(void)
{
	mallopt(M_MMAP_THRESHOLD, MEM_LARGE);
	mallopt(M_TRIM_THRESHOLD, MEM_TRIM);
}

void
mem_tidy(void)
{
	static atomic_size_t left; /* free in the heap after the last time: its pages are gone, the chunks count as free still */
	size_t there = mallinfo2().fordblks, before = atomic_load(&left);

	if (there > before && there - before <= MEM_TRIM)
		return;
	if (there > before)
		malloc_trim(0);
	atomic_store(&left, there);
}

void
mem_out(size_t size)
{
	if (size > 0)
		fprintf(stderr, "futured: out of memory (%zu bytes wanted)\n", size);
	else
		fprintf(stderr, "futured: out of memory\n");
	abort();
}

void *
mem_new(size_t size)
{
	return mem_new_array(1, size);
}

void *
mem_new_array(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (p == NULL)
		mem_out(n * size);
	return p;
}

void *
mem_grow(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n ? n : 1, size ? size : 1);

	if (p == NULL)
		mem_out(n * size);
	return p;
}

char *
mem_copy(const char *bytes, size_t len)
{
	char *p = malloc(len + 1);

	if (p == NULL)
		mem_out(len + 1);
	if (len > 0)
		memcpy(p, bytes, len);
	p[len] = '\0';
	return p;
}

char *
mem_text(const char *text)
{
	return mem_copy(text, strlen(text));
}

char *
mem_format(const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		mem_out(0);
	return text;
}

void *
mem_room(void *items, size_t n, size_t *capacity, size_t size)
{
	if (n < *capacity)
		return items;
	*capacity = *capacity ? *capacity * 2 : 16;
	return mem_grow(items, *capacity, size);
}
