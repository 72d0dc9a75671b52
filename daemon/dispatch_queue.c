/*
 * dispatch_queue: the part of dispatch that knows what queues are set to, and tells why a pending job waits.
 *
 * A setting is the stricter of what was asked and what is durable: a pause holds from the moment it is asked for, and ends when its end is durable.
 * A start that is on its way to the store when its queue is paused comes back as soon as it is recorded, and what was sent ahead to a worker and not
 * begun there is withdrawn, so when the pause is answered nothing of the queue starts any more.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/dispatch_private.h"
#include "daemon/mem.h"

struct queue_request {
	struct queue *queue; /* stays while it is changing */
	dispatch_setting_cb cb;
	void *ctx;
};

int
dispatch_set_queue(struct dispatch *dispatch, const char *name, const struct dispatch_setting *what, dispatch_setting_cb cb, void *ctx,
    const char **ret_what)
{
	struct queue_request *request;
	struct store_setting *setting;
	struct queue *queue;

	if (dispatch->failed)
		return RPC_SHUTTING_DOWN;
	*ret_what = dispatch_why_no_queue(dispatch, name, NULL);
	if (*ret_what != NULL)
		return RPC_BUSY;
	queue = queues_get(&dispatch->queues, name);
	queue->changing++;
	if (what->sets_paused)
		queue->asked.paused = what->paused;
	if (what->sets_limit)
		queue->asked.limit = what->limit;
	queues_reset(&dispatch->queues, queue);
	request = mem_new(sizeof(*request));
	*request = (struct queue_request){queue, cb, ctx};
	setting = DISPATCH_ADD(dispatch->open, setting);
	*setting = (struct store_setting){.queue = queue->name, .ctx = request};
	setting->sets_paused = what->sets_paused;
	setting->paused = what->paused;
	setting->sets_limit = what->sets_limit;
	setting->limit = what->limit;
	if (what->sets_paused && what->paused)
		workers_take_back(dispatch->workers, queue);
	loop_again(dispatch->loop);
	return 0;
}

void
dispatch_answer_setting(struct dispatch *dispatch, const struct store_setting *setting, enum store_verdict verdict, const char *reason)
{
	struct queue_request *request = setting->ctx;
	struct queue *queue = request->queue;

	queue->changing--;
	if (verdict == STORE_COMMITTED && setting->sets_paused)
		queue->durable.paused = setting->paused;
	if (verdict == STORE_COMMITTED && setting->sets_limit)
		queue->durable.limit = setting->limit;
	if (queue->changing == 0) /* after a refusal nothing else is left of what was asked */
		queue->asked = queue->durable;
	queues_reset(&dispatch->queues, queue);
	request->cb(verdict, reason, request->ctx);
	queues_release(&dispatch->queues, queue);
	free(request);
}

void
dispatch_adopt_settings(struct dispatch *dispatch, const struct store_opened *opened)
{
	for (size_t i = 0; i < opened->n_queues; i++) {
		struct queue *queue = queues_get(&dispatch->queues, opened->queues[i].queue);

		queue->durable = (struct queue_settings){opened->queues[i].paused, opened->queues[i].limit};
		queue->asked = queue->durable;
		queues_reset(&dispatch->queues, queue);
	}
}

const char *
dispatch_why_no_queue(struct dispatch *dispatch, const char *name, const char *owner)
{
	struct queues *queues = &dispatch->queues;
	size_t most = dispatch->config.n_queues;
	struct queue *queue, *next;

	if ((owner == NULL && queues->n < most) || queues_find(queues, name) != NULL || strcmp(name, "default") == 0)
		return NULL;
	if (queues->n >= most) {
		HASH_ITER(hh, queues->by_name, queue, next)
			queues_release(queues, queue);
	}
	if (queues->n >= most)
		return "[limits] queues";
	if (owner != NULL && queues_owner_queues(queues, owner) >= most - queues->n)
		return "the share of one owner in [limits] queues";
	return NULL;
}

enum job_reason
dispatch_reason(const struct dispatch *dispatch, const struct store_row *row)
{
	const struct queue *queue = queues_find(&dispatch->queues, row->spec.queue);
	const struct job *job = job_find(&dispatch->jobs, row->id);

	if (row->place == STORE_WAITING)
		return REASON_AFTER;
	if (row->place == STORE_DELAYED)
		return row->attempt > 0 ? REASON_RETRYING : REASON_DELAYED;
	if (queue != NULL && queue_is_paused(queue))
		return REASON_PAUSED;
	if (queue != NULL && queue_is_at_limit(queue))
		return REASON_QUEUE_LIMIT;
	if (job != NULL && job->state == FSM_PICKED) /* its start is being written */
		return REASON_READY;
	return dispatch_has_place(dispatch, (enum pool_kind)row->spec.pool) ? REASON_READY : REASON_CAPACITY;
}
