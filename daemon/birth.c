/*
 * birth: see birth.h. This file: the order, and what the spawner inherits.
 *
 * The order is the design: arguments, config, log, locks; then, while there is one thread and no database, the spawner; then store (with recovery), loop,
 * threads and workers, listeners; and only then it says that it is ready. Each step names the exit status of its failure. The end goes the other way: no
 * more clients, the store (what was begun is finished), the workers and all that descends from them, the locks.
 */
#include "daemon/birth.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/allocators.h"
#include "daemon/birth_private.h"
#include "daemon/cgroup.h"
#include "daemon/clock.h"
#include "daemon/doors.h"
#include "daemon/leaders.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/mem.h"
#include "daemon/notify.h"
#include "daemon/orphans.h"
#include "daemon/outfile.h"
#include "daemon/privacy.h"
#include "daemon/proctree.h"
#include "daemon/retention.h"
#include "daemon/spawner.h"
#include "daemon/tls.h"
#include "daemon/token.h"
#include "daemon/tokens.h"
#include "daemon/waiters.h"
#include "daemon/webhook.h"

#define END_DEADLINE_MS 30000
#define NOFILE_MIN	64 /* descriptors: fewer would fail somewhere on the way */
#define CGROUP_LOCK_MS 1000 /* a killed daemon may have its lock a moment longer */

int
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

/* ---- what the spawner inherits --------------------------------------------------------------------------------------------- */

static int
birth_raise_limits(struct birth *birth)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &birth->nofile) < 0)
		return 0;
	limit = birth->nofile;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		limit = birth->nofile;
	if (limit.rlim_cur < NOFILE_MIN)
		return birth_fail(EXIT_CONFIG, "no more than %llu descriptors may be open here (ulimit -n), and it takes %d to begin",
		    (unsigned long long)limit.rlim_cur, NOFILE_MIN);
	/* a connection each, and some for workers, files and transfers */
	if (limit.rlim_cur != RLIM_INFINITY && birth->config.limit_connections > (int64_t)(limit.rlim_cur / 2)) {
		birth->config.limit_connections = (int64_t)(limit.rlim_cur / 2);
		log_notice("[limits] connections is %lld here: half of the descriptors that may be open",
		    (long long)birth->config.limit_connections);
	}
	return 0;
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

static const char birth_what_to_do[] = ". Whoever puts a copy in its place removes all futured.db* first; without any the store begins empty";

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

/* ---- the order ------------------------------------------------------------------------------------------------------------- */

/* Who may come by TCP, and how. Behind the spawner: no process that runs jobs ever has a token or key in its memory. */
static int
birth_doors(struct birth *birth)
{
	const struct config *config = &birth->config;
	char *reason = NULL, *path;

	birth->token = token_open(birth->locks.dir);
	if (birth->token == NULL)
		return birth_fail(EXIT_CONFIG, "%s/token cannot be used: %s", config->state_dir,
		    errno == EPERM ? "it is another's, or others may write it; delete it, and a new one is made" : strerror(errno));
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
	status = doors_check_tasks(&birth->config, tasks_builtin, &reason) < 0 ? EXIT_CONFIG : 0;
	if (status == 0)
		status = locks_take(birth->config.state_dir, &birth->locks, &reason);
	if (status != 0) {
		birth_fail(0, "%s", reason);
		free(reason);
		return status;
	}
	status = birth_raise_limits(birth);
	if (status != 0)
		return status;
	if (birth_open_output(birth) < 0 || doors_keep_private(&birth->config) < 0)
		return birth_fail(EXIT_CONFIG, "%s/output cannot be used: %s", birth->config.state_dir, strerror(errno));
	status = birth_cgroup(birth);
	if (status == 0)
		status = birth_spawner(birth);
	return status != 0 ? status : birth_doors(birth);
}

/* It has ended: to be asked to once more may not kill it, and leave to the next start what it still has to do. */
static void
birth_hear_no_more(void)
{
	sigset_t asked;

	sigemptyset(&asked);
	sigaddset(&asked, SIGTERM);
	sigaddset(&asked, SIGINT);
	pthread_sigmask(SIG_BLOCK, &asked, NULL);
}

static void
birth_end(struct birth *birth)
{
	birth_hear_no_more();
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

/* A spawner that was the first to end is the reason: how it ended is told. */
static void
birth_reaped(pid_t pid, int status, const struct rusage *usage, void *arg)
{
	const struct birth *birth = arg;

	(void)usage;
	if (pid != birth->spawner_pid || birth->status != EXIT_SPAWNER)
		return;
	if (WIFSIGNALED(status))
		log_error("the spawner ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_error("the spawner ended with status %d", WEXITSTATUS(status));
}

/* Everything that this process has brought into the world. */
static void
birth_end_processes(struct birth *birth)
{
	if (birth->spawner_pid > 0 && birth->server.dispatch == NULL)
		close(birth->spawner_fd);
	(void)proctree_empty(NULL, 0, birth_reaped, birth);
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
		return birth_fail(EXIT_LOOP, "the event loop failed");
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
	allocators_lend();
	(void)getpwuid(0); /* glibc takes its table of name services now: the first that has no memory for it crashes, it does not fail */
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
