/*
 * output: the commands output and follow.
 */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include "ctl.h"

extern const struct command output_commands[];

#endif
