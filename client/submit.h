/*
 * submit: the commands submit and run.
 */
#ifndef CLIENT_SUBMIT_H
#define CLIENT_SUBMIT_H

#include "options.h"

extern const struct option_spec submit_options[];
extern const struct option_spec run_options[];

int submit_main(struct operands *operands);
int run_main(struct operands *operands);

#endif
