/*
 * birth: see birth.h. This file: the parts that live on the loop, what they tell one another, and the sockets.
 */
#include <stdlib.h>

#include "daemon/birth_private.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/orphans.h"
#include "daemon/outfile.h"
#include "daemon/retention.h"
#include "daemon/token.h"
#include "daemon/waiters.h"
#include "daemon/webhook.h"

static const struct method *const birth_methods[] = {methods_submit, methods_look, methods_wait, methods_control, methods_ended, methods_queues, methods_info, NULL};

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

int
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

int
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

void
birth_tell_places(const struct birth *birth)
{
	char place[128];

	for (size_t i = 0; i < birth->n_listeners; i++) {
		listener_place(birth->listeners[i], place, sizeof(place));
		if (place[0] != '\0')
			log_notice("listening on %s, %s", place, birth->tls != NULL ? "with TLS" : "in the clear");
	}
}
