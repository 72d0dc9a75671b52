/*
 * net: net.resolve. getaddrinfo() blocks, so it runs in an I/O thread; what it is asked and how is the machine's own
 * configuration (nsswitch, resolv.conf).
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/text.h"
#include "tasks.h"

#define NAME_MAX_LEN 255 /* longer ones are no names; the resolver's stack use grows with them */

static const struct task_param resolve_params[] = {
    {"name", TYPE_STRING, true, "a host name, or an address"},
    {NULL, TYPE_ANY, false, NULL},
};

/* Adds the address unless it stands among the quoted ones in text already. */
static void
resolve_add(struct text *text, const struct addrinfo *address)
{
	char host[NI_MAXHOST], quoted[NI_MAXHOST + 3];
	int len;

	if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
		return;
	len = snprintf(quoted, sizeof(quoted), "\"%s\"", host);
	if (text->len > 1 && memmem(text->at, text->len, quoted, (size_t)len) != NULL)
		return;
	if (text->len > 1)
		text_add_char(text, ',');
	text_add(text, quoted, (size_t)len);
}

static void
resolve_name(const char *name, struct outcome *ret_outcome)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *addresses;
	struct text text = {0};
	size_t len;
	char *json;
	int r = getaddrinfo(name, NULL, &hints, &addresses);

	if (r != 0) {
		outcome_set_error(ret_outcome, JOB_ERROR_TASK_ERROR, "cannot resolve %s: %s", name,
		    r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
		return;
	}
	text_add_char(&text, '[');
	for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next)
		resolve_add(&text, at);
	text_add_char(&text, ']');
	freeaddrinfo(addresses);
	json = text_steal(&text, &len);
	outcome_take_result(ret_outcome, json, len);
}

static void
resolve_run(const struct task_call *call, struct outcome *ret_outcome)
{
	struct span values[TASK_PARAMS_MAX];
	char name[NAME_MAX_LEN + 1];

	if (task_bind(&task_net_resolve, call->args, values, ret_outcome) < 0)
		return;
	if (jsonspan_string_copy(values[0], name, sizeof(name)) < 0 || name[0] == '\0') {
		outcome_set_error(
		    ret_outcome, JOB_ERROR_BAD_ARGUMENTS, "net.resolve: name must have 1 to %d bytes", NAME_MAX_LEN);
		return;
	}
	resolve_name(name, ret_outcome);
}

const struct task task_net_resolve = {
    .name = "net.resolve",
    .doc = "looks a host name up; returns its addresses",
    .kind = TASK_BLOCKING,
    .idempotent = true,
    .params = resolve_params,
    .run = resolve_run,
};
