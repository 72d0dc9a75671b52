/*
 * From words on a command line to the args of a job. What cannot be sent (bytes that are no UTF-8) ends futurectl
 * before anything is submitted; variables of the environment that cannot are left out, with a word.
 */
#include "args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "value.h"

#define ARGS_INPUT_MAX (16u << 20)
#define ARGS_READ      65536

extern char **environ;

void args_write_string(struct text *out, const char *string, const char *what)
{
	if (text_add_quoted(out, string, strlen(string)) < 0)
		ctl_die(CTL_REFUSED, "%s is not valid UTF-8, so it cannot be sent: %s", what, string);
}

void args_task_done(struct args_task *task)
{
	free(task->reply);
	*task = (struct args_task){0};
}

static void args_ask(struct args_task *task)
{
	struct span tasks, one;
	struct jsonspan_iter iter;

	task->reply = ctl_call("tasks", ctl_params());
	tasks = ctl_span(task->reply);
	if (jsonspan_type(tasks) != JSONSPAN_ARRAY)
		return;
	jsonspan_iter_init(&iter, tasks);
	while (jsonspan_next(&iter, &one))
		if (ctl_member_is(one, "task", task->name) && ctl_member(one, "params", &task->params))
			break;
	if (task->params.at != NULL && jsonspan_type(task->params) != JSONSPAN_ARRAY)
		task->params = SPAN_NONE;
}

static bool args_is_string(struct args_task *task, size_t index)
{
	struct jsonspan_iter iter;
	struct span param;

	if (task->reply == NULL)
		args_ask(task);
	if (task->params.at == NULL)
		return false;
	jsonspan_iter_init(&iter, task->params);
	for (size_t i = 0; jsonspan_next(&iter, &param); i++)
		if (i == index)
			return ctl_member_is(param, "type", "string");
	return false;
}

void args_write_word(struct text *out, struct args_task *task, size_t index, const char *word)
{
	if (value_is_json(word) && !args_is_string(task, index))
		text_add_string(out, word);
	else
		args_write_string(out, word, "an argument");
}

void args_write_words(struct text *out, const char *name, char **words, size_t count)
{
	struct args_task task = {.name = name};

	text_add(out, "[", 1);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			text_add(out, ",", 1);
		args_write_word(out, &task, i, words[i]);
	}
	text_add(out, "]", 1);
	args_task_done(&task);
}

void args_write_exec(struct text *out, char *const *argv, const struct text *tail)
{
	text_add_string(out, "{\"argv\":[");
	for (size_t i = 0; argv[i] != NULL; i++) {
		if (i > 0)
			text_add(out, ",", 1);
		args_write_string(out, argv[i], "an argument of the command");
	}
	text_add(out, "]", 1);
	text_add(out, text_string(tail), tail->len);
	text_add(out, "}", 1);
}

/*
 * Whether a variable with this name (len bytes) stands before at in the environment: then getenv would not see this
 * one.
 */
static bool args_is_repeated(char **at, size_t len)
{
	for (char **earlier = environ; earlier != at; earlier++)
		if (strncmp(*earlier, *at, len + 1) == 0)
			return true;
	return false;
}

static void args_write_environment(struct text *tail)
{
	bool first = true;

	text_add_string(tail, ",\"env\":{");
	for (char **at = environ; at != NULL && *at != NULL; at++) {
		const char *equals = strchr(*at, '=');
		size_t len = equals != NULL ? (size_t)(equals - *at) : 0;

		if (len == 0 || args_is_repeated(at, len))
			continue;
		if (!jsonspan_is_text(*at, strlen(*at))) {
			ctl_say("the variable %.*s is left out of the command's environment: it is not valid UTF-8",
			    (int)len, *at);
			continue;
		}
		if (!first)
			text_add(tail, ",", 1);
		first = false;
		(void)text_add_quoted(tail, *at, len);
		text_add(tail, ":", 1);
		(void)text_add_quoted(tail, equals + 1, strlen(equals + 1));
	}
	text_add(tail, "}", 1);
}

void args_write_exec_tail(struct text *tail, const struct args_exec *exec)
{
	char *folder = getcwd(NULL, 0);
	mode_t mask = umask(0);

	umask(mask);
	if (folder == NULL)
		ctl_die(CTL_REFUSED, "cannot tell the working directory: %s", strerror(errno));
	text_add_string(tail, ",\"cwd\":");
	args_write_string(tail, folder, "the working directory");
	free(folder);
	text_add_format(tail, ",\"umask\":%u", (unsigned)mask);
	if (fut_is_local(ctl.client) && !exec->no_env)
		args_write_environment(tail);
	if (exec->input == NULL)
		return;
	text_add_string(tail, ",\"stdin\":");
	if (text_add_quoted(tail, exec->input, exec->input_len) == 0)
		return;
	text_add(tail, "\"", 1);
	text_add_base64(tail, exec->input, exec->input_len);
	text_add_string(tail, "\",\"stdin_encoding\":\"base64\"");
}

void args_read_input(struct text *out)
{
	char *at;
	ssize_t n;

	for (;;) {
		at = text_reserve(out, ARGS_READ);
		if (at == NULL)
			ctl_die_memory();
		n = read(STDIN_FILENO, at, ARGS_READ);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ctl_die(CTL_REFUSED, "cannot read standard input: %s", strerror(errno));
		if (n == 0)
			break;
		out->len += (size_t)n;
		if (out->len > ARGS_INPUT_MAX)
			ctl_die(CTL_REFUSED,
			    "standard input is over 16 MiB, the largest message: let the command read a file");
	}
	out->at[out->len] = '\0';
}
