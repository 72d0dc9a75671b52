/*
 * base64: bytes that came as text (`stdin`, `body` with NAME_encoding "base64"). text_add_bytes() is the other way.
 * Pure.
 */
#ifndef DAEMON_BASE64_H
#define DAEMON_BASE64_H

#include <stddef.h>

/* Strict: the plain alphabet, padded, no white space. 0 and *ret_bytes (freed by the caller, with a NUL behind), or -1.
 */
int base64_decode(const char *text, size_t len, char **ret_bytes, size_t *ret_len);

#endif
