/*
 * Bytes to and from the daemon, and the lines among them.
 *
 * The daemon stops reading a client that does not read, so whoever has something to write also reads meanwhile: no
 * amount of pipelining can lock the two up. The socket stays in blocking mode, every call says for itself whether it
 * may block. A failed write does not end the connection at once, since the daemon may have said why before it closed;
 * the end of the input does. Once ended, a wire never comes back: fut_connect makes a new one.
 */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WIRE_LINE_MAX  (256u << 20) /* longest reply taken, far above what a daemon sends */
#define WIRE_READ_ROOM 65536

void wire_open(struct fut_client *client, int fd, struct secure *secure)
{
	wire_close(client);
	failure_clear(&client->ended);
	client->wire.fd = fd;
	client->wire.secure = secure;
	client->wire.deaf = false;
	lines_init(&client->wire.lines, WIRE_LINE_MAX);
	poll_arm(&client->poll, fd, false);
}

void wire_close(struct fut_client *client)
{
	struct wire *wire = &client->wire;

	if (wire->fd >= 0) {
		poll_arm(&client->poll, -1, false);
		close(wire->fd);
	}
	wire->fd = -1;
	secure_free(wire->secure);
	wire->secure = NULL;
	text_done(&wire->out);
	text_done(&wire->in);
	wire->out_done = 0;
	wire->in_done = 0;
}

void wire_end(struct fut_client *client, int code, const char *format, ...)
{
	va_list args;

	if (client->ended.code == 0) {
		va_start(args, format);
		failure_set(&client->ended, code, format, args);
		va_end(args);
	}
	wire_close(client);
	client_over(client);
}

void wire_end_reply(struct fut_client *client, struct span error)
{
	if (client->ended.code == 0)
		failure_set_reply(&client->ended, error);
	wire_close(client);
	client_over(client);
}

/* Hands every whole line in the buffer on, and moves what is left of the last one to the front. */
static void wire_cut(struct fut_client *client)
{
	struct wire *wire = &client->wire;
	enum lines_verdict verdict;
	const char *line;
	size_t from, len;

	while (wire->fd >= 0) {
		from = wire->in_done + wire->lines.scanned;
		verdict = lines_scan(&wire->lines, wire->in.at + from, wire->in.len - from, &len);
		if (verdict == LINES_MORE)
			break;
		if (verdict == LINES_TOO_LONG) {
			wire_end(client, FUT_E_BAD_REPLY, "a reply is longer than %u bytes", WIRE_LINE_MAX);
			return;
		}
		line = wire->in.at + wire->in_done;
		wire->in_done += len + 1;
		requests_take(client, line, len);
	}
	if (wire->fd < 0 || wire->in_done == 0)
		return;
	len = wire->in.len - wire->in_done;
	if (len == 0) {
		text_clear(&wire->in);
	} else {
		memmove(wire->in.at, wire->in.at + wire->in_done, len);
		wire->in.len = len;
	}
	wire->in_done = 0;
}

static int wire_read_once(struct fut_client *client, int flags)
{
	struct wire *wire = &client->wire;
	char *at = text_reserve(&wire->in, WIRE_READ_ROOM);
	size_t room;
	ssize_t n;

	if (at == NULL) {
		wire_end(client, FUT_E_MEMORY, "out of memory for a reply");
		return FUT_E_MEMORY;
	}
	room = wire->in.room - wire->in.len - 1;
	n = wire->secure != NULL ? secure_recv(wire->secure, wire->fd, at, room, flags) : recv(wire->fd, at, room, flags);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		wire_end(client, FUT_E_DISCONNECTED, "the daemon at %s closed the connection%s%s", client->place,
			 n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
		return FUT_E_DISCONNECTED;
	}
	wire->in.len += (size_t)n;
	wire_cut(client);
	return client->ended.code < 0 ? client->ended.code : 1;
}

/* What TLS has taken from the socket no poll tells: it is read to its end. */
static int wire_read(struct fut_client *client, int flags)
{
	int r = wire_read_once(client, flags), more = r;

	while (more > 0 && client->wire.secure != NULL && secure_has_input(client->wire.secure))
		more = wire_read_once(client, MSG_DONTWAIT);
	return more < 0 ? more : r;
}

static bool wire_has_output(const struct wire *wire)
{
	return !wire->deaf &&
	       (wire->out_done < wire->out.len || (wire->secure != NULL && secure_has_output(wire->secure)));
}

size_t wire_unsent(const struct wire *wire)
{
	return wire_has_output(wire) ? wire->out.len - wire->out_done : 0;
}

static ssize_t wire_send(struct wire *wire)
{
	const char *at = wire->out.at + wire->out_done;
	size_t len = wire->out.len - wire->out_done;

	if (wire->secure != NULL)
		return secure_send(wire->secure, wire->fd, at, len);
	return send(wire->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void wire_write(struct wire *wire)
{
	ssize_t n;

	while (wire_has_output(wire)) {
		n = wire_send(wire);
		if (n >= 0) {
			wire->out_done += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			wire->deaf = true;
		return;
	}
	text_clear(&wire->out);
	wire->out_done = 0;
}

void wire_push(struct fut_client *client)
{
	if (client->wire.fd < 0)
		return;
	wire_write(&client->wire);
	poll_arm(&client->poll, client->wire.fd, wire_has_output(&client->wire));
}

int wire_turn(struct fut_client *client, int timeout_ms)
{
	struct wire *wire = &client->wire;
	struct pollfd pollfd;

	if (wire->fd < 0) {
		wire_end(client, FUT_E_DISCONNECTED, "the client is not connected");
		return client->ended.code;
	}
	wire_push(client);
	if (!wire_has_output(wire) && timeout_ms <= 0)
		return wire_read(client, timeout_ms == 0 ? MSG_DONTWAIT : 0);
	pollfd = (struct pollfd){.fd = wire->fd, .events = POLLIN};
	if (wire_has_output(wire))
		pollfd.events |= POLLOUT;
	if (poll(&pollfd, 1, timeout_ms) <= 0)
		return 0;
	if (pollfd.revents & ~POLLOUT)
		return wire_read(client, MSG_DONTWAIT);
	return 0;
}

int wire_flush(struct fut_client *client)
{
	int r = 0;

	wire_push(client);
	while (r >= 0 && wire_has_output(&client->wire))
		r = wire_turn(client, -1);
	return r;
}

int fut_fd(const struct fut_client *client)
{
	return client->wire.fd;
}

bool fut_wants_write(const struct fut_client *client)
{
	return wire_has_output(&client->wire);
}
