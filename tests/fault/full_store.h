/*
 * full_store: a store with jobs in all states, as files, and all that a daemon would do with such a store whose files have
 * been damaged meanwhile: it opens it, reads it in every order, asks, and commits a bit of all.
 *
 * The store either opens and serves, or is refused with a reason; a read may fail, a commit may be refused. What it shows are
 * jobs: ids that were handed out, each once, in a state that there is, with texts that are UTF-8 and values that are JSON.
 * The store has a thread as long as a call lasts. Used by damage.c and by the fuzz target of the store.
 */
#ifndef TESTS_FAULT_FULL_STORE_H
#define TESTS_FAULT_FULL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_image {
	char *db, *wal; /* NULL: there is no such file */
	size_t db_len, wal_len;
};

/* Makes it at that path with so many jobs (40 at the least): images[0] is at rest, images[1] has much in its log. */
void full_store_make(const char *at, int64_t jobs, struct store_image images[2]);
/* From and to the two files of a store at that path. */
struct store_image full_store_read(const char *from);
void full_store_write(const char *to, const struct store_image *image);
void full_store_free_image(struct store_image *image);

enum full_store_came { FULL_STORE_REFUSED, FULL_STORE_OPENED, FULL_STORE_WRONG };
struct full_store_wrong {
	char what[256];
	int64_t job; /* 0: of none */
};
/* Does all this at the path. jobs as it was made with; desc: the order in which it is read first. */
enum full_store_came full_store_try(const char *at, int64_t jobs, bool desc, struct full_store_wrong *ret_wrong);

#endif
