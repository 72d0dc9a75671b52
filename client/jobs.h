/*
 * jobs: the commands status, result, list and cancel.
 */
#ifndef CLIENT_JOBS_H
#define CLIENT_JOBS_H

#include "options.h"

extern const struct option_spec jobs_result_options[];
extern const struct option_spec jobs_list_options[];
extern const struct option_spec jobs_cancel_options[];

int jobs_status_main(struct operands *operands);
int jobs_result_main(struct operands *operands);
int jobs_list_main(struct operands *operands);
int jobs_cancel_main(struct operands *operands);

#endif
