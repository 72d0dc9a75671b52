/*
 * events: the command watch.
 */
#ifndef CLIENT_EVENTS_H
#define CLIENT_EVENTS_H

#include "ctl.h"

extern const struct command events_commands[];

#endif
