/*
 * room: see room.h.
 */
#include "daemon/room.h"

void
rooms_init(struct rooms *rooms, const struct hoard *unread)
{
	*rooms = (struct rooms){.unread = unread, .max = unread->max / 4 * 3};
	TAILQ_INIT(&rooms->waiting);
}

static bool
rooms_fit(const struct rooms *rooms, size_t bytes)
{
	size_t used;

	if (bytes <= ROOM_SMALL || rooms->unread == NULL)
		return true;
	used = rooms->unread->bytes + rooms->taken;
	return used < rooms->max && bytes <= rooms->max - used;
}

bool
rooms_have(const struct rooms *rooms, size_t bytes)
{
	return rooms_fit(rooms, bytes) && (bytes <= ROOM_SMALL || !rooms_are_wanted(rooms));
}

bool
rooms_are_wanted(const struct rooms *rooms)
{
	return !TAILQ_EMPTY(&rooms->waiting);
}

void
rooms_go(struct rooms *rooms)
{
	struct room *room;

	while ((room = TAILQ_FIRST(&rooms->waiting)) != NULL && rooms_fit(rooms, room->bytes)) {
		TAILQ_REMOVE(&rooms->waiting, room, link);
		room->waiting = false;
		rooms->taken += room->bytes;
		room->go(room->arg);
	}
}

void
rooms_end(struct rooms *rooms)
{
	rooms->unread = NULL;
	rooms_go(rooms);
}

void
room_leave(struct room *room)
{
	if (room->waiting)
		TAILQ_REMOVE(&room->rooms->waiting, room, link);
	else
		room->rooms->taken -= room->bytes;
	room->waiting = false;
	room->bytes = 0;
}

void
room_take(struct room *room, size_t bytes, void (*go)(void *arg), void *arg)
{
	room_leave(room);
	room->waiting = !rooms_have(room->rooms, bytes);
	room->bytes = bytes;
	room->go = go;
	room->arg = arg;
	if (room->waiting) {
		TAILQ_INSERT_TAIL(&room->rooms->waiting, room, link);
		return;
	}
	room->rooms->taken += bytes;
	go(arg);
}
