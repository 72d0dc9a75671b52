/*
 * token: the command token.
 */
#ifndef CLIENT_TOKEN_H
#define CLIENT_TOKEN_H

#include "ctl.h"

extern const struct command token_commands[];

#endif
