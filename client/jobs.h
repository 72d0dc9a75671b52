/*
 * jobs: the commands status, result, list and cancel.
 */
#ifndef CLIENT_JOBS_H
#define CLIENT_JOBS_H

#include "ctl.h"

extern const struct command jobs_commands[];

#endif
