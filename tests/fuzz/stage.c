/*
 * stage: see stage.h.
 */
#include "tests/fuzz/stage.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/dispatch_private.h"
#include "daemon/outfile.h"
#include "daemon/retention.h"
#include "daemon/tasks/tasks.h"
#include "daemon/waiters.h"
#include "daemon/webhook.h"
#include "tests/fuzz/fuzz.h"

#define CPU_WORKERS 2
#define PROCESSES   2
#define WINDOW	    4 /* small, so that lines are refilled */
#define PATIENCE_MS 30000
#define TICK_US	    2000 /* how long a turn may wait for what other threads do in silence */

static const struct method *const stage_methods[] = {
    methods_submit, methods_look, methods_wait, methods_control, methods_ended, methods_queues, methods_info, NULL};

static char db_path[256], wal_path[256];
static struct span empty_store;

/* ---- tasks ------------------------------------------------------------------------------------------------------ */

static _Atomic unsigned n_sleeping;

static void
sleep_ended(void *state)
{
	(void)state;
	atomic_fetch_sub(&n_sleeping, 1);
}

/* [0] is over at once, all else when it is cancelled. */
static void
sleep_begin(const struct task_call *call, struct wait *wait)
{
	struct outcome outcome = {0};

	if (call->args.len == 3 && memcmp(call->args.at, "[0]", 3) == 0) {
		outcome_set_result(&outcome, SPAN_LIT("0"));
		wait_finish(wait, &outcome);
		return;
	}
	atomic_fetch_add(&n_sleeping, 1);
	wait_set_state(wait, wait, sleep_ended);
}

static void
blocking_run(const struct task_call *call, struct outcome *ret_outcome)
{
	if (call->args.len == 2)
		outcome_set_error(ret_outcome, JOB_ERROR_TASK_ERROR, "of nothing comes nothing");
	else
		outcome_set_result(ret_outcome, call->args);
}

static const struct task task_sleep = {
    .name = "time.sleep", .doc = "sleeps", .kind = TASK_WAIT, .idempotent = true, .pure = true, .any_args = true, .begin = sleep_begin};
static const struct task task_blocking = {
    .name = "file.read", .doc = "blocks", .kind = TASK_BLOCKING, .idempotent = true, .privileged = true, .any_args = true,
    .run = blocking_run};
/* What runs in workers is run by nobody: the understudy answers. */
static const struct task *const stage_tasks[] = {&task_noop, &task_noop_io, &task_math_factorize, &task_math_is_prime,
    &task_file_sha256, &task_exec, &task_sleep, &task_blocking, NULL};

/* ---- what the parts tell one another ------------------------------------------------------------------------------ */

static void
on_ended(const struct store_row *row, void *arg)
{
	struct stage *stage = arg;

	waiters_tell(stage->server.waiters, row);
	outfiles_news(stage->server.outfiles, row->id);
	retention_note(stage->retention,
	    row->finished_ms + (row->spec.retain_ms != SPEC_NONE ? row->spec.retain_ms : stage->config.retention_ms));
}

static void
on_output(int64_t id, void *arg)
{
	struct stage *stage = arg;

	outfiles_news(stage->server.outfiles, id);
}

static void
on_changed(int64_t id, enum dispatch_change what, void *arg)
{
	struct stage *stage = arg;

	waiters_tell_change(stage->server.waiters, id, what);
}

static void
on_room(void *arg)
{
	struct stage *stage = arg;

	sessions_resume(stage->sessions);
}

static void
on_webhooks(void *arg)
{
	(void)arg;
}

static void
on_webhook_settled(void *ctx, bool written, void *arg)
{
	(void)ctx;
	(void)written;
	(void)arg;
	fuzz_fail(__FILE__, __LINE__, "a webhook that nobody has sent");
}

static void
on_fatal(int status, void *arg)
{
	(void)arg;
	fuzz_fail(__FILE__, __LINE__, "the daemon would end with status %d", status);
}

static bool
authenticate(struct server *server, const char *token, struct peer *peer)
{
	(void)server;
	if (strcmp(token, STAGE_TOKEN) != 0)
		return false;
	peer->role = ROLE_OPERATOR;
	snprintf(peer->owner, sizeof(peer->owner), "token:ci");
	return true;
}

static void
tell_drainers(struct stage *stage, bool idle)
{
	struct stage_drainer *drainer;

	while ((drainer = stage->drainers) != NULL) {
		stage->drainers = drainer->next;
		drainer->drained(idle, drainer->arg);
		free(drainer);
	}
}

static void
on_idle(void *arg)
{
	struct stage *stage = arg;

	tell_drainers(stage, true);
	stage->drained = true;
}

