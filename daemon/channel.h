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
	/* End of file, or something that is no frame: once, and nothing follows. Not called by channel_free(). */
	void (*closed)(const char *why, void *arg);
	void *arg;
};

/* Takes fd. */
struct channel *channel_new(struct loop *loop, int fd, const struct channel_callbacks *callbacks);
/* May be called inside a callback of the same channel: it is swept later, no callback follows. */
void channel_free(struct channel *channel);

/* Where to put frames; they are sent after channel_flush(). */
struct frame_out *channel_out(struct channel *channel);
void channel_flush(struct channel *channel);

#endif
