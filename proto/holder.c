/*
 * holder: see holder.h.
 */
#include "proto/holder.h"

#include <string.h>

bool
holder_is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@";
	size_t len = strlen(name);

	return len > 0 && len <= HOLDER_MAX && strspn(name, letters) == len;
}
