/*
 * books: what must hold of a stage at rest: memory and store tell the same of each job, the counts are the sums, and
 * what was accepted or has ended stays so, also over restarts.
 */
#ifndef TESTS_FUZZ_BOOKS_H
#define TESTS_FUZZ_BOOKS_H

#include "tests/fuzz/stage.h"

/* For a new store: nothing is known. */
void books_clear(void);
/* A client was told that these jobs are accepted. */
void books_accepted(int64_t first, int64_t count);
/* From now on ended jobs may be deleted. */
void books_may_forget(void);
/* A client was shown a job in this state. */
void books_shown(int64_t id, const char *state);
/* The stage must be settled; it turns meanwhile, and checks again if something happened then. */
void books_check(struct stage *stage, void (*each_turn)(void));

#endif
