/*
 * explain: the command explain.
 */
#ifndef CLIENT_EXPLAIN_H
#define CLIENT_EXPLAIN_H

#include "ctl.h"

extern const struct command explain_commands[];

#endif
