/*
 * jsonkeys: finds keys that stand twice in one object. Internal to proto/.
 *
 * The keys of all objects that are open stand in one stack, so those of the innermost are always the last ones. An
 * object of few members compares each key's hash with the earlier ones at once; a larger one is sorted when it closes.
 * Never quadratic, also when somebody makes hashes collide. Heap memory is used only beyond JSONKEYS_FIXED keys.
 */
#ifndef PROTO_JSONKEYS_H
#define PROTO_JSONKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jsonspan.h"

#define JSONKEYS_FIXED 48
#define JSONKEYS_FEW   16 /* members that are compared at once */

struct jsonkeys_key {
	uint32_t hash;
	uint32_t at;       /* offset of its first byte, behind the quote */
	uint32_t len : 31; /* as written */
	uint32_t escaped : 1;
};

struct jsonkeys {
	const char *text; /* that the offsets count from; shorter than 2 GiB */
	struct jsonkeys_key *keys;
	size_t n;
	size_t room;
	struct jsonkeys_key fixed[JSONKEYS_FIXED];
};

enum jsonkeys_result {
	JSONKEYS_OK,
	JSONKEYS_DUPLICATE, /* *ret_offset is where one of the two stands */
	JSONKEYS_NO_MEMORY,
};

void jsonkeys_init(struct jsonkeys *keys, const char *text);
void jsonkeys_done(struct jsonkeys *keys);

/* Adds a key (without its quotes, validated) of the object whose first key is number base. */
enum jsonkeys_result jsonkeys_add(struct jsonkeys *keys, size_t base, struct span key, bool escaped,
    size_t *ret_offset);

/* Ends the object whose first key is number base: its keys leave the stack. */
enum jsonkeys_result jsonkeys_close(struct jsonkeys *keys, size_t base, size_t *ret_offset);

#endif
