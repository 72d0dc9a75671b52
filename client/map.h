/*
 * map: the command map.
 */
#ifndef CLIENT_MAP_H
#define CLIENT_MAP_H

#include "options.h"

extern const struct option_spec map_options[];

int map_main(struct operands *operands);

#endif
