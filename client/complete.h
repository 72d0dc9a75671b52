/*
 * complete: the command complete, which the shells' completion asks.
 */
#ifndef CLIENT_COMPLETE_H
#define CLIENT_COMPLETE_H

#include "ctl.h"

extern const struct command complete_commands[];

#endif
