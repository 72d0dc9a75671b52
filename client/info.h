/*
 * info: the commands tasks, queues and stats.
 */
#ifndef CLIENT_INFO_H
#define CLIENT_INFO_H

#include "ctl.h"

int info_tasks_main(struct operands *operands);
int info_queues_main(struct operands *operands);
int info_stats_main(struct operands *operands);

#endif
