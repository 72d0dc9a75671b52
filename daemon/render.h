/*
 * render: a job as the object that clients see, written by hand from a row of the store and what memory knows better. Loop thread.
 */
#ifndef DAEMON_RENDER_H
#define DAEMON_RENDER_H

#include "daemon/dispatch.h"
#include "daemon/store.h"
#include "daemon/text.h"

/* A bit for each member of the job object, in the order in which they are written. */
typedef uint32_t render_fields;
#define RENDER_ALL ((render_fields)~0u)

/* Reads a `fields` parameter (an array of names). 0, or -1 with *ret_what saying what is wrong. id is always among them. */
int render_read_fields(struct span fields, render_fields *ret_fields, const char **ret_what);
/* `list` without fields: all but args and result. */
render_fields render_fields_of_list(void);
/* What a store_read must bring for these. */
unsigned render_store_fields(render_fields fields);

/* dispatch's memory overrides the row where the job is on its way. */
void render_job(struct text *text, const struct dispatch *dispatch, const struct store_row *row, render_fields fields);
/* A job that runs (dispatch_is_running()), as memory has it. */
void render_running(struct text *text, const struct dispatch *dispatch, const struct job *job, render_fields fields);
/* The state that render_job would show. */
enum job_state render_state(const struct dispatch *dispatch, const struct store_row *row);

#endif
