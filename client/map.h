/*
 * map: the command map.
 */
#ifndef CLIENT_MAP_H
#define CLIENT_MAP_H

#include "ctl.h"

extern const struct command map_commands[];

#endif
