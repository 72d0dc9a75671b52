/*
 * spawnlink: see spawnlink.h.
 */
#include "daemon/spawnlink.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/fdpass.h"
#include "daemon/mem.h"

#define NOTES_TURN 64 /* most notes in one turn */

/* An order that found the socket full; owns fd. */
struct spawnlink_order {
	STAILQ_ENTRY(spawnlink_order) next;
	struct spawner_order order;
	int fd;
};

struct spawnlink {
	struct spawnlink_callbacks callbacks;
	int fd;
	struct event *readable;
	struct event *writable;
	STAILQ_HEAD(, spawnlink_order) waiting;
	bool dead; /* the spawner is gone, and it has been told */
};

/*
 * 0 when the order has left or cannot be delivered any more (the reading side tells), -1 when there is no room for it
 * now.
 */
static int
spawnlink_send(struct spawnlink *link, const struct spawner_order *order, int fd)
{
	if (fdpass_send(link->fd, order, sizeof(*order), fd) >= 0)
		return 0;
	return errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS ? -1 : 0;
}

static void
spawnlink_drop_first(struct spawnlink *link)
{
	struct spawnlink_order *first = STAILQ_FIRST(&link->waiting);

	STAILQ_REMOVE_HEAD(&link->waiting, next);
	if (first->fd >= 0)
		close(first->fd);
	free(first);
}

static void
spawnlink_on_writable(evutil_socket_t fd, short events, void *arg)
{
	struct spawnlink *link = arg;
	struct spawnlink_order *first;

	(void)fd;
	(void)events;
	while ((first = STAILQ_FIRST(&link->waiting)) != NULL) {
		if (spawnlink_send(link, &first->order, first->fd) < 0) {
			event_add(link->writable, NULL);
			return;
		}
		spawnlink_drop_first(link);
	}
}

/* Takes fd. */
static void
spawnlink_order(struct spawnlink *link, enum spawner_verb verb, unsigned slot, int fd)
{
	const struct spawner_order order = {.verb = verb, .slot = slot};
	struct spawnlink_order *waiting;

	if (STAILQ_EMPTY(&link->waiting) && spawnlink_send(link, &order, fd) == 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	waiting = mem_new(sizeof(*waiting));
	waiting->order = order;
	waiting->fd = fd;
	STAILQ_INSERT_TAIL(&link->waiting, waiting, next);
	event_add(link->writable, NULL);
}

static void
spawnlink_on_readable(evutil_socket_t fd, short events, void *arg)
{
	struct spawnlink *link = arg;
	struct spawner_note note;
	int passed;

	(void)events;
	for (int i = 0; i < NOTES_TURN; i++) {
		ssize_t n = fdpass_receive((int)fd, &note, sizeof(note), &passed);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n != (ssize_t)sizeof(note)) {
			event_del(link->readable);
			event_del(link->writable);
			link->dead = true;
			link->callbacks.died(link->callbacks.arg);
			return;
		}
		link->callbacks.note(&note, link->callbacks.arg);
	}
}

struct spawnlink *
spawnlink_new(struct loop *loop, int fd, const struct spawnlink_callbacks *callbacks)
{
	struct spawnlink *link = mem_new(sizeof(*link));

	link->callbacks = *callbacks;
	link->fd = fd;
	STAILQ_INIT(&link->waiting);
	link->readable = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, spawnlink_on_readable, link);
	link->writable = event_new(loop_base(loop), fd, EV_WRITE, spawnlink_on_writable, link);
	if (link->readable == NULL || link->writable == NULL || event_add(link->readable, NULL) < 0)
		abort(); /* out of memory */
	return link;
}

void
spawnlink_free(struct spawnlink *link)
{
	if (link == NULL)
		return;
	while (!STAILQ_EMPTY(&link->waiting))
		spawnlink_drop_first(link);
	event_free(link->readable);
	event_free(link->writable);
	close(link->fd);
	free(link);
}

int
spawnlink_spawn(struct spawnlink *link, unsigned slot)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) { /* our end alone: the worker's blocks */
		int error = errno;

		close(fds[0]);
		close(fds[1]);
		errno = error;
		return -1;
	}
	spawnlink_order(link, SPAWNER_SPAWN, slot, fds[1]);
	return fds[0];
}

void
spawnlink_kill(struct spawnlink *link, unsigned slot)
{
	spawnlink_order(link, SPAWNER_KILL, slot, -1);
}
