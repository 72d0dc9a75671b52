/*
 * hash: uthash's tables, for all who have one. Out of memory they end the process with a word, as mem.h does; left to itself
 * uthash ends it with status 255 and without one.
 */
#ifndef DAEMON_HASH_H
#define DAEMON_HASH_H

#include "daemon/mem.h"

#define uthash_fatal(message) mem_out(0)

#include <uthash.h>

#endif
