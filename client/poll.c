/*
 * One descriptor for all that a client waits for: an epoll set with the socket and an eventfd.
 *
 * A program's loop would have to be told of output that waits and of callbacks that are due after each call; the set
 * tells it by itself. Where the kernel will not change the set, the eventfd is left readable: the loop then turns more
 * often than it must, and nothing is lost.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

void poll_init(struct poll_set *poll)
{
	*poll = (struct poll_set){.fd = -1, .wake_fd = -1, .socket = -1};
}

void poll_done(struct poll_set *poll)
{
	if (poll->fd >= 0)
		close(poll->fd);
	if (poll->wake_fd >= 0)
		close(poll->wake_fd);
	poll_init(poll);
}

void poll_wake(struct poll_set *poll)
{
	const uint64_t one = 1;

	if (poll->wake_fd >= 0 && !poll->woken)
		poll->woken = write(poll->wake_fd, &one, sizeof(one)) == sizeof(one);
}

void poll_rest(struct poll_set *poll)
{
	uint64_t count;

	if (poll->woken)
		poll->woken = read(poll->wake_fd, &count, sizeof(count)) < 0;
}

void poll_arm(struct poll_set *poll, int socket, bool output)
{
	uint32_t wanted = socket < 0 ? 0 : EPOLLIN | (output ? EPOLLOUT : 0);
	struct epoll_event event = {.events = wanted};
	int r = 0;

	if (poll->fd < 0 || (socket == poll->socket && wanted == poll->armed))
		return;
	if (socket < 0)
		(void)epoll_ctl(poll->fd, EPOLL_CTL_DEL, poll->socket, &event);
	else
		r = epoll_ctl(poll->fd, poll->socket < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
	if (r < 0) {
		poll_wake(poll);
		return;
	}
	poll->socket = socket;
	poll->armed = wanted;
}

static int poll_open(struct fut_client *client)
{
	struct poll_set *poll = &client->poll;
	struct epoll_event event = {.events = EPOLLIN};

	poll->fd = epoll_create1(EPOLL_CLOEXEC);
	poll->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (poll->fd < 0 || poll->wake_fd < 0 || epoll_ctl(poll->fd, EPOLL_CTL_ADD, poll->wake_fd, &event) < 0) {
		client_fail(client, FUT_E_MEMORY, "cannot make a descriptor to poll: %s", strerror(errno));
		poll_done(poll);
		return FUT_E_MEMORY;
	}
	poll_arm(poll, client->wire.fd, fut_wants_write(client));
	if (!ring_is_empty(&client->due) || client->ended.code != 0 || !ring_is_empty(&client->futures.fresh))
		poll_wake(poll);
	return 0;
}

int fut_poll_fd(struct fut_client *client)
{
	if (client->poll.fd < 0 && poll_open(client) < 0)
		return client->failure.code;
	return client->poll.fd;
}
