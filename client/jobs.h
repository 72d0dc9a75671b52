/*
 * jobs: the commands status, result and list.
 */
#ifndef CLIENT_JOBS_H
#define CLIENT_JOBS_H

#include "ctl.h"

extern const struct command jobs_commands[];

#endif
