/*
 * methods: what the families of methods share: reading a selection, and parameters that have a shape of their own.
 */
#ifndef DAEMON_METHODS_H
#define DAEMON_METHODS_H

#include "daemon/render.h"
#include "daemon/request.h"
#include "proto/selection.h"

/* false: the request has been failed. Else the caller ends *ret_selection with selection_done(). */
bool methods_read_selection(struct request *request, struct span id, struct span ids, struct span filter,
    struct selection *ret_selection);
/* fields may be SPAN_NONE: *ret_fields is left as it is. */
bool methods_read_fields(struct request *request, struct span fields, render_fields *ret_fields);
/* What a caller is told of a batch that did not go through. */
int methods_verdict_code(enum store_verdict verdict);
/*
 * Why the caller may not have the task run with these args, in a job that will be the owner's: a text that is the caller's of
 * this to free; NULL: it may.
 */
char *methods_why_forbidden(const struct request *request, const char *owner, const struct task *task, struct span args);
/* The parameter limits (may be SPAN_NONE: none). */
bool methods_read_limits(
    struct request *request, struct span raw, const struct task *task, struct spec_limits *ret_limits);

#endif