static void
drain(struct server *server, int64_t wait_ms, void (*drained)(bool idle, void *arg), void *arg)
{
	struct stage *stage = server->drain_arg;
	struct stage_drainer *drainer = mem_new(sizeof(*drainer));

	(void)wait_ms;
	*drainer = (struct stage_drainer){drained, arg, stage->drainers};
	stage->drainers = drainer;
	if (!dispatch_is_draining(stage->server.dispatch))
		dispatch_drain(stage->server.dispatch, on_idle, stage);
}

/* ---- the store --------------------------------------------------------------------------------------------------- */

static void
open_store(struct loop *loop, struct store **ret_store, struct store_opened *ret_opened)
{
	const struct store_open_config config = {.path = db_path,
	    .synchronous = "off",
	    .now_ms = loop_wall_ms(),
	    .retention_ms = 3600000,
	    .lost_error = "{\"type\":\"Lost\",\"message\":\"lost\",\"attempt\":%d}",
	    .cancelled_error = "{\"type\":\"Cancelled\",\"message\":\"cancelled\",\"attempt\":%d}",
	    .expired_error = "{\"type\":\"Expired\",\"message\":\"expired\"}",
	    .dependency_error = dispatch_dependency_error,
	    .backoff_ms = dispatch_backoff};
	char *reason = NULL;

	FUZZ_CHECK(store_sqlite.open(loop, &config, ret_store, ret_opened, &reason) == STORE_OPEN_OK, "the store: %s", reason);
}

void
stage_prepare(void)
{
	struct store_opened opened;
	struct store *store;
	struct loop *loop = loop_new();
	FILE *file;
	char *bytes;
	struct stat st;

	snprintf(db_path, sizeof(db_path), "%s/db", fuzz_folder());
	snprintf(wal_path, sizeof(wal_path), "%s/db-wal", fuzz_folder());
	open_store(loop, &store, &opened);
	store_sqlite.close(store);
	store_opened_done(&opened);
	loop_free(loop);
	file = fopen(db_path, "re");
	FUZZ_CHECK(file != NULL && fstat(fileno(file), &st) == 0, "no store");
	bytes = mem_new((size_t)st.st_size);
	FUZZ_CHECK(fread(bytes, 1, (size_t)st.st_size, file) == (size_t)st.st_size, "no store");
	fclose(file);
	empty_store = (struct span){bytes, (size_t)st.st_size};
}

void
stage_new_store(void)
{
	fuzz_empty_folder();
	fuzz_spill(db_path, empty_store);
}

/* ---- birth and end ----------------------------------------------------------------------------------------------- */

static void
on_tick(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
}

static void
configure(struct config *config)
{
	*config = (struct config){.cpu_workers = CPU_WORKERS,
	    .io_threads = 2,
	    .io_waits = 4,
	    .io_processes = PROCESSES,
	    .window = WINDOW,
	    .grace_ms = 5000,
	    .max_output = 1 << 20,
	    .limit_message = 64 << 10,
	    .limit_connections = 16,
	    .limit_hello_ms = 60000,
	    .limit_pending = 200,
	    .limit_pending_per_owner = 100,
	    .limit_queues = 6,
	    .limit_waits_per_connection = 8,
	    .limit_ranges_per_connection = 100,
	    .limit_selection = 1000,
	    .limit_result = 4096,
	    .retention_ms = 3600000};
}

static void
open_dispatch(struct stage *stage, const struct store_opened *opened, int spawner_fd)
{
	const struct config *config = &stage->config;
	const struct dispatch_callbacks callbacks = {.ended = on_ended,
	    .output = on_output,
	    .changed = on_changed,
	    .room = on_room,
	    .webhooks = on_webhooks,
	    .webhook_settled = on_webhook_settled,
	    .fatal = on_fatal,
	    .arg = stage};
	const struct dispatch_config dispatch = {.ops = &store_sqlite,
	    .store = stage->store,
	    .opened = opened,
	    .tasks = stage_tasks,
	    .window = (size_t)config->window,
	    .cpu_workers = (unsigned)config->cpu_workers,
	    .io_threads = (unsigned)config->io_threads,
	    .io_processes = (unsigned)config->io_processes,
	    .io_waits = (unsigned)config->io_waits,
	    .slots = stage->shared,
	    .spawner_fd = spawner_fd,
	    .grace_ms = config->grace_ms,
	    .pending = config->limit_pending,
	    .pending_per_owner = config->limit_pending_per_owner,
	    .n_queues = (size_t)config->limit_queues,
	    .max_result = (size_t)config->limit_result};

	stage->server.dispatch = dispatch_new(stage->loop, &dispatch, &callbacks);
	FUZZ_CHECK(stage->server.dispatch != NULL, "no threads can be made");
}

