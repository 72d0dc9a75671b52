/*
 * workers_private: what the files of workers share: workers.c (the calls, and where a job goes), workers_slot.c (one worker's life, and
 * the jobs that it has), workers_frames.c (what it says) and workers_timers.c (what is looked at now and then).
 */
#ifndef DAEMON_WORKERS_PRIVATE_H
#define DAEMON_WORKERS_PRIVATE_H

#include "daemon/workers.h"

#define WORKERS_AHEAD_US 2000 /* most work sent to one worker */
#define WORKERS_ESTIMATES 64

struct workers {
	struct loop *loop;
	struct workers_callbacks callbacks;
	struct spawnlink *link;
	struct slots *shared;
	struct slot *slots;
	unsigned n_slots;
	uint32_t max_tasks;
	bool run_as_owner;
	bool birth_failed; /* since the last tidying */
	struct event *stall;
	struct event *tidy;
	bool stall_on;
	bool tidy_on;
	struct {
		const struct task *task;
		int64_t us;
	} estimates[WORKERS_ESTIMATES]; /* mean CPU time of a task, weighted to the latest */
};

/* The CPU time that a job of the task is thought to take. */
int64_t *workers_estimate(struct workers *workers, const struct task *task);

void slot_add_job(struct slot *slot, struct job *job);
void slot_remove_job(struct slot *slot, struct job *job);
/* The number behind the last job that has begun: those from there on are the callbacks' now. */
uint32_t slot_take_back(struct slot *slot);
/* Asks for a worker in an empty slot. */
void slot_spawn(struct slot *slot);
/* None could be born. What one lacks the next will lack as well: none is tried, and no more said, for a while. */
void slot_birth_failed(struct slot *slot, const char *what, int error);
/* Nothing more is sent there; kill: the worker and its tree are ended. */
void slot_leave(struct slot *slot, bool kill);
void slot_end_channel(struct slot *slot);
/* When nothing more can come from its process: hands back what it had, and makes the slot free. */
void slot_check_finished(struct slot *slot);

/* What workers and the spawner say; arg: the slot, the workers. */
void workers_frame(const struct frame_header *header, struct span payload, void *arg);
void workers_note(const struct spawner_note *note, void *arg);

/* Soon jobs behind one that takes long are taken back; idle workers are let go, and failed births tried again. */
void workers_arm_stall(struct workers *workers);
void workers_arm_tidy(struct workers *workers);
void workers_timers_init(struct workers *workers);
void workers_timers_done(struct workers *workers);

#endif
