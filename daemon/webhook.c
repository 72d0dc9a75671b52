/*
 * webhook: see webhook.h. A look asks the store which are due, reads the jobs of as many as there are places for, and
 * hands them to the waits thread. A place is free again when what came of the POST is durable; then, and when the next
 * is due, it looks again.
 *
 * Invariant: what is due is either in a place, or a look follows: one is under way, the timer is set, or there is no
 * room and each place looks when it becomes free.
 */
#include "daemon/webhook.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dispatch.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/receivers.h"
#include "daemon/render.h"
#include "daemon/store.h"
#include "daemon/tasks/post.h"
#include "daemon/text.h"
#include "daemon/waits.h"

#define WEBHOOK_AT_ONCE    16
#define WEBHOOK_BYTES      ((size_t)4 << 20) /* of job objects under way; one alone may be longer */
#define WEBHOOK_TRIES      40                /* about a day, with the longest pause of an hour */
#define WEBHOOK_LONGEST_MS INT64_C(86400000) /* one that is put off all the time */
#define WEBHOOK_BACKOFF_MS 1000
#define WEBHOOK_PAUSE_MAX_MS 3600000
#define WEBHOOK_STORE_MS   1000              /* until the store is asked again that could not */
#define WEBHOOK_FAR_MS     (60 * 1000)       /* the wall clock may be set: look again after this */

enum hook_phase { HOOK_FREE, HOOK_POSTED, HOOK_SETTLING, HOOK_OWED /* what came of it could not be written yet */ };

struct hook {
	struct webhooks *webhooks;
	enum hook_phase phase;
	size_t bytes;
	uint64_t receiver;
	int64_t until_ms; /* retention */
	struct store_webhook what;
};

struct webhooks {
	struct webhooks_config config;
	char *store_id;
	struct event *timer;
	int64_t timer_ms; /* SPEC_NONE: it is not set */
	struct hook hooks[WEBHOOK_AT_ONCE];
	size_t n_hooks; /* not free */
	size_t bytes;
	struct receivers receivers;
	int64_t since_ms; /* monotonic: what was put off in an earlier life has not been put off here */
	struct webhooks_stats stats;
	/* the look under way */
	bool looking;
	bool news; /* there may be more than it sees */
	int64_t next_ms;
	struct store_webhooks found;
	struct store_webhook_due picked[WEBHOOK_AT_ONCE]; /* by id */
	size_t n_picked;
	struct id_range ranges[WEBHOOK_AT_ONCE];
	struct store_read read;
};

