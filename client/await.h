/*
 * await: the command await.
 */
#ifndef CLIENT_AWAIT_H
#define CLIENT_AWAIT_H

#include "ctl.h"

extern const struct command await_commands[];

#endif
