/*
 * task: see task.h.
 */
#include "daemon/task.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

const struct task *
task_find(const struct task *const *table, struct span name_string)
{
	for (; *table != NULL; table++) {
		if (jsonspan_is(name_string, (*table)->name))
			return *table;
	}
	return NULL;
}

const struct task *
task_find_name(const struct task *const *table, const char *name)
{
	for (; *table != NULL; table++) {
		if (strcmp((*table)->name, name) == 0)
			return *table;
	}
	return NULL;
}

void
task_report(const struct task_call *call, double fraction, const char *text)
{
	struct progress progress;

	if (call->report == NULL)
		return;
	progress_set(&progress, fraction, text, text != NULL ? strlen(text) : 0);
	call->report(&progress);
}

enum lane
task_lane(const struct task *task)
{
	return task->kind == TASK_FUNCTION || task->kind == TASK_COMMAND ? LANE_CPU : LANE_IO;
}

static const char *const task_type_names[] = {
    [TYPE_ANY] = "any",
    [TYPE_STRING] = "string",
    [TYPE_INTEGER] = "integer",
    [TYPE_NUMBER] = "number",
    [TYPE_BOOLEAN] = "boolean",
    [TYPE_ARRAY] = "array",
    [TYPE_OBJECT] = "object",
};

const char *
task_type_name(enum task_type type)
{
	return task_type_names[type];
}

static const char *
task_with_article(enum task_type type)
{
	static const char *const phrases[] = {
	    [TYPE_ANY] = "any value",
	    [TYPE_STRING] = "a string",
	    [TYPE_INTEGER] = "an integer",
	    [TYPE_NUMBER] = "a number",
	    [TYPE_BOOLEAN] = "a boolean",
	    [TYPE_ARRAY] = "an array",
	    [TYPE_OBJECT] = "an object",
	};
	return phrases[type];
}

static bool
task_type_fits(enum task_type wanted, enum jsonspan_type given)
{
	switch (wanted) {
	case TYPE_ANY: return true;
	case TYPE_STRING: return given == JSONSPAN_STRING;
	case TYPE_INTEGER: return given == JSONSPAN_INTEGER;
	case TYPE_NUMBER: return given == JSONSPAN_INTEGER || given == JSONSPAN_REAL;
	case TYPE_BOOLEAN: return given == JSONSPAN_TRUE || given == JSONSPAN_FALSE;
	case TYPE_ARRAY: return given == JSONSPAN_ARRAY;
	case TYPE_OBJECT: return given == JSONSPAN_OBJECT;
	}
	return false;
}

static size_t
task_count_params(const struct task *task)
{
	size_t n = 0;

	while (task->params != NULL && task->params[n].name != NULL)
		n++;
	return n;
}

/* Takes one value for params[at]: 0, or -1 with the error. null leaves an optional parameter out. */
static int
task_bind_one(
    const struct task *task, size_t at, struct span value, struct span *ret_value, struct outcome *ret_outcome)
{
	const struct task_param *param = &task->params[at];
	enum jsonspan_type given = jsonspan_type(value);

	if (given == JSONSPAN_NULL && !param->required && param->type != TYPE_ANY)
		return 0;
	if (!task_type_fits(param->type, given)) {
		outcome_set_error(ret_outcome, JOB_ERROR_BAD_ARGUMENTS, "%s: %s must be %s", task->name, param->name,
		    task_with_article(param->type));
		return -1;
	}
	*ret_value = value;
	return 0;
}

static int
task_bind_array(const struct task *task, size_t n, struct span args, struct span *values, struct outcome *ret_outcome)
{
	struct jsonspan_iter iter;
	struct span value;
	size_t i = 0;

	jsonspan_iter_init(&iter, args);
	for (; jsonspan_next(&iter, &value); i++) {
		if (i == n) {
			outcome_set_error(ret_outcome, JOB_ERROR_BAD_ARGUMENTS,
			    "%s: too many arguments, it takes %s%zu", task->name, n > 0 ? "at most " : "", n);
			return -1;
		}
		if (task_bind_one(task, i, value, &values[i], ret_outcome) < 0)
			return -1;
	}
	return 0;
}

static int
task_bind_object(const struct task *task, size_t n, struct span args, struct span *values, struct outcome *ret_outcome)
{
	struct jsonspan_iter iter;
	struct span key, value;

	jsonspan_iter_init(&iter, args);
	while (jsonspan_next_member(&iter, &key, &value)) {
		size_t i = 0;

		while (i < n && !jsonspan_is(key, task->params[i].name))
			i++;
		if (i == n) {
			outcome_set_error(ret_outcome, JOB_ERROR_BAD_ARGUMENTS, "%s: unknown parameter %.*s",
			    task->name, (int)(key.len < 100 ? key.len : 100), key.at);
			return -1;
		}
		if (task_bind_one(task, i, value, &values[i], ret_outcome) < 0)
			return -1;
	}
	return 0;
}

int
task_bind(const struct task *task, struct span args, struct span values[TASK_PARAMS_MAX], struct outcome *ret_outcome)
{
	size_t n = task_count_params(task);
	int result;

	for (size_t i = 0; i < TASK_PARAMS_MAX; i++)
		values[i] = SPAN_NONE;
	if (jsonspan_type(args) == JSONSPAN_ARRAY) {
		result = task_bind_array(task, n, args, values, ret_outcome);
	} else if (jsonspan_type(args) == JSONSPAN_OBJECT) {
		result = task_bind_object(task, n, args, values, ret_outcome);
	} else {
		outcome_set_error(
		    ret_outcome, JOB_ERROR_BAD_ARGUMENTS, "%s: args must be an array or an object", task->name);
		result = -1;
	}
	for (size_t i = 0; result == 0 && i < n; i++) {
		if (task->params[i].required && values[i].at == NULL) {
			outcome_set_error(ret_outcome, JOB_ERROR_BAD_ARGUMENTS, "%s: %s is missing", task->name,
			    task->params[i].name);
			result = -1;
		}
	}
	return result;
}

char *
task_string(struct span value, size_t *ret_len)
{
	char *text = NULL;

	assert(jsonspan_type(value) == JSONSPAN_STRING);
	if (jsonspan_string(value, &text, ret_len) < 0)
		mem_out(value.len);
	return text;
}