static void
webhooks_arm(struct webhooks *webhooks, int64_t at_ms)
{
	int64_t ms = at_ms - loop_wall_ms();
	struct timeval tv;

	if (webhooks->timer_ms != SPEC_NONE && webhooks->timer_ms <= at_ms)
		return;
	webhooks->timer_ms = at_ms;
	ms = ms < 0 ? 0 : ms > WEBHOOK_FAR_MS ? WEBHOOK_FAR_MS : ms;
	tv = (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	event_add(webhooks->timer, &tv);
}

static size_t
webhooks_room(const struct webhooks *webhooks)
{
	return webhooks->bytes < WEBHOOK_BYTES ? WEBHOOK_AT_ONCE - webhooks->n_hooks : 0;
}

/* ---- one ---- */

static struct hook *
hook_take(struct webhooks *webhooks, const struct store_webhook_due *due)
{
	struct hook *hook = webhooks->hooks;

	while (hook->phase != HOOK_FREE)
		hook++;
	webhooks->n_hooks++;
	*hook = (struct hook){.webhooks = webhooks, .until_ms = SPEC_NONE};
	hook->what = (struct store_webhook){.id = due->id, .tries = due->tries, .run_at_ms = SPEC_NONE, .ctx = hook};
	return hook;
}

static void
hook_settle(struct hook *hook, int64_t run_at_ms)
{
	hook->phase = HOOK_SETTLING;
	hook->webhooks->bytes -= hook->bytes;
	hook->bytes = 0;
	hook->what.run_at_ms = run_at_ms;
	dispatch_settle_webhook(hook->webhooks->config.dispatch, &hook->what);
}

static void
hook_give_up(struct hook *hook, const char *why)
{
	hook->webhooks->stats.failed++;
	log_warning("job=%lld: its webhook is given up after %d tries: %s", (long long)hook->what.id, hook->what.tries, why);
	hook_settle(hook, SPEC_NONE);
}

/*
 * It has not been tried: its turn comes when the receiver may be asked again, but the longer it has waited the less often it
 * asks, for each asking is written.
 */
static void
hook_put_off(struct hook *hook, int64_t waited_ms)
{
	int64_t pause_ms = receivers_rest_ms(&hook->webhooks->receivers, hook->receiver, loop_mono_ms());

	if (waited_ms >= WEBHOOK_LONGEST_MS && loop_mono_ms() - hook->webhooks->since_ms >= WEBHOOK_LONGEST_MS) {
		hook_give_up(hook, "the receiver answers nobody");
		return;
	}
	if (pause_ms < waited_ms)
		pause_ms = waited_ms < WEBHOOK_PAUSE_MAX_MS ? waited_ms : WEBHOOK_PAUSE_MAX_MS;
	hook_settle(hook, loop_wall_ms() + pause_ms);
}

static void
hook_fail(struct hook *hook, const char *why)
{
	long long id = hook->what.id;
	int64_t pause_ms;

	if (++hook->what.tries >= WEBHOOK_TRIES) {
		hook_give_up(hook, why);
		return;
	}
	pause_ms = dispatch_backoff(WEBHOOK_BACKOFF_MS, hook->what.tries);
	log_info("job=%lld: try %d of its webhook: %s; the next in %g s", id, hook->what.tries, why,
	    (double)pause_ms / 1000);
	hook_settle(hook, loop_wall_ms() + pause_ms);
}

static void
hook_fail_outcome(struct hook *hook, const struct outcome *outcome)
{
	int status = post_status(outcome);
	char *why = NULL;
	struct span message;

	if (status != 0)
		why = mem_format("it was answered with status %d", status);
	else if (jsonspan_get((struct span){outcome->json, outcome->len}, "message", &message))
		(void)!jsonspan_string(message, &why, NULL);
	hook_fail(hook, why != NULL ? why : "no answer");
	free(why);
}

static void
hook_answered(uint64_t job, uint64_t token, struct outcome *outcome, void *arg)
{
	struct hook *hook = arg;
	struct webhooks *webhooks = hook->webhooks;
	int status = post_status(outcome);

	(void)job;
	(void)token;
	receivers_note(&webhooks->receivers, hook->receiver, status != 0, loop_mono_ms());
	if (status / 100 == 2) {
		webhooks->stats.sent++;
		hook_settle(hook, SPEC_NONE);
	} else {
		hook_fail_outcome(hook, outcome);
	}
	outcome_done(outcome);
}

/* [URL, key, job]; the key is the same for each try, and no other job's in any store. */
static void
hook_post(struct hook *hook, const struct store_row *row)
{
	struct webhooks *webhooks = hook->webhooks;
	struct dispatch *dispatch = webhooks->config.dispatch;
	struct text args = {0};

	text_add_char(&args, '[');
	text_add_quoted(&args, row->spec.webhook);
	text_printf(&args, ",\"%s-%lld\",", webhooks->store_id, (long long)row->id);
	render_job(&args, dispatch, row, RENDER_ALL);
	text_add_char(&args, ']');
	hook->phase = HOOK_POSTED;
	hook->bytes = args.len;
	webhooks->bytes += args.len;
	waits_begin_own(dispatch_waits(dispatch), &task_post, (uint64_t)row->id, (unsigned)hook->what.tries + 1,
	    text_span(&args), row->spec.restricted, hook_answered, hook);
	text_done(&args);
}

static void
hook_begin(struct hook *hook, const struct store_row *row)
{
	struct webhooks *webhooks = hook->webhooks;
	int64_t retain_ms = row->spec.retain_ms != SPEC_NONE ? row->spec.retain_ms : webhooks->config.retention_ms;

	hook->until_ms = row->finished_ms + retain_ms;
	hook->receiver = receivers_origin(row->spec.webhook);
	if (receivers_may(&webhooks->receivers, hook->receiver, loop_mono_ms()))
		hook_post(hook, row);
	else
		hook_put_off(hook, loop_wall_ms() - row->finished_ms);
}

void
webhook_settled(void *ctx, bool written)
{
	struct hook *hook = ctx;
	struct webhooks *webhooks = hook->webhooks;

	if (!written) {
		hook->phase = HOOK_OWED;
		webhooks_arm(webhooks, loop_wall_ms() + WEBHOOK_STORE_MS);
		return;
	}
	hook->phase = HOOK_FREE;
	webhooks->n_hooks--;
	if (hook->what.run_at_ms == SPEC_NONE && hook->until_ms != SPEC_NONE)
		webhooks->config.done(hook->until_ms, webhooks->config.arg);
	webhooks_look(webhooks);
}

/* ---- a look ---- */

/* What is due at at_ms (SPEC_NONE: nothing is) is for the next one. */
static void
webhooks_rest(struct webhooks *webhooks, int64_t at_ms)
{
	webhooks->looking = false;
	if (webhooks->news || (at_ms != SPEC_NONE && at_ms <= loop_wall_ms()))
		webhooks_look(webhooks);
	else if (at_ms != SPEC_NONE)
		webhooks_arm(webhooks, at_ms);
}

static void
webhooks_begin_picked(struct webhooks *webhooks)
{
	const struct store_read *read = &webhooks->read;
	size_t at = 0;

	for (size_t i = 0; i < webhooks->n_picked; i++) {
		const struct store_webhook_due *due = &webhooks->picked[i];

		if (at < read->n_rows && read->rows[at].id == due->id)
			hook_begin(hook_take(webhooks, due), &read->rows[at++]);
		else if (!read->more || due->id <= read->next)
			hook_settle(hook_take(webhooks, due), SPEC_NONE); /* the job is gone */
		else
			webhooks->news = true; /* too much at once, or for lack of time */
	}
}

static void
webhooks_read_done(struct store_read *read, void *arg)
{
	struct webhooks *webhooks = arg;

	if (read->error != 0) {
		webhooks_rest(webhooks, loop_wall_ms() + WEBHOOK_STORE_MS);
		return;
	}
	webhooks_begin_picked(webhooks);
	store_read_done(read);
	webhooks_rest(webhooks, webhooks->next_ms);
}

static bool
webhooks_has(const struct webhooks *webhooks, int64_t id)
{
	for (size_t i = 0; i < WEBHOOK_AT_ONCE; i++) {
		if (webhooks->hooks[i].phase != HOOK_FREE && webhooks->hooks[i].what.id == id)
			return true;
	}
	return false;
}

static int
webhooks_compare(const void *a, const void *b)
{
	const struct store_webhook_due *one = a, *other = b;

	return one->id < other->id ? -1 : one->id > other->id;
}

static void
webhooks_pick(struct webhooks *webhooks)
{
	const struct store_webhooks *found = &webhooks->found;
	size_t room = webhooks_room(webhooks);

	webhooks->n_picked = 0;
	for (size_t i = 0; i < found->n && webhooks->n_picked < room; i++) {
		if (!webhooks_has(webhooks, found->due[i].id))
			webhooks->picked[webhooks->n_picked++] = found->due[i];
	}
	qsort(webhooks->picked, webhooks->n_picked, sizeof(*webhooks->picked), webhooks_compare);
	for (size_t i = 0; i < webhooks->n_picked; i++)
		webhooks->ranges[i] = (struct id_range){webhooks->picked[i].id, webhooks->picked[i].id};
}

static void
webhooks_found(struct store_webhooks *found, void *arg)
{
	struct webhooks *webhooks = arg;

	if (found->error != 0) {
		webhooks_rest(webhooks, loop_wall_ms() + WEBHOOK_STORE_MS);
		return;
	}
	webhooks_pick(webhooks);
	webhooks->next_ms = found->next_ms;
	free(found->due);
	found->due = NULL;
	if (webhooks->n_picked == 0) {
		webhooks_rest(webhooks, webhooks->next_ms);
		return;
	}
	webhooks->read = (struct store_read){.ranges = webhooks->ranges,
	    .n_ranges = webhooks->n_picked,
	    .max_rows = webhooks->n_picked,
	    .max_bytes = WEBHOOK_BYTES - webhooks->bytes,
	    .fields = render_store_fields(RENDER_ALL) | STORE_FIELD_SPEC,
	    .done = webhooks_read_done,
	    .arg = webhooks};
	dispatch_read(webhooks->config.dispatch, &webhooks->read);
}

void
webhooks_look(struct webhooks *webhooks)
{
	webhooks->news = true;
	if (webhooks->looking || webhooks_room(webhooks) == 0 || dispatch_is_draining(webhooks->config.dispatch))
		return;
	webhooks->looking = true;
	webhooks->news = false;
	webhooks->found = (struct store_webhooks){.now_ms = loop_wall_ms(),
	    .max = (size_t)2 * WEBHOOK_AT_ONCE, /* those that are under way are found again */
	    .done = webhooks_found,
	    .arg = webhooks};
	dispatch_webhooks(webhooks->config.dispatch, &webhooks->found);
}

static void
webhooks_timer_cb(evutil_socket_t fd, short events, void *arg)
{
	struct webhooks *webhooks = arg;

	(void)fd;
	(void)events;
	webhooks->timer_ms = SPEC_NONE;
	for (size_t i = 0; i < WEBHOOK_AT_ONCE; i++) {
		if (webhooks->hooks[i].phase == HOOK_OWED)
			hook_settle(&webhooks->hooks[i], webhooks->hooks[i].what.run_at_ms);
	}
	webhooks_look(webhooks);
}

/* ---- all ---- */

struct webhooks *
webhooks_new(const struct webhooks_config *config)
{
	struct webhooks *webhooks = mem_new(sizeof(*webhooks));

	webhooks->config = *config;
	webhooks->store_id = mem_text(config->store_id);
	webhooks->config.store_id = NULL;
	webhooks->since_ms = loop_mono_ms();
	webhooks->timer_ms = SPEC_NONE;
	webhooks->timer = event_new(loop_base(config->loop), -1, 0, webhooks_timer_cb, webhooks);
	if (webhooks->timer == NULL)
		abort();
	webhooks_arm(webhooks, loop_wall_ms());
	return webhooks;
}

void
webhooks_free(struct webhooks *webhooks)
{
	if (webhooks == NULL)
		return;
	event_free(webhooks->timer);
	free(webhooks->store_id);
	free(webhooks);
}

void
webhooks_get_stats(const struct webhooks *webhooks, struct webhooks_stats *ret_stats)
{
	*ret_stats = webhooks->stats;
}
