/*
 * info: the commands tasks, queues and stats.
 */
#ifndef CLIENT_INFO_H
#define CLIENT_INFO_H

#include "ctl.h"

extern const struct command info_commands[];

#endif
