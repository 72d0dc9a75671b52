/*
 * workers: the daemon's view of its worker processes: a table of slots, which are idle, what was sent to each, and what comes back.
 *
 * A slot is finished with (its jobs are handed back, it may be filled anew) only when the spawner has said `gone`, which proves its tree empty, and
 * its channel has been read to its end, so no result is missed. Idempotent jobs that are known to be short are sent ahead of time;
 * when one of them turns out to be long, those behind it are taken back (slots.h). Loop thread.
 */
#ifndef DAEMON_WORKERS_H
#define DAEMON_WORKERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/channel.h"
#include "daemon/job.h"
#include "daemon/loop.h"
#include "daemon/slots.h"
#include "daemon/spawnlink.h"

enum slot_state {
	SLOT_EMPTY,    /* no process */
	SLOT_LIVE,     /* asked for or running; jobs may be sent */
	SLOT_LEAVING,  /* its channel is closed by us or by it, or it is being killed: nothing is sent any more */
};

struct slot {
	struct workers *workers;
	unsigned index;
	uint8_t pool; /* POOL_CPU or POOL_PROCESSES */
	enum slot_state state;
	bool greeted;       /* it has said hello */
	bool channel_ended; /* nothing more comes from it */
	bool gone;          /* the spawner has said so */
	struct spawner_note end; /* once gone: how, and what it took */
	int64_t user_us, system_us; /* of all its results */
	pid_t pid;          /* 0 until the spawner told */
	struct channel *channel;
	struct job_list jobs; /* sent, in order; the first may be running */
	unsigned n;
	unsigned reserved;  /* jobs whose start is on its way to the store, and that will be sent here */
	bool exclusive;     /* one of them is not idempotent: nothing else may be sent before it */
	uint32_t sent;      /* frames of jobs since its birth */
	uint32_t done;      /* results since its birth */
	int64_t expected_us;/* of the jobs sent */
	int64_t idle_since_ms;
	int64_t head_since_ms; /* monotonic: when its first job became the first */
};

struct workers_callbacks {
	/* The outcome is the callee's. The job has left its slot. */
	void (*outcome)(struct job *job, struct outcome *outcome, void *arg);
	/*
	 * The worker is gone, its tree is empty. begun: the job had (or may have) begun, and usage is what it took, as far as
	 * that is known. The job has left its slot.
	 */
	void (*died)(struct job *job, bool begun, int status, const struct usage *usage, void *arg);
	/* It never began there and will not; it may go elsewhere. The job has left its slot. */
	void (*withdrawn)(struct job *job, void *arg);
	void (*output)(struct job *job, int64_t stdout_bytes, int64_t stderr_bytes, void *arg);
	void (*progress)(struct job *job, const struct progress *progress, void *arg);
	/* There may be room now where there was none. */
	void (*room)(void *arg);
	/* The spawner is gone: the daemon must end. */
	void (*spawner_died)(void *arg);
	void *arg;
};

struct workers_config {
	unsigned cpu;             /* slots of each kind */
	unsigned processes;
	uint32_t max_tasks;       /* a CPU worker is replaced after so many jobs; 0: never */
	struct slots *shared;
	int spawner_fd;           /* taken */
	bool run_as_owner;        /* commands become their owners */
};

struct workers *workers_new(struct loop *loop, const struct workers_config *config, const struct workers_callbacks *callbacks);
void workers_start(struct workers *workers); /* asks for the CPU workers */
/* Closes the spawner's socket: all workers die. No callback follows. Jobs still listed are the caller's to forget. */
void workers_free(struct workers *workers);

/* Whether a worker has nothing to do, or one may be born. */
bool workers_have_place(const struct workers *workers, enum pool_kind pool);
/* A slot that may take the job now, or NULL. Does not change anything but, for POOL_PROCESSES, that a process may be born. */
struct slot *workers_place(struct workers *workers, struct job *job);
/* Keeps the place (job->slot) until workers_send() or workers_unreserve(). */
void workers_reserve(struct slot *slot, struct job *job);
void workers_unreserve(struct job *job);
/* Sends a job to the place reserved for it; the frame leaves with workers_flush(). false: the worker has died meanwhile (unreserved then). */
bool workers_send(struct job *job) __attribute__((warn_unused_result));
void workers_flush(struct workers *workers);

/* Tells a running command's supervisor to end it. */
void workers_cancel(struct job *job, int64_t grace_ms);
/* Ends the worker that has the job: SIGKILL; `died` follows for all it had. A job that it has not begun is only taken back: `withdrawn`, also for those behind it. */
void workers_kill(struct job *job);

/* Takes back the jobs of that queue that wait at a worker behind another, and what waits there with them: `withdrawn`. */
void workers_take_back(struct workers *workers, const struct queue *queue);

unsigned workers_slots(const struct workers *workers);
const struct slot *workers_slot(const struct workers *workers, unsigned index);
/* Whether the worker has begun the job (else it waits there behind another). */
bool workers_has_begun(const struct job *job);

#endif
