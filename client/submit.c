/*
 * The commands submit and run: one job, handed over, or seen through to its end.
 */
#include "submit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job_options.h"
#include "options.h"
#include "show.h"
#include "stream.h"
#include "wait.h"

static bool submit_takes_input;
static bool run_no_input;
static struct option_duration run_wait;

static const struct option_spec submit_options[] = {
    {"stdin", 0, OPTION_FLAG, &submit_takes_input, NULL, "send standard input along, for a command"},
    {0},
};

static const struct option_spec run_options[] = {
    {"no-stdin", 'n', OPTION_FLAG, &run_no_input, NULL, "do not read standard input for a command"},
    {"wait", 'w', OPTION_DURATION, &run_wait, "TIME", "leave the job alone after TIME, with status 124"},
    {0},
};

/* The args of the one job, as JSON. */
static void submit_write_args(const struct operands *operands, bool takes_input, struct text *out)
{
	struct args_exec exec = {.no_env = job_options.no_env};
	struct text input = {0}, tail = {0};

	if (operands->command != NULL) {
		if (takes_input) {
			args_read_input(&input);
			exec.input = text_string(&input);
			exec.input_len = input.len;
		}
		args_write_exec_tail(&tail, &exec);
		ctl_text(&tail);
		args_write_exec(out, operands->command, &tail);
	} else if (job_options.args != NULL) {
		text_add_string(out, job_options.args);
	} else {
		args_write_words(out, operands->at[0], operands->at + 1, operands->count - 1);
	}
	text_done(&input);
	text_done(&tail);
	ctl_text(out);
}

/* The parameters of submit. */
static struct fut_params *submit_params(const struct operands *operands, bool takes_input)
{
	struct fut_params *params = job_options_params();
	struct text args = {0};

	fut_params_string(params, "task", job_options_task(operands));
	if (job_options.key != NULL)
		fut_params_string(params, "key", job_options.key);
	submit_write_args(operands, takes_input, &args);
	fut_params_json(params, "args", text_string(&args), args.len);
	text_done(&args);
	return params;
}

static int64_t submit_read_id(const char *result)
{
	int64_t id = ctl_member_integer(ctl_span(result), "id", 0);

	if (id <= 0)
		ctl_die(CTL_REFUSED, "the daemon's answer to submit is not of the form it should have");
	return id;
}

static int submit_main(struct operands *operands)
{
	char *result;
	struct span existing;
	bool known = false;

	job_options_check(operands, true);
	if (submit_takes_input && operands->command == NULL)
		ctl_die_usage("--stdin is for a command");
	ctl_connect();
	result = ctl_call("submit", submit_params(operands, submit_takes_input));
	if (ctl.json)
		printf("%s\n", result);
	else
		printf("%lld\n", (long long)submit_read_id(result));
	if (ctl_member(ctl_span(result), "existing", &existing))
		(void)jsonspan_bool(existing, &known);
	if (known && !ctl.json && isatty(STDOUT_FILENO))
		ctl_say("the key '%s' is known: this is the job that was submitted with it", job_options.key);
	free(result);
	return ctl_finish_output(CTL_DONE);
}

static int run_signal_status(struct span error)
{
	char *name = ctl_member_string(error, "signal");
	int status = CTL_JOB_FAILED;

	for (int number = 1; name != NULL && number < NSIG; number++) {
		const char *word = sigabbrev_np(number);

		if (word != NULL && strncmp(name, "SIG", 3) == 0 && strcmp(name + 3, word) == 0)
			status = 128 + number;
	}
	free(name);
	return status;
}

/* A command that could not be started: its errno says whether it was found. */
static int run_start_status(struct span error)
{
	struct span data;

	if (!ctl_member(error, "data", &data))
		return CTL_JOB_FAILED;
	if (ctl_member_is(data, "errno", "ENOENT"))
		return CTL_NOT_FOUND;
	return ctl_member(data, "errno", &data) ? CTL_NOT_RUNNABLE : CTL_JOB_FAILED;
}

/* The status of run for a command that did not succeed: the command's own, where it had one. */
static int run_command_status(struct span job)
{
	struct span error;
	int64_t status;

	if (!ctl_member(job, "error", &error))
		return CTL_JOB_FAILED;
	if (ctl_member_is(error, "type", "ExitStatus")) {
		status = ctl_member_integer(error, "exit_status", CTL_JOB_FAILED);
		return status > 0 && status < 256 ? (int)status : CTL_JOB_FAILED;
	}
	if (ctl_member_is(error, "type", "Signal"))
		return run_signal_status(error);
	if (ctl_member_is(error, "type", "TaskError"))
		return run_start_status(error);
	return CTL_JOB_FAILED;
}

/* What the shell would have seen, had the job been its own child that we stopped with it. */
static int run_stopped_status(const struct stream *stream)
{
	if (wait_signal() != 0)
		return 128 + wait_signal();
	return stream->broken_out ? 128 + SIGPIPE : CTL_JOB_FAILED;
}

/*
 * The daemon keeps the first bytes of each stream alone, and none when it has no room for them: to print half an output and call it done would
 * be a lie. What its result has is printed where nothing else was kept.
 */
