/*
 * request: see request.h. This file: a method's parameters, read by its table; what does not fit is refused by its name.
 */
#include <stdio.h>

#include "daemon/request.h"
#include "proto/datetime.h"

static bool
param_read_text(struct request *request, const struct param *param, struct span value, char *out)
{
	int error = jsonspan_string_copy(value, out, param->size);

	if (error == -2)
		request_fail_param(request, param->name, "%s is longer than %zu bytes", param->name, param->size - 1);
	else if (error < 0)
		request_fail_param(request, param->name, "%s must be a string", param->name);
	else if (out[0] == '\0')
		request_fail_param(request, param->name, "%s must not be empty", param->name);
	else
		return true;
	return false;
}

static bool
param_read_integer(struct request *request, const struct param *param, struct span value, int64_t *out)
{
	if (jsonspan_integer(value, out) < 0) {
		request_fail_param(request, param->name, "%s must be an integer", param->name);
		return false;
	}
	if (*out < param->min || *out > param->max) {
		request_fail_param(request, param->name, "%s must be from %lld to %lld", param->name, (long long)param->min,
		    (long long)param->max);
		return false;
	}
	return true;
}

static bool
param_read_duration(struct request *request, const struct param *param, struct span value, int64_t *out)
{
	double seconds;

	if (jsonspan_number(value, &seconds) < 0) {
		request_fail_param(request, param->name, "%s must be a number of seconds", param->name);
		return false;
	}
	if (seconds < 0 || seconds > 1e10) {
		request_fail_param(request, param->name, "%s must be from 0 to 1e10 seconds", param->name);
		return false;
	}
	*out = (int64_t)(seconds * 1000);
	if (seconds > 0 && *out == 0)
		*out = 1;
	return true;
}

static bool
param_read_time(struct request *request, const struct param *param, struct span value, int64_t *out)
{
	char text[64];

	if (jsonspan_string_copy(value, text, sizeof(text)) == 0 && datetime_read(text, out) == 0)
		return true;
	request_fail_param(request, param->name, "%s must be a time like \"2026-11-21T02:30:00.123Z\", from 1970 on", param->name);
	return false;
}

static bool
param_read(struct request *request, const struct param *param, struct span value, void *out)
{
	switch (param->kind) {
	case PARAM_TEXT:
		return param_read_text(request, param, value, out);
	case PARAM_SPAN:
		*(struct span *)out = value;
		return true;
	case PARAM_INTEGER:
		return param_read_integer(request, param, value, out);
	case PARAM_DURATION:
		return param_read_duration(request, param, value, out);
	case PARAM_BOOL:
		if (jsonspan_bool(value, out) == 0)
			return true;
		request_fail_param(request, param->name, "%s must be true or false", param->name);
		return false;
	case PARAM_TIME:
		return param_read_time(request, param, value, out);
	}
	return false;
}

bool
request_params(struct request *request, struct span params, const struct param *table, void *out)
{
	struct jsonspan_iter iter;
	struct span key, value;
	const struct param *param;
	char name[64];

	if (params.len == 0)
		return true;
	jsonspan_iter_init(&iter, params);
	while (jsonspan_next_member(&iter, &key, &value)) {
		for (param = table; param->name != NULL && !jsonspan_is(key, param->name); param++)
			;
		if (param->name == NULL) {
			if (jsonspan_string_copy(key, name, sizeof(name)) < 0)
				snprintf(name, sizeof(name), "%s", "?");
			request_fail_param(request, name, "this version has no parameter %s here", name);
			return false;
		}
		if (jsonspan_type(value) != JSONSPAN_NULL && !param_read(request, param, value, (char *)out + param->offset))
			return false;
	}
	return true;
}
