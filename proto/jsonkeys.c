/*
 * jsonkeys: see jsonkeys.h. The hash need not withstand anybody: equal hashes only cost comparisons, n log n of them at
 * most.
 */
#include "jsonkeys.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "jsontext.h"

#define HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)

void
jsonkeys_init(struct jsonkeys *keys, const char *text)
{
	keys->text = text;
	keys->keys = keys->fixed;
	keys->n = 0;
	keys->room = JSONKEYS_FIXED;
}

void
jsonkeys_done(struct jsonkeys *keys)
{
	if (keys->keys != keys->fixed)
		free(keys->keys);
}

static uint64_t
hash_step(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * HASH_FACTOR;
	return hash ^ (hash >> 32);
}

/* Of what the key means: with and without escapes it is the same. */
static uint32_t
hash_key(struct span key, bool escaped)
{
	const char *at = key.at, *end = key.at + key.len;
	char block[8 + 4]; /* an escape may reach over the eighth byte */
	size_t n = 0, len;
	uint64_t hash = 0;

	for (; !escaped && end - at >= 8; at += 8)
		hash = hash_step(hash, bytes_load(at));
	while (at < end) {
		len = 1;
		if (*at == '\\')
			at = jsontext_unescape(at, block + n, &len);
		else
			block[n] = *at++;
		n += len;
		if (n >= 8) {
			hash = hash_step(hash, bytes_load(block));
			memmove(block, block + 8, 4);
			n -= 8;
		}
	}
	memset(block + n, 0, 8 - n);
	hash = hash_step(hash, bytes_load(block)) + n;
	return (uint32_t)(hash_step(hash, 0) >> 32);
}

static struct span
key_span(const struct jsonkeys *keys, const struct jsonkeys_key *key)
{
	return (struct span){keys->text + key->at, key->len};
}

/* By hash, then by what they mean. */
static int
key_compare(const void *a, const void *b, void *arg)
{
	const struct jsonkeys *keys = arg;
	const struct jsonkeys_key *left = a, *right = b;
	size_t shorter = left->len < right->len ? left->len : right->len;
	int order;

	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	if (left->escaped || right->escaped)
		return jsontext_compare(key_span(keys, left), key_span(keys, right));
	order = memcmp(keys->text + left->at, keys->text + right->at, shorter);
	if (order == 0)
		order = (left->len > right->len) - (left->len < right->len);
	return order;
}

static int
keys_grow(struct jsonkeys *keys)
{
	size_t room = keys->room * 2;
	struct jsonkeys_key *old = keys->keys == keys->fixed ? NULL : keys->keys;
	struct jsonkeys_key *grown = reallocarray(old, room, sizeof(*grown));

	if (grown == NULL)
		return -1;
	if (old == NULL)
		memcpy(grown, keys->fixed, sizeof(keys->fixed));
	keys->keys = grown;
	keys->room = room;
	return 0;
}

enum jsonkeys_result
jsonkeys_add(struct jsonkeys *keys, size_t base, struct span span, bool escaped, size_t *ret_offset)
{
	struct jsonkeys_key *key;

	if (keys->n == keys->room && keys_grow(keys) < 0)
		return JSONKEYS_NO_MEMORY;
	key = &keys->keys[keys->n];
	key->hash = hash_key(span, escaped);
	key->at = (uint32_t)(span.at - keys->text);
	key->len = (uint32_t)span.len & 0x7fffffff;
	key->escaped = escaped;
	if (keys->n - base < JSONKEYS_FEW) {
		for (size_t i = base; i < keys->n; i++) {
			if (keys->keys[i].hash == key->hash && key_compare(&keys->keys[i], key, keys) == 0) {
				*ret_offset = key->at;
				return JSONKEYS_DUPLICATE;
			}
		}
	}
	keys->n++;
	return JSONKEYS_OK;
}

/* Sorts a bucket and looks for neighbours that are equal. */
static enum jsonkeys_result
bucket_check(struct jsonkeys *keys, struct jsonkeys_key *bucket, size_t n, size_t *ret_offset)
{
	if (n < 2)
		return JSONKEYS_OK;
	qsort_r(bucket, n, sizeof(*bucket), key_compare, keys);
	for (size_t i = 1; i < n; i++) {
		if (key_compare(&bucket[i - 1], &bucket[i], keys) == 0) {
			*ret_offset = bucket[i].at > bucket[i - 1].at ? bucket[i].at : bucket[i - 1].at;
			return JSONKEYS_DUPLICATE;
		}
	}
	return JSONKEYS_OK;
}

/*
 * Many keys: first dealt out into buckets of about eight by the top bits of their hashes, which is several times faster
 * than sorting them in one.
 */
static enum jsonkeys_result
keys_check_many(struct jsonkeys *keys, const struct jsonkeys_key *first, size_t n, size_t *ret_offset)
{
	unsigned bits = 1;
	size_t n_buckets, begin = 0;
	uint32_t *ends = NULL; /* ends[b]: where bucket b ends, once the keys are dealt out */
	struct jsonkeys_key *sorted = NULL;
	enum jsonkeys_result result = JSONKEYS_NO_MEMORY;

	while (bits < 18 && (n >> (bits + 3)) > 0)
		bits++;
	n_buckets = (size_t)1 << bits;
	ends = calloc(n_buckets + 1, sizeof(*ends));
	sorted = malloc(n * sizeof(*sorted));
	if (ends == NULL || sorted == NULL)
		goto out;
	for (size_t i = 0; i < n; i++)
		ends[(first[i].hash >> (32 - bits)) + 1]++;
	for (size_t b = 1; b < n_buckets; b++)
		ends[b] += ends[b - 1];
	for (size_t i = 0; i < n; i++)
		sorted[ends[first[i].hash >> (32 - bits)]++] = first[i];
	result = JSONKEYS_OK;
	for (size_t b = 0; b < n_buckets && result == JSONKEYS_OK; b++) {
		result = bucket_check(keys, sorted + begin, ends[b] - begin, ret_offset);
		begin = ends[b];
	}
out:
	free(ends);
	free(sorted);
	return result;
}

enum jsonkeys_result
jsonkeys_close(struct jsonkeys *keys, size_t base, size_t *ret_offset)
{
	struct jsonkeys_key *first = keys->keys + base;
	size_t n = keys->n - base;

	keys->n = base;
	if (n <= JSONKEYS_FEW)
		return JSONKEYS_OK;
	if (n <= 32 * JSONKEYS_FEW)
		return bucket_check(keys, first, n, ret_offset);
	return keys_check_many(keys, first, n, ret_offset);
}
