/*
 * mem: memory that is there. Every call ends the process with a message when memory runs out, so callers need no error path
 * (the library has its own rules: it never aborts). Any thread, any process of the daemon.
 */
#ifndef DAEMON_MEM_H
#define DAEMON_MEM_H

#include <stdarg.h>
#include <stddef.h>

/* Once, before all else: large blocks go back to the system as soon as they are freed, whichever thread made them. */
void mem_init(void);

/* Gives the system back what is free in the midst of the heap, where that is much. Any thread; others may wait a moment for it. */
void mem_tidy(void);

/* What they all do: for memory that was not there by another way. size is what was wanted, 0 where nobody knows. */
void mem_out(size_t size) __attribute__((noreturn, cold));

/* Zeroed; the caller frees all of these with free(). */
void *mem_new(size_t size) __attribute__((malloc, warn_unused_result, returns_nonnull));
void *mem_new_array(size_t n, size_t size) __attribute__((malloc, warn_unused_result, returns_nonnull));
void *mem_grow(void *old, size_t n, size_t size) __attribute__((warn_unused_result, returns_nonnull));
char *mem_copy(const char *bytes, size_t len) __attribute__((malloc, warn_unused_result, returns_nonnull)); /* adds a NUL */
char *mem_text(const char *text) __attribute__((malloc, warn_unused_result, returns_nonnull));
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, warn_unused_result, returns_nonnull));

/*
 * Makes room for one more element in a growing array: items is doubled when n has reached *capacity.
 *     list->items = mem_room(list->items, list->n, &list->capacity, sizeof(*list->items));
 */
void *mem_room(void *items, size_t n, size_t *capacity, size_t size) __attribute__((warn_unused_result, returns_nonnull));

#endif
