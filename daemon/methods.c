/*
 * methods: see methods.h.
 */
#include "daemon/methods.h"

#include "daemon/config.h"
#include "daemon/server.h"

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

bool
methods_read_fields(struct request *request, struct span fields, render_fields *ret_fields)
{
	const char *what;

	if (fields.len == 0 || render_read_fields(fields, ret_fields, &what) == 0)
		return true;
	request_fail_param(request, "fields", "%s", what);
	return false;
}
