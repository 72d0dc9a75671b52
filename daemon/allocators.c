/*
 * allocators: see allocators.h.
 */
#include "daemon/allocators.h"

#include <assert.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

static void *
lend_new(size_t size)
{
	void *p = malloc(size != 0 ? size : 1);

	if (p == NULL)
		mem_out(size);
	return p;
}

static void *
lend_zeroed(size_t n, size_t size)
{
	return mem_new_array(n, size);
}

/* Down to nothing is freed, as OpenSSL would have it. */
static void *
lend_again(void *old, size_t size)
{
	if (size > 0)
		return mem_grow(old, size, 1);
	free(old);
	return NULL;
}

static char *
lend_text(const char *text)
{
	return mem_text(text);
}

static void *
lend_crypto_new(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return size > 0 ? lend_new(size) : NULL;
}

static void *
lend_crypto_again(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return lend_again(old, size);
}

static void
lend_crypto_free(void *old, const char *file, int line)
{
	(void)file;
	(void)line;
	free(old);
}

void
allocators_lend(void)
{
	int lent = CRYPTO_set_mem_functions(lend_crypto_new, lend_crypto_again, lend_crypto_free);

	assert(lent == 1); /* refused once OpenSSL has begun */
	(void)lent;
	event_set_mem_functions(lend_new, lend_again, free);
	json_set_alloc_funcs(lend_new, free);
}

int
allocators_begin_curl(void)
{
	return (int)curl_global_init_mem(CURL_GLOBAL_DEFAULT, lend_new, free, lend_again, lend_text, lend_zeroed);
}
