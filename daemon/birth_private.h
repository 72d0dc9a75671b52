/*
 * birth_private: what the files of birth share: birth.c (the order, and what the spawner inherits), birth_config.c (from the
 * arguments to a configuration), birth_parts.c (what lives on the loop) and birth_drain.c (signals, and the way to the end).
 */
#ifndef DAEMON_BIRTH_PRIVATE_H
#define DAEMON_BIRTH_PRIVATE_H

#include <sys/resource.h>

#include "daemon/activation.h"
#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/listener.h"
#include "daemon/locks.h"
#include "daemon/server.h"
#include "daemon/session.h"

#define EXIT_USAGE   64
#define EXIT_CORRUPT 65
#define EXIT_SPAWNER 70 /* it died, as dispatch says (callbacks.fatal) */
#define EXIT_LOOP    70
#define EXIT_STORE   74
#define EXIT_CONFIG  78

/* A request that is answered when the drain is over. */
struct birth_drainer {
	void (*drained)(bool idle, void *arg);
	void *arg;
	struct birth_drainer *next;
};

struct birth {
	struct config config;
	struct activated passed[ACTIVATION_MAX];
	int n_passed;
	struct locks locks;
	struct rlimit nofile; /* as it was: for commands */
	int output_dir;
	int cgroup; /* the folder of control groups, or -1 */
	int cgroup_lock;
	struct slots *slots;
	pid_t spawner_pid;
	int spawner_fd;
	struct loop *loop;
	struct store *store;
	struct store_opened opened;
	struct server server;
	struct token *token;
	struct tokens *tokens;
	struct tls *tls;
	struct sessions *sessions;
	struct listener *listeners[ACTIVATION_MAX + 2];
	size_t n_listeners;
	struct retention *retention;
	struct orphans *orphans;
	struct event *signals[3];
	struct event *drain_timer;
	struct event *watchdog;
	int status;
	bool ending;
	bool signalled;
	struct birth_drainer *drainers;
};

/* Logs why it cannot go on; the status. */
int birth_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* birth_config.c */
/* -1: go on; else the exit status. */
int birth_read_config(struct birth *birth, int argc, char **argv);

/* birth_parts.c: 0, or the exit status */
int birth_dispatch(struct birth *birth);
/* Passed sockets take the place of those that the configuration names. */
int birth_listen(struct birth *birth);
/* The log is where one learns which port a port of 0 has become. */
void birth_tell_places(const struct birth *birth);

/* birth_drain.c */
void birth_events(struct birth *birth);
/* server->drain */
void birth_drain_asked(struct server *server, int64_t wait_ms, void (*drained)(bool idle, void *arg), void *arg);
/* Those who asked for the drain. */
void birth_tell_drainers(struct birth *birth, bool idle);
/* dispatch's fatal: the loop ends with this status. */
void birth_fatal(int status, void *arg);

#endif
