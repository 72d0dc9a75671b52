/*
 * birth: see birth.h.
 *
 * The order is the design: arguments, config, log, locks; then, while there is one thread and no database, the spawner; then store (with recovery), loop,
 * threads and workers, listeners; and only then it says that it is ready. Each step names the exit status of its failure. The end goes the other way: no
 * more clients, the store (what was begun is finished), the workers and all that descends from them, the locks.
 */
#include "daemon/birth.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/activation.h"
#include "daemon/cgroup.h"
#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/dispatch.h"
#include "daemon/doors.h"
#include "daemon/fdpass.h"
#include "daemon/leaders.h"
#include "daemon/listener.h"
#include "daemon/locks.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/notify.h"
#include "daemon/orphans.h"
#include "daemon/outfile.h"
#include "daemon/privacy.h"
#include "daemon/proctree.h"
#include "daemon/retention.h"
#include "daemon/server.h"
#include "daemon/session.h"
#include "daemon/spawner.h"
#include "daemon/tls.h"
#include "daemon/token.h"
#include "daemon/tokens.h"
#include "daemon/waiters.h"
#include "daemon/webhook.h"

#define EXIT_USAGE 64
#define EXIT_CORRUPT 65
#define EXIT_STORE 74
#define EXIT_CONFIG 78
#define END_DEADLINE_MS 30000
#define CGROUP_LOCK_MS 1000 /* a killed daemon may have its lock a moment longer */

static const struct method *const birth_methods[] = {methods_submit, methods_look, methods_wait, methods_control, methods_ended, methods_queues, methods_info, NULL};

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

static int birth_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Logs why it cannot go on; the status. */
static int
birth_fail(int status, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s", text);
	return status;
}

/* ---- arguments, config, log ------------------------------------------------------------------------------------------------ */

/* The files that the configuration names, as a start would read them. The exit status. */
static int
birth_check_files(const struct config *config)
{
	char *reason = NULL;

	if (config->tls_certificate != NULL)
		tls_close(tls_open(config->tls_certificate, config->tls_key, config->tls_client_ca, &reason));
	if (reason == NULL && config->tokens_file != NULL)
		tokens_close(tokens_open(config->tokens_file, false, &reason));
	if (reason == NULL) {
		puts("the configuration is good");
		return 0;
	}
	fprintf(stderr, "futured: %s\n", reason);
	free(reason);
	return EXIT_CONFIG;
}

/* -1: go on; else the exit status. */
static int
birth_read_config(struct birth *birth, int argc, char **argv)
{
	enum config_action action;

	config_init(&birth->config);
	if (config_options(&birth->config, argc, argv, &action) < 0) {
		fprintf(stderr, "futured: %s\n%s", birth->config.error, config_help);
		return EXIT_USAGE;
	}
	if (action == CONFIG_VERSION || action == CONFIG_HELP) {
		fputs(action == CONFIG_VERSION ? "futured " PACKAGE_VERSION "\n" : config_help, stdout);
		return 0;
	}
	if (config_load_file(&birth->config) < 0 || config_check(&birth->config) < 0) {
		fprintf(stderr, "futured: %s\n", birth->config.error);
		return EXIT_CONFIG;
	}
	if (action == CONFIG_CHECK)
		return birth_check_files(&birth->config);
	log_set_level((enum log_level)birth->config.log_level);
	return -1;
}

/* ---- what the spawner inherits --------------------------------------------------------------------------------------------- */

static void
birth_raise_limits(struct birth *birth)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &birth->nofile) < 0)
		return;
	limit = birth->nofile;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		limit = birth->nofile;
	/* a connection each, and some for workers, files and transfers */
	if (limit.rlim_cur != RLIM_INFINITY && birth->config.limit_connections > (int64_t)(limit.rlim_cur / 2)) {
		birth->config.limit_connections = (int64_t)(limit.rlim_cur / 2);
		log_notice("[limits] connections is %lld here: half of the descriptors that may be open",
		    (long long)birth->config.limit_connections);
	}
}

