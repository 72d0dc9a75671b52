/*
 * The commands that show what a job's command wrote: output (what is there) and follow (until its end).
 */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "select.h"
#include "show.h"
#include "stream.h"

#define OUTPUT_PIECE 65536 /* bytes asked for at a time */

static const char *output_stream;
static bool output_stderr;
static struct option_integer output_offset;
static struct option_integer output_limit;

static const struct option_spec output_options[] = {
    {"stream", 's', OPTION_TEXT, &output_stream, "STREAM", "stdout (default) or stderr"},
    {"stderr", 'e', OPTION_FLAG, &output_stderr, NULL, "as --stream stderr"},
    {"offset", 0, OPTION_INTEGER, &output_offset, "BYTES", "leave so many bytes out at the start"},
    {"limit", 0, OPTION_INTEGER, &output_limit, "BYTES", "at most so many bytes"},
    {0},
};

static const struct option_spec output_follow_options[] = {
    {"stream", 's', OPTION_TEXT, &output_stream, "STREAM", "stdout or stderr alone (default: both)"},
    {"stderr", 'e', OPTION_FLAG, &output_stderr, NULL, "as --stream stderr"},
    {0},
};

static bool output_is(const char *stream)
{
	return output_stream != NULL && strcmp(output_stream, stream) == 0;
}

static void output_check(void)
{
	if (output_stderr && output_stream != NULL)
		ctl_die_usage("--stderr and --stream say the same; give one");
	if (output_stderr)
		output_stream = "stderr";
	if (output_stream != NULL && !output_is("stdout") && !output_is("stderr"))
		ctl_die_usage("--stream is stdout or stderr, not '%s'", output_stream);
	if (output_offset.given && output_offset.value < 0)
		ctl_die_usage("--offset is 0 or more");
	if (output_limit.given && output_limit.value < 1)
		ctl_die_usage("--limit is 1 or more");
}

/* --json: the one piece that the daemon gives, as it is. */
static int output_print_json(int64_t id)
{
	struct fut_params *params = ctl_params();
	char *result;

	fut_params_integer(params, "id", id);
	fut_params_string(params, "stream", output_is("stderr") ? "stderr" : "stdout");
	fut_params_integer(params, "offset", output_offset.value);
	fut_params_integer(params, "wait", 0);
	if (output_limit.given)
		fut_params_integer(params, "limit", output_limit.value);
	result = ctl_call("output", params);
	puts(result);
	free(result);
	return ctl_finish_output(CTL_DONE);
}

static int output_main(struct operands *operands)
{
	int64_t offset = output_offset.value, left = output_limit.given ? output_limit.value : INT64_MAX, id;
	struct fut_chunk chunk = {.eof = false};
	int64_t limit;

	output_check();
	id = select_read_id(operands->at, operands->count);
	if (ctl.json)
		return output_print_json(id);
	do {
		limit = left < OUTPUT_PIECE ? left : OUTPUT_PIECE;
		if (fut_output(ctl.client, id, output_is("stderr") ? FUT_STDERR : FUT_STDOUT, offset, limit, 0,
			&chunk) < 0)
			ctl_die_failure();
		if (ctl_write(STDOUT_FILENO, chunk.bytes, chunk.len) < 0)
			ctl_die(CTL_REFUSED, "cannot write to standard output: %s", strerror(errno));
		offset = chunk.next;
		left -= (int64_t)chunk.len;
		free(chunk.bytes);
	} while (!chunk.eof && chunk.len > 0 && left > 0);
	return CTL_DONE;
}

static int output_follow_main(struct operands *operands)
{
	struct stream stream = {.wait_s = FUT_FOREVER, .fields = "[\"state\",\"error\"]"};
	struct span job;
	bool succeeded;

	output_check();
	stream.stdout_too = !output_is("stderr");
	stream.stderr_too = !output_is("stdout");
	stream.id = select_read_id(operands->at, operands->count);
	stream_run(&stream);
	if (stream.job == NULL)
		return CTL_TIMED_OUT;
	job = ctl_span(stream.job);
	succeeded = ctl_member_is(job, "state", "succeeded");
	if (!succeeded)
		show_say_cause(job);
	free(stream.job);
	return succeeded ? CTL_DONE : CTL_JOB_FAILED;
}

const struct command output_commands[] = {
    {
	.name = "output",
	.synopsis = "[OPTION]... ID",
	.summary = "print what a job's command has written so far",
	.text = "Prints what the command of the latest attempt wrote. It does not wait; 'futurectl\n"
		"follow' does. ID may be 'last'.\n",
	.options = {output_options},
	.operands = COMMAND_TAKES_JOB,
	.run = output_main,
    },
    {
	.name = "follow",
	.synopsis = "[OPTION]... ID",
	.summary = "pass a job's output on until its end",
	.text = "Passes what the command writes on as it comes, from the start, each stream to\n"
		"one's own. The status is 1 when the job failed or was cancelled. Ctrl-C leaves the\n"
		"job alone. ID may be 'last'.\n",
	.options = {output_follow_options},
	.operands = COMMAND_TAKES_JOB,
	.run = output_follow_main,
    },
    {0},
};
