/*
 * Parameters: the members of a JSON object, each a name and the text of its value.
 *
 * Values are checked when they are set, so that what is sent is always one line of valid JSON; the first thing that
 * went wrong is kept in wrong and what. Pure but for its memory.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct params_member {
	char *name;
	char *json;
};

struct fut_params {
	struct params_member *members;
	size_t n_members;
	int wrong; /* 0, or an enum fut_code */
	const char *what;
};

struct fut_params *fut_params_new(void)
{
	return calloc(1, sizeof(struct fut_params));
}

void fut_params_free(struct fut_params *params)
{
	if (params == NULL)
		return;
	for (size_t i = 0; i < params->n_members; i++) {
		free(params->members[i].name);
		free(params->members[i].json);
	}
	free(params->members);
	free(params);
}

static void params_wrong(struct fut_params *params, int code, const char *what)
{
	if (params->wrong == 0) {
		params->wrong = code;
		params->what = what;
	}
}

/* Takes value, whether it fits or not. */
static void params_set(struct fut_params *params, const char *name, struct text *value)
{
	struct params_member *members;
	char *json = text_take(value);
	char *copy;

	if (json == NULL) {
		params_wrong(params, FUT_E_MEMORY, "out of memory for a parameter");
		return;
	}
	if (!jsonspan_is_text(name, strlen(name))) {
		params_wrong(params, FUT_E_ARGUMENT, "the name of a parameter is not UTF-8");
		free(json);
		return;
	}
	for (size_t i = 0; i < params->n_members; i++) {
		if (strcmp(params->members[i].name, name) == 0) {
			free(params->members[i].json);
			params->members[i].json = json;
			return;
		}
	}
	members = reallocarray(params->members, params->n_members + 1, sizeof(*members));
	if (members != NULL)
		params->members = members;
	copy = strdup(name);
	if (members == NULL || copy == NULL) {
		free(copy);
		free(json);
		params_wrong(params, FUT_E_MEMORY, "out of memory for a parameter");
		return;
	}
	members[params->n_members++] = (struct params_member){copy, json};
}

void fut_params_string(struct fut_params *params, const char *name, const char *text)
{
	struct text value = {0};

	if (text_add_quoted(&value, text, strlen(text)) < 0) {
		params_wrong(params, FUT_E_ARGUMENT, "a string parameter is not UTF-8");
		text_done(&value);
		return;
	}
	params_set(params, name, &value);
}

void fut_params_integer(struct fut_params *params, const char *name, int64_t integer)
{
	struct text value = {0};

	text_add_format(&value, "%lld", (long long)integer);
	params_set(params, name, &value);
}

void fut_params_number(struct fut_params *params, const char *name, double number)
{
	struct text value = {0};

	if (!isfinite(number)) {
		params_wrong(params, FUT_E_ARGUMENT, "a number parameter is not finite");
		return;
	}
	text_add_number(&value, number);
	params_set(params, name, &value);
}

void fut_params_bool(struct fut_params *params, const char *name, bool truth)
{
	struct text value = {0};

	text_add_string(&value, truth ? "true" : "false");
	params_set(params, name, &value);
}

void fut_params_json(struct fut_params *params, const char *name, const char *json, size_t len)
{
	struct text value = {0};
	struct span span = {json, len == SIZE_MAX ? strlen(json) : len};

	if (jsonspan_validate(span, &span, NULL) < 0) {
		params_wrong(params, FUT_E_ARGUMENT, "a JSON parameter is not JSON");
		return;
	}
	text_add(&value, span.at, span.len);
	/* Inside JSON a line end can only be white space between values; on the wire it would end the message. */
	for (size_t i = 0; !value.failed && i < value.len; i++)
		if (value.at[i] == '\n' || value.at[i] == '\r')
			value.at[i] = ' ';
	params_set(params, name, &value);
}

void fut_params_ranges(struct fut_params *params, const struct fut_range *ranges, size_t n_ranges)
{
	struct text ids = {0};

	text_add(&ids, "[", 1);
	for (size_t i = 0; i < n_ranges; i++) {
		if (i > 0)
			text_add(&ids, ",", 1);
		if (ranges[i].first == ranges[i].last)
			text_add_format(&ids, "%lld", (long long)ranges[i].first);
		else
			text_add_format(&ids, "\"%lld-%lld\"", (long long)ranges[i].first, (long long)ranges[i].last);
	}
	text_add(&ids, "]", 1);
	params_set(params, "ids", &ids);
}

int params_check(const struct fut_params *params, const char **ret_what)
{
	if (params == NULL || params->wrong == 0)
		return 0;
	*ret_what = params->what;
	return params->wrong;
}

void params_write(const struct fut_params *params, struct text *out)
{
	text_add(out, "{", 1);
	for (size_t i = 0; params != NULL && i < params->n_members; i++) {
		if (i > 0)
			text_add(out, ",", 1);
		(void)text_add_quoted(out, params->members[i].name, strlen(params->members[i].name));
		text_add(out, ":", 1);
		text_add_string(out, params->members[i].json);
	}
	text_add(out, "}", 1);
}

struct fut_params *params_copy(const struct fut_params *params)
{
	struct fut_params *copy = fut_params_new();
	struct text value = {0};

	if (copy == NULL || params == NULL)
		return copy;
	params_wrong(copy, params->wrong, params->what);
	for (size_t i = 0; i < params->n_members; i++) {
		text_add_string(&value, params->members[i].json);
		params_set(copy, params->members[i].name, &value);
	}
	return copy;
}
