/*
 * channel: the daemon's end of one worker's channel, on the loop: frames in by callback, frames out from a buffer that
 * is written once a turn.
 */
#ifndef DAEMON_CHANNEL_H
#define DAEMON_CHANNEL_H

#include "daemon/frame.h"
#include "daemon/loop.h"

struct channel;

struct channel_callbacks {
	/* payload lives during the call. */
	void (*frame)(const struct frame_header *header, struct span payload, void *arg);
	/* End of file, something that is no frame, or channel_finish(): once, and nothing follows. Not by channel_free(). */
	void (*closed)(const char *why, void *arg);
	void *arg;
};

/* Takes fd. */
struct channel *channel_new(struct loop *loop, int fd, const struct channel_callbacks *callbacks);
/* May be called inside a callback of the same channel: it is swept later, no callback follows. */
void channel_free(struct channel *channel);
/*
 * Whose channel it is has ended: what it wrote is told, then the end, though another process should hold its side open.
 * Not inside a callback; the channel may be gone afterwards.
 */
void channel_finish(struct channel *channel);

/* Where to put frames; they are sent after channel_flush(). */
struct frame_out *channel_out(struct channel *channel);
void channel_flush(struct channel *channel);

#endif
