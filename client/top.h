/*
 * top: the command top.
 */
#ifndef CLIENT_TOP_H
#define CLIENT_TOP_H

#include "ctl.h"

extern const struct command top_commands[];

#endif