void
stage_open(struct stage *stage)
{
	struct server *server = &stage->server;
	struct store_opened opened;
	int spawner_fd;

	configure(&stage->config);
	stage->drained = false;
	stage->shared = slots_new(CPU_WORKERS + PROCESSES);
	understudy_open(&stage->us, CPU_WORKERS + PROCESSES, stage->shared, &spawner_fd);
	stage->output_dir = open(fuzz_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(stage->shared != NULL && stage->output_dir >= 0, "no slots or no folder");
	stage->loop = loop_new();
	stage->tick = event_new(loop_base(stage->loop), -1, EV_PERSIST, on_tick, NULL);
	FUZZ_CHECK(stage->tick != NULL, "no timer");
	open_store(stage->loop, &stage->store, &opened);
	*server = (struct server){.loop = stage->loop,
	    .config = &stage->config,
	    .tasks = stage_tasks,
	    .methods = stage_methods,
	    .started_ms = loop_mono_ms(),
	    .authenticate = authenticate,
	    .drain = drain,
	    .drain_arg = stage};
	server->waiters = waiters_new();
	server->outfiles = outfiles_new(server, stage->output_dir);
	stage->sessions = sessions_new(server);
	open_dispatch(stage, &opened, spawner_fd);
	stage->retention = retention_new(stage->loop, server->dispatch, server->outfiles);
	server->webhooks = webhooks_new(
	    &(struct webhooks_config){.loop = stage->loop, .dispatch = server->dispatch, .store_id = opened.store_id});
	store_opened_done(&opened);
	dispatch_start(server->dispatch);
}

void
stage_close(struct stage *stage)
{
	tell_drainers(stage, false);
	sessions_free(stage->sessions);
	store_sqlite.close(stage->store);
	loop_deliver(stage->loop);
	dispatch_free(stage->server.dispatch);
	loop_deliver(stage->loop);
	webhooks_free(stage->server.webhooks);
	retention_free(stage->retention);
	outfiles_free(stage->server.outfiles);
	waiters_free(stage->server.waiters);
	event_free(stage->tick);
	event_base_loop(loop_base(stage->loop), EVLOOP_NONBLOCK); /* in which buffers are freed that were deferred */
	loop_free(stage->loop);
	understudy_close(&stage->us);
	slots_free(stage->shared);
	close(stage->output_dir);
}

struct bufferevent *
stage_connect(struct stage *stage, enum role role, const char *owner)
{
	struct bufferevent *pair[2];

	FUZZ_CHECK(bufferevent_pair_new(loop_base(stage->loop), BEV_OPT_DEFER_CALLBACKS, pair) == 0, "no pair");
	sessions_add(stage->sessions, pair[0], role, owner);
	bufferevent_enable(pair[1], EV_READ | EV_WRITE);
	return pair[1];
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

bool
stage_turn(struct stage *stage, bool may_wait)
{
	FUZZ_CHECK(loop_turn(stage->loop, may_wait) == 0, "the loop failed");
	return understudy_turn(&stage->us);
}

bool
stage_is_busy(struct stage *stage)
{
	const struct dispatch *dispatch = stage->server.dispatch;

	return dispatch->flying != NULL || !store_batch_empty(dispatch->open) || dispatch->n_later > 0 || dispatch->n_reads > 0 ||
	    dispatch->threads_busy > 0 || dispatch->waits_busy > atomic_load(&n_sleeping);
}

static void
read_done(struct store_read *read, void *arg)
{
	store_read_done(read);
	*(bool *)arg = true;
}

/* Until a read that goes behind all others is back, and none has been asked since: none is under way then. */
static bool
read_out(struct stage *stage, void (*each_turn)(void))
{
	static const struct id_range first = {1, 1};
	struct dispatch *dispatch = stage->server.dispatch;
	struct store_read read = {.ranges = &first, .n_ranges = 1, .max_rows = 1, .max_bytes = 1, .done = read_done};
	bool done = false;
	uint64_t asked;

	read.arg = &done;
	dispatch_read(dispatch, &read);
	asked = dispatch->n_asked;
	loop_again(stage->loop);
	while (!done) {
		stage_turn(stage, true);
		each_turn();
	}
	return dispatch->n_asked == asked;
}

void
stage_settle(struct stage *stage, void (*each_turn)(void))
{
	const struct timeval tick = {.tv_usec = TICK_US};
	int64_t deadline_ms = loop_mono_ms() + PATIENCE_MS;
	bool some;

	event_add(stage->tick, &tick);
	do {
		/* What is deferred or ordered takes some turns to show. */
		for (int quiet = 0; quiet < 3; quiet = some ? 0 : quiet + 1) {
			some = stage_turn(stage, false);
			each_turn();
			while (stage_is_busy(stage)) {
				FUZZ_CHECK(loop_mono_ms() < deadline_ms, "it does not come to rest");
				some = true;
				stage_turn(stage, true);
				each_turn();
			}
		}
	} while (!read_out(stage, each_turn));
	event_del(stage->tick);
}
