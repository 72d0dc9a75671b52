/*
 * exec: a command, as its args describe it. What becomes of it is supervise's; here words are only read and checked.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/base64.h"
#include "daemon/command.h"
#include "daemon/mem.h"
#include "tasks.h"

enum { PARAM_ARGV, PARAM_CWD, PARAM_ENV, PARAM_STDIN, PARAM_STDIN_ENCODING, PARAM_UMASK };

static const struct task_param exec_params[] = {
    [PARAM_ARGV] = {"argv", TYPE_ARRAY, true, "the program, looked for in the PATH of env, and its arguments"},
    [PARAM_CWD] = {"cwd", TYPE_STRING, false, "the folder it starts in; / unless given"},
    [PARAM_ENV] = {"env", TYPE_OBJECT, false, "names and values, over a clean base"},
    [PARAM_STDIN] = {"stdin", TYPE_STRING, false, "its standard input; empty unless given"},
    [PARAM_STDIN_ENCODING] = {"stdin_encoding", TYPE_STRING, false, "utf-8 or base64"},
    [PARAM_UMASK] = {"umask", TYPE_ANY, false, "a number, or octal digits in a string; \"022\" unless given"},
    {NULL, TYPE_ANY, false, NULL},
};

static int
exec_bad(struct outcome *outcome, const char *what)
{
	outcome_set_error(outcome, JOB_ERROR_BAD_ARGUMENTS, "exec: %s", what);
	return -1;
}

static int
exec_read_argv(struct span array, struct command *command, struct outcome *ret_outcome)
{
	struct jsonspan_iter iter;
	struct span value;
	size_t n = 0;

	command->argv = mem_new_array(jsonspan_length(array) + 1, sizeof(*command->argv));
	jsonspan_iter_init(&iter, array);
	while (jsonspan_next(&iter, &value)) {
		if (jsonspan_type(value) != JSONSPAN_STRING)
			return exec_bad(ret_outcome, "argv must hold strings alone");
		command->argv[n++] = task_string(value, NULL);
	}
	if (n == 0 || command->argv[0][0] == '\0')
		return exec_bad(ret_outcome, "argv must begin with a program");
	return 0;
}

static int
exec_read_env(struct span object, struct command *command, struct outcome *ret_outcome)
{
	struct jsonspan_iter iter;
	struct span key, value;
	size_t n = 0;

	command->env = mem_new_array(jsonspan_length(object) + 1, sizeof(*command->env));
	jsonspan_iter_init(&iter, object);
	while (jsonspan_next_member(&iter, &key, &value)) {
		char *name, *text;
		bool fits;

		if (jsonspan_type(value) != JSONSPAN_STRING)
			return exec_bad(ret_outcome, "env must hold strings alone");
		text = task_string(value, NULL);
		name = task_string(key, NULL);
		fits = name[0] != '\0' && strchr(name, '=') == NULL;
		command->env[n++] = mem_format("%s=%s", name, text);
		free(text);
		free(name);
		if (!fits)
			return exec_bad(ret_outcome, "env has a name that is empty, or with \"=\" in it");
	}
	return 0;
}

static int
exec_read_stdin(struct span value, struct span encoding, struct command *command, struct outcome *ret_outcome)
{
	bool base64 = encoding.at != NULL && jsonspan_is(encoding, "base64");
	char *text;
	size_t len;
	int result;

	if (encoding.at != NULL && !base64 && !jsonspan_is(encoding, "utf-8"))
		return exec_bad(ret_outcome, "stdin_encoding must be \"utf-8\" or \"base64\"");
	if (value.at == NULL)
		return 0;
	text = task_string(value, &len);
	if (!base64) {
		command->stdin_data = text;
		command->stdin_len = len;
		return 0;
	}
	result = base64_decode(text, len, &command->stdin_data, &command->stdin_len);
	free(text);
	return result < 0 ? exec_bad(ret_outcome, "stdin is not base64") : 0;
}

static int
exec_read_umask(struct span value, struct command *command, struct outcome *ret_outcome)
{
	char digits[8], *end = digits;
	int64_t mask = -1;

	if (value.at == NULL || jsonspan_type(value) == JSONSPAN_NULL)
		return 0;
	if (jsonspan_string_copy(value, digits, sizeof(digits)) == 0) {
		mask = strtol(digits, &end, 8);
		if (end == digits || *end != '\0')
			mask = -1;
	} else if (jsonspan_integer(value, &mask) < 0) {
		mask = -1;
	}
	if (mask < 0 || mask > 0777)
		return exec_bad(ret_outcome, "umask must be a number from 0 to 511, or a string of octal digits");
	command->umask = (mode_t)mask;
	return 0;
}

static int
exec_command(const struct task_call *call, struct command *ret_command, struct outcome *ret_outcome)
{
	struct span values[TASK_PARAMS_MAX];

	if (task_bind(&task_exec, call->args, values, ret_outcome) < 0 ||
	    exec_read_argv(values[PARAM_ARGV], ret_command, ret_outcome) < 0 ||
	    (values[PARAM_ENV].at != NULL && exec_read_env(values[PARAM_ENV], ret_command, ret_outcome) < 0) ||
	    exec_read_stdin(values[PARAM_STDIN], values[PARAM_STDIN_ENCODING], ret_command, ret_outcome) < 0 ||
	    exec_read_umask(values[PARAM_UMASK], ret_command, ret_outcome) < 0)
		return -1;
	if (values[PARAM_CWD].at != NULL)
		ret_command->cwd = task_string(values[PARAM_CWD], NULL);
	return 0;
}

const struct task task_exec = {
    .name = "exec",
    .doc = "a command: its exit status and its output",
    .kind = TASK_COMMAND,
    .privileged = true,
    .params = exec_params,
    .command = exec_command,
};
