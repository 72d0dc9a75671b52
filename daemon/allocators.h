/*
 * allocators: what the libraries ask for is memory that is there, too. libevent, jansson, libcurl and OpenSSL take it from here, and
 * the process ends as it does when mem.h has none. An answer they would give for want of memory (no timer, half a line written,
 * a key's payload that was not sorted) never comes, so nobody has to know it from others. SQLite keeps its own: it says of a batch
 * that it was not applied, and the store hands that on.
 */
#ifndef DAEMON_ALLOCATORS_H
#define DAEMON_ALLOCATORS_H

/* Once, before any of them has asked for memory; what is forked later has it too. All but libcurl, which begins with it. */
void allocators_lend(void);
/* In place of curl_global_init(CURL_GLOBAL_DEFAULT): a CURLcode. */
int allocators_begin_curl(void) __attribute__((warn_unused_result));

#endif
