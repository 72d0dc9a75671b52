/*
 * output: the commands output and follow.
 */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include "options.h"

extern const struct option_spec output_options[];
extern const struct option_spec output_follow_options[];

int output_main(struct operands *operands);
int output_follow_main(struct operands *operands);

#endif
