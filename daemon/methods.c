/*
 * methods: see methods.h.
 */
#include "daemon/methods.h"

#include <stdlib.h>

#include "daemon/config.h"
#include "daemon/mem.h"
#include "daemon/runas.h"
#include "daemon/server.h"
#include "daemon/task.h"

bool
methods_read_selection(struct request *request, struct span id, struct span ids, struct span filter, struct selection *ret_selection)
{
	uint64_t max = (uint64_t)request->server->config->limit_selection;
	const char *param, *what;
	int error = selection_read(id, ids, filter, max, ret_selection, &param, &what);

	if (error == 0)
		return true;
	if (error == RPC_TOO_LARGE)
		request_fail(request, error, "%s", what);
	else
		request_fail_param(request, param, "%s", what);
	return false;
}

int
methods_verdict_code(enum store_verdict verdict)
{
	switch (verdict) {
	case STORE_COMMITTED: return 0;
	case STORE_FULL: return RPC_STORAGE_FULL;
	case STORE_UNAVAILABLE: return RPC_BUSY;
	case STORE_UNKNOWN: return RPC_OUTCOME_UNKNOWN;
	}
	return RPC_INTERNAL;
}

char *
methods_why_forbidden(const struct request *request, const char *owner, const struct task *task, struct span args)
{
	const struct config *config = request->server->config;
	const char *why;

	if (config->run_as == CONFIG_RUN_AS_OWNER && task->kind == TASK_COMMAND && runas_owner(owner) == RUNAS_NOBODY)
		return mem_format("%s: here a command runs as the Unix user who submits it ([exec] run_as = owner), and %s is none: "
				  "submit it by the Unix socket", task->name, owner);
	if (request->peer->role == ROLE_OPERATOR)
		return NULL;
	if (task->privileged && !config_user_task(config, task->name))
		return mem_format("the role user may not run %s, unless [tasks] user names it", task->name);
	why = task->check_user != NULL ? task->check_user(args, config->http_local) : NULL;
	return why != NULL ? mem_format("%s: %s", task->name, why) : NULL;
}

bool
methods_read_fields(struct request *request, struct span fields, render_fields *ret_fields)
{
	const char *what;

	if (fields.len == 0 || render_read_fields(fields, ret_fields, &what) == 0)
		return true;
	request_fail_param(request, "fields", "%s", what);
	return false;
}
