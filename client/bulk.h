/*
 * bulk: the commands that do something to each job of a selection: cancel, retry and forget.
 */
#ifndef CLIENT_BULK_H
#define CLIENT_BULK_H

#include "ctl.h"

extern const struct command bulk_commands[];

#endif
