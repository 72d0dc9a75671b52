/*
 * channel: see channel.h. What a worker wrote before it died is read to the end before the end is told.
 */
#include "daemon/channel.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/mem.h"

#define IN_MIN	   (64u * 1024)
#define IN_KEEP	   (1024u * 1024) /* buffers that grew beyond are given back when they are empty */
#define READS_TURN 16		  /* most reads in one turn, so that one worker cannot hold the loop */

struct channel {
	struct channel_callbacks callbacks;
	int fd;
	struct event *readable;
	struct event *writable;
	char *in; /* bytes from start to end are not handled yet */
	size_t in_start, in_end, in_capacity;
	struct frame_out out;
	size_t sent; /* of out */
	bool broken; /* nothing can be written any more */
	bool closed; /* it has been told */
	bool busy;   /* in one of its callbacks: not to be freed now */
	bool doomed; /* free it when it is not busy any more */
};

static void
channel_destroy(struct channel *channel)
{
	event_free(channel->readable);
	event_free(channel->writable);
	close(channel->fd);
	free(channel->in);
	frame_out_done(&channel->out);
	free(channel);
}

void
channel_free(struct channel *channel)
{
	if (channel == NULL)
		return;
	channel->doomed = true;
	if (!channel->busy)
		channel_destroy(channel);
}

static void
channel_close(struct channel *channel, const char *why)
{
	channel->closed = true;
	channel->broken = true;
	event_del(channel->readable);
	event_del(channel->writable);
	channel->callbacks.closed(why, channel->callbacks.arg);
}

/* ---- in -------------------------------------------------------------------------------------- */

static void
channel_make_room(struct channel *channel)
{
	size_t len = channel->in_end - channel->in_start, wanted = len + IN_MIN;
	struct frame_header header;
	struct span payload;

	if (frame_cut(channel->in + channel->in_start, len, &header, &payload) == 0 && len >= sizeof(header) &&
	    sizeof(header) + header.length > wanted)
		wanted = sizeof(header) + header.length;
	if (len == 0 && channel->in_capacity > IN_KEEP) {
		free(channel->in);
		channel->in = NULL;
		channel->in_capacity = 0;
	}
	if (len == 0)
		channel->in_start = channel->in_end = 0;
	if (channel->in_capacity - channel->in_start >= wanted)
		return;
	if (channel->in_start > 0)
		memmove(channel->in, channel->in + channel->in_start, len);
	channel->in_start = 0;
	channel->in_end = len;
	if (channel->in_capacity < wanted) {
		channel->in = mem_grow(channel->in, wanted, 1);
		channel->in_capacity = wanted;
	}
}

/* Hands out all whole frames: false when something is no frame, or the channel is not wanted any more. */
static bool
channel_cut(struct channel *channel)
{
	struct frame_header header;
	struct span payload;
	int whole;

	for (;;) {
		whole =
		    frame_cut(channel->in + channel->in_start, channel->in_end - channel->in_start, &header, &payload);
		if (whole == 0)
			return true;
		if (whole < 0) {
			channel_close(channel, "it wrote something that is no frame");
			return false;
		}
		channel->in_start += sizeof(header) + header.length;
		channel->callbacks.frame(&header, payload, channel->callbacks.arg);
		if (channel->doomed)
			return false;
	}
}

/* One recv(2): how much came; 0 when nothing did, the channel is closed or not wanted any more. *ret_full: there may be more. */
static size_t
channel_read_once(struct channel *channel, bool *ret_full)
{
	size_t room;
	ssize_t n;

	channel_make_room(channel);
	room = channel->in_capacity - channel->in_end;
	do
		n = recv(channel->fd, channel->in + channel->in_end, room, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		channel_close(channel, n == 0 ? "end of file" : strerror(errno));
		return 0;
	}
	channel->in_end += (size_t)n;
	*ret_full = (size_t)n == room;
	return channel_cut(channel) ? (size_t)n : 0;
}

static void
channel_read(struct channel *channel)
{
	bool full = true;

	for (int i = 0; i < READS_TURN && full; i++) {
		if (channel_read_once(channel, &full) == 0)
			return;
	}
}

static void
channel_on_readable(evutil_socket_t fd, short events, void *arg)
{
	struct channel *channel = arg;

	(void)fd;
	(void)events;
	channel->busy = true;
	channel_read(channel);
	channel->busy = false;
	if (channel->doomed)
		channel_destroy(channel);
}

void
channel_finish(struct channel *channel)
{
	bool full;
	int left;

	if (ioctl(channel->fd, FIONREAD, &left) < 0)
		left = 0;
	channel->busy = true;
	while (left > 0) {
		size_t n = channel_read_once(channel, &full);

		if (n == 0)
			break;
		left -= (int)n;
	}
	if (!channel->closed && !channel->doomed)
		channel_close(channel, "its process is gone");
	channel->busy = false;
	if (channel->doomed)
		channel_destroy(channel);
}

/* ---- out ------------------------------------------------------------------------------------- */

struct frame_out *
channel_out(struct channel *channel)
{
	return &channel->out;
}

void
channel_flush(struct channel *channel)
{
	while (!channel->broken && channel->sent < channel->out.len) {
		ssize_t n = send(channel->fd, channel->out.bytes + channel->sent, channel->out.len - channel->sent,
		    MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			event_add(channel->writable, NULL);
			return;
		}
		if (n < 0 && errno != EINTR)
			channel->broken = true; /* reading will find the end, behind what is still to be read */
		channel->sent += n > 0 ? (size_t)n : 0;
	}
	channel->sent = 0;
	channel->out.len = 0;
	if (channel->out.capacity > IN_KEEP)
		frame_out_done(&channel->out);
}

static void
channel_on_writable(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	channel_flush(arg);
}

/* ---- birth ----------------------------------------------------------------------------------- */

struct channel *
channel_new(struct loop *loop, int fd, const struct channel_callbacks *callbacks)
{
	struct channel *channel = mem_new(sizeof(*channel));

	channel->callbacks = *callbacks;
	channel->fd = fd;
	channel->in_capacity = IN_MIN;
	channel->in = mem_grow(NULL, channel->in_capacity, 1);
	channel->readable = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, channel_on_readable, channel);
	channel->writable = event_new(loop_base(loop), fd, EV_WRITE, channel_on_writable, channel);
	if (channel->readable == NULL || channel->writable == NULL || event_add(channel->readable, NULL) < 0)
		abort(); /* out of memory */
	return channel;
}
