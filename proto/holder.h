/*
 * holder: the names that those who hold a token may have. Pure.
 */
#ifndef PROTO_HOLDER_H
#define PROTO_HOLDER_H

#include <stdbool.h>

#define HOLDER_MAX   64 /* bytes */
#define HOLDER_RULES "a name has 1 to 64 letters, digits or ._-@"

bool holder_is_name(const char *name);

#endif
