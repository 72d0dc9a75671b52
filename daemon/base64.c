/*
 * base64: see base64.h.
 */
#include "daemon/base64.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "daemon/mem.h"

static bool
base64_has(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

int
base64_decode(const char *text, size_t len, char **ret_bytes, size_t *ret_len)
{
	size_t padding = 0, digits;
	char *bytes;

	if (len % 4 != 0 || len > INT_MAX)
		return -1;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	for (digits = 0; digits < len - padding; digits++) {
		if (!base64_has(text[digits])) /* libcrypto would skip white space at the ends */
			return -1;
	}
	bytes = mem_new(len / 4 * 3 + 1);
	if (len > 0 && EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)text, (int)len) < 0) {
		free(bytes);
		return -1;
	}
	*ret_len = len / 4 * 3 - padding;
	bytes[*ret_len] = '\0';
	*ret_bytes = bytes;
	return 0;
}
