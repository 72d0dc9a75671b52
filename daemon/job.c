/*
 * job: see job.h.
 */
#include "daemon/job.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

#include "daemon/mem.h"

struct job *
job_new(struct jobs *jobs, struct spec *spec, const struct task *task)
{
	struct job *job = mem_new(sizeof(*job));

	job->spec = spec;
	job->task = task;
	job->started_ms = SPEC_NONE;
	HASH_ADD_KEYPTR(hh, jobs->by_id, &spec->id, sizeof(spec->id), job);
	jobs->n++;
	return job;
}

void
job_free(struct jobs *jobs, struct job *job)
{
	assert(job->where == JOB_NOWHERE);
	HASH_DEL(jobs->by_id, job);
	jobs->n--;
	if (job->timer != NULL)
		event_free(job->timer);
	outcome_done(&job->outcome);
	free(job->progress);
	free(job->cancel_error);
	spec_unref(job->spec);
	free(job);
}

struct job *
job_find(const struct jobs *jobs, int64_t id)
{
	struct job *job;

	HASH_FIND(hh, jobs->by_id, &id, sizeof(id), job);
	return job;
}

int
job_order(const struct job *a, const struct job *b)
{
	if (a->spec->priority != b->spec->priority)
		return a->spec->priority > b->spec->priority ? -1 : 1;
	if (a->spec->id != b->spec->id)
		return a->spec->id < b->spec->id ? -1 : 1;
	return 0;
}
