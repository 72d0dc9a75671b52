/*
 * spawnlink: the daemon's end of the pair to the spawner, on the loop. Orders that do not fit into the socket wait
 * here.
 */
#ifndef DAEMON_SPAWNLINK_H
#define DAEMON_SPAWNLINK_H

#include "daemon/loop.h"
#include "daemon/spawner.h"

struct spawnlink;

struct spawnlink_callbacks {
	void (*note)(const struct spawner_note *note, void *arg);
	void (*died)(void *arg); /* the spawner is gone: the daemon must end */
	void *arg;
};

/* Takes fd. */
struct spawnlink *spawnlink_new(struct loop *loop, int fd, const struct spawnlink_callbacks *callbacks);
/* Closes the socket: the spawner then kills all its workers and exits. */
void spawnlink_free(struct spawnlink *link);

/*
 * Makes a channel and asks for a worker in slot: the daemon's end of the channel (non-blocking, CLOEXEC), or -1 with
 * errno (no descriptors).
 */
int spawnlink_spawn(struct spawnlink *link, unsigned slot) __attribute__((warn_unused_result));
/* SIGKILL for the worker of a slot; `gone` follows once its tree is empty. */
void spawnlink_kill(struct spawnlink *link, unsigned slot);

#endif