static int
birth_open_output(struct birth *birth)
{
	if (mkdirat(birth->locks.dir, "output", 0700) < 0 && errno != EEXIST)
		return -1;
	birth->output_dir = openat(birth->locks.dir, "output", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return birth->output_dir < 0 ? -1 : 0;
}

static void
birth_close_cgroup(struct birth *birth)
{
	if (birth->cgroup < 0)
		return;
	close(birth->cgroup);
	close(birth->cgroup_lock);
	birth->cgroup = -1;
}

/* Before the spawner, so that all of us are in the group that is for us. */
static int
birth_cgroup(struct birth *birth)
{
	char *found = birth->config.cgroup == NULL ? cgroup_find(NULL, NULL) : NULL;
	const char *path = birth->config.cgroup != NULL ? birth->config.cgroup : found;

	const char *why;

	if (path == NULL)
		return 0;
	birth->cgroup = cgroup_open(path, &birth->cgroup_lock);
	if (birth->cgroup >= 0 && locks_wait(birth->cgroup_lock, CGROUP_LOCK_MS) == 0) {
		cgroup_take(birth->cgroup, birth->cgroup_lock);
		free(found);
		return 0;
	}
	why = errno == EWOULDBLOCK ? "another daemon makes its groups there" : strerror(errno);
	birth_close_cgroup(birth);
	if (found == NULL)
		return birth_fail(EXIT_CONFIG, "[exec] cgroup: %s cannot be used: %s", path, why);
	log_warning("commands run without control groups: %s cannot be used: %s", path, why);
	free(found);
	return 0;
}

static int
birth_spawner(struct birth *birth)
{
	const struct config *config = &birth->config;
	unsigned slots = (unsigned)(config->cpu_workers + config->io_processes);
	int close_fds[] = {birth->locks.daemon_lock, birth->locks.dir};
	struct spawner_config spawner = {.slots = slots,
	    .tasks = tasks_builtin,
	    .output_dir = birth->output_dir,
	    .cgroup = birth->cgroup,
	    .leaders_fd = birth->locks.leaders,
	    .tree_lock = birth->locks.tree_lock,
	    .close_fds = close_fds,
	    .n_close_fds = sizeof(close_fds) / sizeof(close_fds[0]),
	    .mark = birth->locks.mark,
	    .max_output = config->max_output,
	    .max_result = (size_t)config->limit_result,
	    .grace_ms = config->grace_ms,
	    .nofile_soft = birth->nofile.rlim_cur};

	birth->slots = slots_new(slots);
	if (birth->slots == NULL || leaders_reset(birth->locks.leaders, slots) < 0)
		return birth_fail(EXIT_CONFIG, "the table of workers cannot be made: %s", strerror(errno));
	spawner.shared = birth->slots;
	if (proctree_adopt() < 0 || spawner_fork(&spawner, &birth->spawner_pid, &birth->spawner_fd) < 0)
		return birth_fail(EXIT_CONFIG, "the spawner cannot be made: %s", strerror(errno));
	return 0;
}

/* ---- store ----------------------------------------------------------------------------------------------------------------- */

static const char birth_what_to_do[] = ". Start the futured that wrote it; or put a copy of it and of its -wal in its place; or move both away, "
				       "to begin with an empty store";

static int
birth_store(struct birth *birth)
{
	static const char *const synchronous[] = {"full", "normal", "off"};
	char *path = mem_format("%s/futured.db", birth->config.state_dir), *reason = NULL;
	const struct store_open_config config = {.path = path,
	    .synchronous = synchronous[birth->config.synchronous],
	    .now_ms = loop_wall_ms(),
	    .retention_ms = birth->config.retention_ms,
	    .lost_error = "{\"type\":\"Lost\",\"message\":\"it was running when the daemon or the machine ended, and may not be run again\","
			  "\"attempt\":%d}",
	    .cancelled_error = "{\"type\":\"Cancelled\",\"message\":\"cancelled\",\"attempt\":%d}",
	    .expired_error = "{\"type\":\"Expired\",\"message\":\"it had not begun when its time to expire came\"}",
	    .dependency_error = dispatch_dependency_error,
	    .backoff_ms = dispatch_backoff};
	enum store_open_result result;

	birth->loop = loop_new();
	result = store_sqlite.open(birth->loop, &config, &birth->store, &birth->opened, &reason);
	if (result != STORE_OPEN_OK) {
		birth_fail(0, "%s: %s%s", path, reason, result == STORE_OPEN_CORRUPT ? birth_what_to_do : "");
		free(reason);
		free(path);
		return result == STORE_OPEN_CORRUPT ? EXIT_CORRUPT : EXIT_STORE;
	}
	free(path);
	if (birth->opened.recovered_lost + birth->opened.recovered_again + birth->opened.recovered_cancelled > 0)
		log_notice("recovered: %lld jobs lost, %lld to be tried again, %lld cancelled", (long long)birth->opened.recovered_lost,
		    (long long)birth->opened.recovered_again, (long long)birth->opened.recovered_cancelled);
	return 0;
}

/* ---- end ------------------------------------------------------------------------------------------------------------------- */

static void
birth_tell_drainers(struct birth *birth, bool idle)
{
	struct birth_drainer *drainer;

	while ((drainer = birth->drainers) != NULL) {
		birth->drainers = drainer->next;
		drainer->drained(idle, drainer->arg);
		free(drainer);
	}
}

/* The end of the drain: whoever asked for it is told, and the loop ends behind this turn. */
static void
birth_drained(struct birth *birth, bool idle)
{
	birth_tell_drainers(birth, idle);
	loop_stop(birth->loop);
}

static void
birth_idle(void *arg)
{
	birth_drained(arg, true);
}

static void
birth_stop_cb(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	log_notice("the time to drain is over: what still runs is left to the next start");
	birth_drained(arg, false);
}

/* Those who are connected, and who comes now, may look, wait and cancel; nothing is taken and nothing is started. A second one counts by its wait. */
static void
birth_drain(struct birth *birth, const char *who, int64_t wait_ms)
{
	struct timeval tv = {.tv_sec = wait_ms / 1000, .tv_usec = (wait_ms % 1000) * 1000};

	if (wait_ms == SPEC_NONE)
		log_notice("%s: taking nothing more, waiting for what runs", who);
	else
		log_notice("%s: taking nothing more, waiting up to %g s for what runs", who, (double)wait_ms / 1000);
	if (wait_ms != SPEC_NONE)
		event_add(birth->drain_timer, &tv);
	if (birth->ending)
		return;
	birth->ending = true;
	notify_stopping();
	dispatch_drain(birth->server.dispatch, birth_idle, birth);
}

static void
birth_signal_cb(evutil_socket_t sig, short events, void *arg)
{
	struct birth *birth = arg;

	(void)events;
	if (birth->signalled) {
		loop_stop(birth->loop); /* asked twice */
		return;
	}
	birth->signalled = true;
	birth_drain(birth, sig == SIGTERM ? "SIGTERM" : "SIGINT", birth->config.drain_ms);
}

static void
birth_drain_asked(struct server *server, int64_t wait_ms, void (*drained)(bool idle, void *arg), void *arg)
{
	struct birth *birth = server->drain_arg;
	struct birth_drainer *drainer = mem_new(sizeof(*drainer));

	*drainer = (struct birth_drainer){drained, arg, birth->drainers};
	birth->drainers = drainer;
	birth_drain(birth, "drain", wait_ms);
}

/* SIGHUP: the one file that may change while the daemon lives. */
static void
birth_reload_cb(evutil_socket_t sig, short events, void *arg)
{
	struct birth *birth = arg;
	char *reason = NULL;
	unsigned closed;

	(void)sig;
	(void)events;
	if (tokens_reload(birth->tokens, &reason) < 0) {
		log_error("SIGHUP: the tokens stay as they were: %s", reason);
		free(reason);
		return;
	}
	closed = sessions_close_revoked(birth->sessions);
	log_notice("SIGHUP: %zu tokens; %u connections closed whose token is gone or has another role", tokens_count(birth->tokens), closed);
}

static void
birth_fatal(int status, void *arg)
{
	struct birth *birth = arg;

	birth->status = status;
	loop_stop(birth->loop);
}

/* ---- the parts on the loop ------------------------------------------------------------------------------------------------- */

static void
birth_job_ended(const struct store_row *row, void *arg)
{
	struct birth *birth = arg;
	int64_t retain_ms = birth->config.retention_ms;

	waiters_tell(birth->server.waiters, row);
	outfiles_news(birth->server.outfiles, row->id);
	if (row->spec.retain_ms != SPEC_NONE)
		retain_ms = row->spec.retain_ms;
	retention_note(birth->retention, row->finished_ms + retain_ms);
}

static void
birth_job_output(int64_t id, void *arg)
{
	struct birth *birth = arg;

	outfiles_news(birth->server.outfiles, id);
}

static void
birth_webhooks(void *arg)
{
	struct birth *birth = arg;

	webhooks_look(birth->server.webhooks);
}

static void
birth_webhook_settled(void *ctx, bool written, void *arg)
{
	(void)arg;
	webhook_settled(ctx, written);
}

static void
birth_webhook_done(int64_t until_ms, void *arg)
{
	struct birth *birth = arg;

	retention_note(birth->retention, until_ms);
}

static void
birth_job_changed(int64_t id, enum dispatch_change what, void *arg)
{
	struct birth *birth = arg;

	waiters_tell_change(birth->server.waiters, id, what);
}

static void
birth_room(void *arg)
{
	struct birth *birth = arg;

	sessions_resume(birth->sessions);
}

static int
birth_dispatch(struct birth *birth)
{
	const struct config *config = &birth->config;
	const struct dispatch_callbacks callbacks = {.ended = birth_job_ended,
	    .output = birth_job_output,
	    .changed = birth_job_changed,
	    .room = birth_room,
	    .webhooks = birth_webhooks,
	    .webhook_settled = birth_webhook_settled,
	    .fatal = birth_fatal,
	    .arg = birth};
	const struct dispatch_config dispatch = {.ops = &store_sqlite,
	    .store = birth->store,
	    .opened = &birth->opened,
	    .tasks = tasks_builtin,
	    .window = (size_t)config->window,
	    .cpu_workers = (unsigned)config->cpu_workers,
	    .io_threads = (unsigned)config->io_threads,
	    .io_processes = (unsigned)config->io_processes,
	    .io_waits = (unsigned)config->io_waits,
	    .max_tasks_per_worker = (uint32_t)config->max_tasks_per_worker,
	    .slots = birth->slots,
	    .spawner_fd = birth->spawner_fd,
	    .grace_ms = config->grace_ms,
	    .retention_ms = config->retention_ms,
	    .pending = config->limit_pending,
	    .pending_per_owner = config->limit_pending_per_owner,
	    .n_queues = (size_t)config->limit_queues,
	    .max_result = (size_t)config->limit_result,
	    .http_local = config->http_local,
	    .run_as_owner = config->run_as == CONFIG_RUN_AS_OWNER};
	struct server *server = &birth->server;

	server->loop = birth->loop;
	server->config = &birth->config;
	server->tasks = tasks_builtin;
	server->methods = birth_methods;
	server->spawner_pid = birth->spawner_pid;
	server->started_ms = loop_mono_ms();
	server->authenticate = token_authenticate;
	server->drain = birth_drain_asked;
	server->drain_arg = birth;
	server->token = birth->token;
	server->tokens = birth->tokens;
	server->tls = birth->tls;
	server->waiters = waiters_new();
	server->outfiles = outfiles_new(server, birth->output_dir);
	birth->sessions = sessions_new(server);
	server->dispatch = dispatch_new(birth->loop, &dispatch, &callbacks);
	if (server->dispatch == NULL)
		return birth_fail(EXIT_CONFIG, "no threads can be made");
	birth->retention = retention_new(birth->loop, server->dispatch, server->outfiles);
	server->webhooks = webhooks_new(&(struct webhooks_config){.loop = birth->loop,
	    .dispatch = server->dispatch,
	    .store_id = birth->opened.store_id,
	    .retention_ms = config->retention_ms,
	    .done = birth_webhook_done,
	    .arg = birth});
	birth->orphans = orphans_new(server->dispatch, server->outfiles, birth->output_dir, birth->opened.next_id);
	store_opened_done(&birth->opened);
	dispatch_start(server->dispatch);
	return 0;
}

static int
birth_add_listener(struct birth *birth, struct listener *listener, char *reason)
{
	if (listener == NULL) {
		birth_fail(0, "%s", reason);
		free(reason);
		return EXIT_CONFIG;
	}
	birth->listeners[birth->n_listeners++] = listener;
	return 0;
}

/* Passed sockets take the place of those that the configuration names. */
static int
birth_listen(struct birth *birth)
{
	const struct config *config = &birth->config;
	struct server *server = &birth->server;
	bool unix_passed = false, tcp_passed = false;
	struct listener *listener;
	char *reason = NULL;
	int status = 0;

	for (int i = 0; i < birth->n_passed && status == 0; i++) {
		const struct activated *passed = &birth->passed[i];

		if (!passed->is_loopback && birth->tls == NULL)
			return birth_fail(EXIT_CONFIG,
			    "a passed TCP socket is not on a loopback address: that needs TLS ([tls] certificate and key)");
		unix_passed = unix_passed || !passed->is_tcp;
		tcp_passed = tcp_passed || passed->is_tcp;
		listener = passed->is_tcp ? listener_open_tcp(server, birth->sessions, passed->fd, NULL, 0, &reason)
					  : listener_open_unix(server, birth->sessions, passed->fd, NULL, 0, &reason);
		status = birth_add_listener(birth, listener, reason);
	}
	if (status == 0 && config->unix_path != NULL && !unix_passed) {
		listener = listener_open_unix(server, birth->sessions, -1, config->unix_path, (unsigned)config->unix_mode, &reason);
		status = birth_add_listener(birth, listener, reason);
	}
	if (status == 0 && config->tcp_host != NULL && !tcp_passed) {
		listener = listener_open_tcp(server, birth->sessions, -1, config->tcp_host, (int)config->tcp_port, &reason);
		status = birth_add_listener(birth, listener, reason);
	}
	if (status == 0 && birth->n_listeners == 0)
		status = birth_fail(EXIT_CONFIG, "there is no socket to listen on: XDG_RUNTIME_DIR is not set; say --socket PATH, or [listen] unix");
	return status;
}

static void
birth_watchdog_cb(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	notify_alive();
}

static void
birth_events(struct birth *birth)
{
	static const int signals[] = {SIGTERM, SIGINT};
	struct event_base *base = loop_base(birth->loop);
	int64_t ms = notify_watchdog_ms();
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	for (size_t i = 0; i < 2; i++) {
		birth->signals[i] = evsignal_new(base, signals[i], birth_signal_cb, birth);
		event_add(birth->signals[i], NULL);
	}
	birth->signals[2] = evsignal_new(base, SIGHUP, birth_reload_cb, birth);
	event_add(birth->signals[2], NULL);
	birth->drain_timer = event_new(base, -1, 0, birth_stop_cb, birth);
	birth->watchdog = event_new(base, -1, EV_PERSIST, birth_watchdog_cb, birth);
	if (ms > 0)
		event_add(birth->watchdog, &tv);
}

/* ---- the order ------------------------------------------------------------------------------------------------------------- */

/* Who may come by TCP, and how. Behind the spawner: no process that runs jobs ever has a token or key in its memory. */
static int
birth_doors(struct birth *birth)
{
	const struct config *config = &birth->config;
	char *reason = NULL, *path;

	birth->token = token_open(birth->locks.dir);
	if (birth->token == NULL)
		return birth_fail(EXIT_CONFIG, "%s/token cannot be used: %s", config->state_dir, strerror(errno));
	path = config->tokens_file != NULL ? mem_text(config->tokens_file) : mem_format("%s/tokens", config->state_dir);
	birth->tokens = tokens_open(path, config->tokens_file == NULL, &reason);
	free(path);
	if (birth->tokens != NULL && config->tls_certificate != NULL)
		birth->tls = tls_open(config->tls_certificate, config->tls_key, config->tls_client_ca, &reason);
	if (reason == NULL)
		return 0;
	birth_fail(0, "%s", reason);
	free(reason);
	return EXIT_CONFIG;
}

static int
birth_processes(struct birth *birth)
{
	char *reason = NULL;
	const char *why;
	int status;

	birth->n_passed = activation_take(birth->passed, &why);
	if (birth->n_passed < 0)
		return birth_fail(EXIT_CONFIG, "the sockets that were passed cannot be used: %s", why);
	status = doors_check_run_as(&birth->config, tasks_builtin, &reason) < 0 ? EXIT_CONFIG : 0;
	if (status == 0)
		status = locks_take(birth->config.state_dir, &birth->locks, &reason);
	if (status != 0) {
		birth_fail(0, "%s", reason);
		free(reason);
		return status;
	}
	birth_raise_limits(birth);
	if (birth_open_output(birth) < 0 || doors_keep_private(&birth->config) < 0)
		return birth_fail(EXIT_CONFIG, "%s/output cannot be used: %s", birth->config.state_dir, strerror(errno));
	status = birth_cgroup(birth);
	if (status == 0)
		status = birth_spawner(birth);
	return status != 0 ? status : birth_doors(birth);
}

static void
birth_end(struct birth *birth)
{
	birth_tell_drainers(birth, false);
	orphans_stop(birth->orphans);
	for (size_t i = 0; i < birth->n_listeners; i++)
		listener_close(birth->listeners[i]);
	if (birth->sessions != NULL)
		sessions_free(birth->sessions);
	if (birth->store != NULL)
		store_sqlite.close(birth->store);
	if (birth->loop != NULL)
		loop_deliver(birth->loop);
	dispatch_free(birth->server.dispatch);
	if (birth->loop != NULL)
		loop_deliver(birth->loop); /* what threads posted before they ended */
	webhooks_free(birth->server.webhooks);
	retention_free(birth->retention);
	orphans_free(birth->orphans);
	if (birth->server.outfiles != NULL)
		outfiles_free(birth->server.outfiles);
	waiters_free(birth->server.waiters);
	for (size_t i = 0; i < sizeof(birth->signals) / sizeof(birth->signals[0]); i++) {
		if (birth->signals[i] != NULL)
			event_free(birth->signals[i]);
	}
	if (birth->drain_timer != NULL)
		event_free(birth->drain_timer);
	if (birth->watchdog != NULL)
		event_free(birth->watchdog);
	loop_free(birth->loop);
}

/* Everything that this process has brought into the world. */
static void
birth_end_processes(struct birth *birth)
{
	if (birth->spawner_pid > 0 && birth->server.dispatch == NULL)
		close(birth->spawner_fd);
	if (proctree_kill(NULL, 0, clock_mono_ms() + END_DEADLINE_MS, NULL, NULL) < 0)
		log_error("some processes of jobs could not be ended; the next start looks for them");
	slots_free(birth->slots);
	token_close(birth->token);
	tokens_close(birth->tokens);
	tls_close(birth->tls);
	if (birth->output_dir >= 0)
		close(birth->output_dir);
	birth_close_cgroup(birth);
	locks_close(&birth->locks);
	privacy_keep_nothing();
	config_done(&birth->config);
}

/* The log is where one learns which port a port of 0 has become. */
static void
birth_tell_places(const struct birth *birth)
{
	char place[128];

	for (size_t i = 0; i < birth->n_listeners; i++) {
		listener_place(birth->listeners[i], place, sizeof(place));
		if (place[0] != '\0')
			log_notice("listening on %s, %s", place, birth->tls != NULL ? "with TLS" : "in the clear");
	}
}

static int
birth_live(struct birth *birth)
{
	int status = birth_store(birth);

	if (status != 0)
		return status;
	status = birth_dispatch(birth);
	if (status == 0)
		status = birth_listen(birth);
	if (status != 0)
		return status;
	birth_events(birth);
	notify_ready();
	birth_tell_places(birth);
	log_notice("ready: %lld CPU workers, state in %s, socket %s", (long long)birth->config.cpu_workers, birth->config.state_dir,
	    birth->config.unix_path != NULL ? birth->config.unix_path : "none");
	if (loop_run(birth->loop) < 0)
		return birth_fail(70, "the event loop failed");
	return birth->status;
}

int
birth_run(int argc, char **argv)
{
	struct birth birth = {.locks = {-1, -1, -1, -1, ""}, .output_dir = -1, .cgroup = -1, .spawner_fd = -1};
	int status;

	log_init("futured");
	privacy_close_memory();
	mem_init();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk */
	signal(SIGHUP, SIG_IGN);
	status = birth_read_config(&birth, argc, argv);
	if (status >= 0) {
		config_done(&birth.config);
		return status;
	}
	status = birth_processes(&birth);
	if (status == 0)
		status = birth_live(&birth);
	birth_end(&birth);
	birth_end_processes(&birth);
	return status;
}
