/*
 * methods_limits: the parameter `limits` of submit, map and run.
 */
#include "daemon/methods.h"
#include "daemon/task.h"

static const struct {
	const char *name;
	size_t offset;
	int64_t max;
} limits_members[] = {
    {"memory_mib", offsetof(struct spec_limits, memory_mib), (int64_t)1 << 32},
    {"cpu_s", offsetof(struct spec_limits, cpu_s), 1000000000},
    {"files", offsetof(struct spec_limits, files), 1 << 20},
};
#define LIMITS_MEMBERS (sizeof(limits_members) / sizeof(limits_members[0]))

static bool
limits_read_member(struct request *request, struct span name, struct span value, struct spec_limits *limits)
{
	int64_t number;

	for (size_t i = 0; i < LIMITS_MEMBERS; i++) {
		if (!jsonspan_is(name, limits_members[i].name))
			continue;
		if (jsonspan_type(value) == JSONSPAN_NULL)
			return true;
		if (jsonspan_integer(value, &number) < 0 || number < 1 || number > limits_members[i].max) {
			request_fail_param(request, "limits", "limits: %s must be an integer from 1 to %lld",
			    limits_members[i].name, (long long)limits_members[i].max);
			return false;
		}
		*(int64_t *)((char *)limits + limits_members[i].offset) = number;
		return true;
	}
	request_fail_param(request, "limits", "limits has memory_mib, cpu_s and files, and nothing else");
	return false;
}

bool
methods_read_limits(
    struct request *request, struct span raw, const struct task *task, struct spec_limits *ret_limits)
{
	struct spec_limits limits = {0};
	struct jsonspan_iter iter;
	struct span name, value;

	if (raw.len > 0 && task->kind != TASK_COMMAND) {
		request_fail_param(request, "limits", "%s is no command: only those can be limited", task->name);
		return false;
	}
	if (raw.len > 0 && jsonspan_type(raw) != JSONSPAN_OBJECT) {
		request_fail_param(
		    request, "limits", "limits must be an object, as {\"memory_mib\":512,\"cpu_s\":60}");
		return false;
	}
	if (raw.len > 0)
		jsonspan_iter_init(&iter, raw);
	while (raw.len > 0 && jsonspan_next_member(&iter, &name, &value)) {
		if (!limits_read_member(request, name, value, &limits))
			return false;
	}
	*ret_limits = limits;
	return true;
}
