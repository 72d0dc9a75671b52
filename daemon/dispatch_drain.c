/*
 * dispatch_drain: the part of dispatch that ends in good order: nothing more is taken or started, and when nothing runs, all is written and who waited
 * has been answered, whoever asked for it is told.
 */
#include "daemon/dispatch_private.h"

#define LOOK_MS 2000 /* how long the end waits for those who read */

static void
dispatch_looked(struct store_read *read, void *arg)
{
	struct dispatch *dispatch = arg;

	store_read_done(read);
	dispatch->looking = false;
	loop_again(dispatch->loop);
}

/*
 * Whether nobody reads any more. Whoever was told of the last ends may have to read for a reply, so a read of our own goes behind all that were asked: when
 * it is back and none has been asked since, they have been answered. A client that never stops asking does not keep the daemon.
 */
static bool
dispatch_is_read_out(struct dispatch *dispatch)
{
	static const struct id_range first = {1, 1};
	int64_t now_ms = loop_mono_ms();

	if (dispatch->looking)
		return false;
	if (dispatch->look_until_ms == 0)
		dispatch->look_until_ms = now_ms + LOOK_MS;
	else if (dispatch->n_asked == dispatch->n_asked_then || now_ms >= dispatch->look_until_ms)
		return true;
	dispatch->look = (struct store_read){.ranges = &first, .n_ranges = 1, .max_rows = 1, .max_bytes = 1};
	dispatch->look.done = dispatch_looked;
	dispatch->look.arg = dispatch;
	dispatch->looking = true;
	dispatch_read(dispatch, &dispatch->look);
	dispatch->n_asked_then = dispatch->n_asked;
	loop_again(dispatch->loop);
	return false;
}

void
dispatch_check_idle(struct dispatch *dispatch)
{
	void (*idle)(void *arg) = dispatch->idle;

	if (!dispatch->draining || idle == NULL || dispatch->queues.running > 0 || dispatch->n_held > 0 || dispatch->flying != NULL ||
	    !store_batch_empty(dispatch->open) || dispatch->n_later > 0 || !dispatch_is_read_out(dispatch))
		return;
	dispatch->idle = NULL;
	idle(dispatch->idle_arg);
}

void
dispatch_drain(struct dispatch *dispatch, void (*idle)(void *arg), void *arg)
{
	dispatch->draining = true;
	dispatch->idle = idle;
	dispatch->idle_arg = arg;
	loop_again(dispatch->loop);
}

bool
dispatch_is_draining(const struct dispatch *dispatch)
{
	return dispatch->draining;
}