static bool run_lacks_output(const struct stream *stream, struct span job)
{
	struct span result;
	bool lacks = false;

	if (!ctl_member(job, "result", &result) || jsonspan_type(result) != JSONSPAN_OBJECT)
		return false;
	for (int i = FUT_STDOUT; i <= FUT_STDERR; i++) {
		int64_t passed = stream->passed[i];
		size_t len = 0;
		char *head = show_read_stream(result, (enum fut_stream)i, &len);

		if (head != NULL && (int64_t)len > passed) {
			fwrite(head + passed, 1, len - (size_t)passed, i == FUT_STDOUT ? stdout : stderr);
			passed = (int64_t)len;
		}
		free(head);
		lacks = show_say_lack("the command", result, (enum fut_stream)i, passed) || lacks;
	}
	return lacks;
}

static int run_finish(const struct operands *operands, const struct stream *stream)
{
	struct span job = ctl_span(stream->job), result;
	bool succeeded = ctl_member_is(job, "state", "succeeded");
	bool command = operands->command != NULL;
	int status = stream->broken_out ? 128 + SIGPIPE : CTL_DONE; /* it may have ended before it could be cancelled */

	if (!succeeded)
		status = ctl_member_is(job, "state", "cancelled") ? run_stopped_status(stream)
		    : command					  ? run_command_status(job)
								  : CTL_JOB_FAILED;
	if (succeeded && command && !ctl.json && status == CTL_DONE && run_lacks_output(stream, job))
		status = CTL_OWN_FAULT;
	if (ctl.json)
		printf("%s\n", stream->job);
	else if (succeeded && !command && ctl_member(job, "result", &result))
		ctl_print_line(result);
	/* A command has said itself why it ended with a status. */
	if (!succeeded && !ctl.json && wait_signal() == 0 && !stream->broken_out &&
	    !(command && ctl_member(job, "error", &result) && ctl_member_is(result, "type", "ExitStatus")))
		show_say_cause(job);
	return ctl_finish_output(status);
}

static int run_main(struct operands *operands)
{
	bool command = operands->command != NULL;
	struct stream stream = {
	    .stdout_too = command && !ctl.json,
	    .stderr_too = command && !ctl.json,
	    .output_last = job_options.max_attempts.given && job_options.max_attempts.value > 1,
	    .cancels = true,
	    .wait_s = run_wait.given ? run_wait.seconds : FUT_FOREVER,
	    .fields = ctl.json ? NULL : "[\"state\",\"error\",\"result\"]",
	};
	struct fut_params *params;
	char *result;
	int status;

	job_options_check(operands, true);
	if (run_no_input && !command)
		ctl_die_usage("--no-stdin is for a command");
	ctl_connect();
	params = submit_params(operands, command && !run_no_input && !isatty(STDIN_FILENO));
	/* From here on Ctrl-C means the job; while input was still being read there was none. */
	wait_catch_signals();
	result = ctl_call("submit", params);
	stream.id = submit_read_id(result);
	free(result);
	stream_run(&stream);
	if (stream.job == NULL) {
		ctl_say("job %lld has not ended; it goes on: futurectl await %lld", (long long)stream.id,
		    (long long)stream.id);
		return CTL_TIMED_OUT;
	}
	status = run_finish(operands, &stream);
	free(stream.job);
	return status;
}

const struct command submit_commands[] = {
    {
	.name = "run",
	.synopsis = "[OPTION]... TASK [ARG]...\n[OPTION]... -- COMMAND [ARG]...",
	.summary = "do it now: submit, wait, print the result",
	.text = "Submits one job, waits for its end and prints its result as JSON.\n"
		"\n"
		"The output of a command is passed on as it comes, and its exit status becomes\n"
		"futurectl's own: 128+n when signal n ended it, 127 when it was not found, 126 when\n"
		"it could not be run, 125 when futurectl itself was at fault. Standard input goes\n"
		"along, read to its end first, unless it is a terminal or -n is given; so do the\n"
		"working directory, the umask and, on a Unix socket, the environment.\n"
		"\n"
		"Ctrl-C cancels the job and waits for its end; once more leaves at once.\n"
		"An ARG is read as JSON where it is JSON, unless the task wants a string there.\n"
		"\n"
		"Examples:\n"
		"  futurectl run math.factorize 600851475143\n"
		"  futurectl run -- sh -c 'echo hi; exit 7'\n"
		"  tar c /etc | futurectl run --label backup -- sh -c 'xz > /tmp/etc.tar.xz'\n",
	.options = {run_options, job_options_table, job_options_command},
	.operands = COMMAND_TAKES_TASK,
	.takes_command = true,
	.own_status = true,
	.run = run_main,
    },
    {
	.name = "submit",
	.synopsis = "[OPTION]... TASK [ARG]...\n[OPTION]... -- COMMAND [ARG]...",
	.summary = "hand it over and print the job's id",
	.text = "Submits one job and prints its id. When the id is printed the job is on disk and\n"
		"outlives client and daemon. Arguments are as with run; standard input goes along\n"
		"only with --stdin.\n"
		"\n"
		"Examples:\n"
		"  id=$(futurectl submit --timeout 10m --key nightly-1 -- make -C /srv/site)\n"
		"  futurectl await $id\n",
	.options = {submit_options, job_options_table, job_options_command},
	.operands = COMMAND_TAKES_TASK,
	.takes_command = true,
	.run = submit_main,
    },
    {0},
};
