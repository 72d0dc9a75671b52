/*
 * room: for what is kept of large replies in the making. Each takes its room before the store is asked for what it will tell, and waits
 * for it while what clients have not read yet (hoard.h) and what others have taken leave too little: so a client that reads
 * is not closed because others ask for much at the same time. A small reply needs none. Pure.
 */
#ifndef DAEMON_ROOM_H
#define DAEMON_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "daemon/hoard.h"

#define ROOM_SMALL ((size_t)64 << 10) /* what most replies do with */

/* One reply's; zeroed at first, but for rooms. */
struct room {
	struct rooms *rooms;
	void (*go)(void *arg);
	void *arg;
	size_t bytes; /* taken or waited for */
	bool waiting;
	TAILQ_ENTRY(room) link;
};

struct rooms {
	const struct hoard *unread; /* NULL: at the end */
	size_t max; /* less than the hoard's: small replies find some too */
	size_t taken;
	TAILQ_HEAD(, room) waiting; /* in order */
};

void rooms_init(struct rooms *rooms, const struct hoard *unread);
/* Whether so much may be kept at once: it fits, and nobody waits. */
bool rooms_have(const struct rooms *rooms, size_t bytes);
bool rooms_are_wanted(const struct rooms *rooms);
/* Calls go() of those for whom there is room now. */
void rooms_go(struct rooms *rooms);
/* The daemon ends: there is room for all. */
void rooms_end(struct rooms *rooms);

/* Gives back what it had, and calls go(arg) at once or when there is room for so many bytes. */
void room_take(struct room *room, size_t bytes, void (*go)(void *arg), void *arg);
/* Keeps no room, and waits for none. */
void room_leave(struct room *room);

#endif
