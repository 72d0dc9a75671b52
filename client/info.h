/*
 * info: the commands tasks, stats and drain.
 */
#ifndef CLIENT_INFO_H
#define CLIENT_INFO_H

#include "ctl.h"

extern const struct command info_commands[];

#endif
