/*
 * submit: the commands submit and run.
 */
#ifndef CLIENT_SUBMIT_H
#define CLIENT_SUBMIT_H

#include "ctl.h"

extern const struct command submit_commands[];

#endif
