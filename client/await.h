/*
 * await: the command await.
 */
#ifndef CLIENT_AWAIT_H
#define CLIENT_AWAIT_H

#include "options.h"

extern const struct option_spec await_options[];

int await_main(struct operands *operands);

#endif
