/*
 * Waiting for the end of one job, with its output passed on as it comes.
 *
 * Up to three requests are in flight side by side: output of either stream, with wait, and await. Each answer of output
 * asks for the next piece; the job's end ends it all.
 */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "wait.h"

#define STREAM_WAIT_S 3600 /* of one request for output; it is asked again */

struct stream_channel {
	const char *name;
	int fd;
	int64_t request; /* 0: none */
	int64_t offset;
	bool deaf; /* nobody reads on: what comes is thrown away */
};

struct stream_state {
	struct stream *stream;
	struct stream_channel channels[2];
	int64_t await;  /* requests; 0: none */
	int64_t cancel;
	bool cancelled; /* a cancel was sent */
};

static void stream_ask_output(struct stream_state *state, struct stream_channel *channel)
{
	struct fut_params *params = ctl_params();

	fut_params_integer(params, "id", state->stream->id);
	fut_params_string(params, "stream", channel->name);
	fut_params_integer(params, "offset", channel->offset);
	fut_params_number(params, "wait", STREAM_WAIT_S);
	channel->request = ctl_send("output", params);
}

static void stream_start_output(struct stream_state *state)
{
	if (state->stream->stdout_too)
		stream_ask_output(state, &state->channels[0]);
	if (state->stream->stderr_too)
		stream_ask_output(state, &state->channels[1]);
}

static void stream_ask_end(struct stream_state *state)
{
	struct fut_params *params = ctl_params();
	struct stream *stream = state->stream;

	fut_params_integer(params, "id", stream->id);
	if (stream->wait_s >= 0)
		fut_params_number(params, "wait", stream->wait_s);
	if (stream->fields != NULL)
		fut_params_json(params, "fields", stream->fields, SIZE_MAX);
	state->await = ctl_send("await", params);
}

static void stream_cancel(struct stream_state *state, const char *reason)
{
	struct fut_params *params;

	if (state->cancelled || !state->stream->cancels)
		return;
	state->cancelled = true;
	params = ctl_params();
	fut_params_integer(params, "id", state->stream->id);
	fut_params_string(params, "reason", reason);
	state->cancel = ctl_send("cancel", params);
}

static void stream_take_output(struct stream_state *state, struct stream_channel *channel, const char *result)
{
	struct fut_chunk chunk;

	channel->request = 0;
	if (fut_chunk_read(ctl.client, result, &chunk) < 0)
		ctl_die_failure();
	if (!channel->deaf && ctl_write(channel->fd, chunk.bytes, chunk.len) < 0) {
		channel->deaf = true;
		if (errno != EPIPE)
			ctl_say("cannot write to standard %s: %s", channel->fd == STDOUT_FILENO ? "output" : "error",
			    strerror(errno));
		state->stream->broken_out = true;
		stream_cancel(state, "nobody reads its output any more");
	}
	free(chunk.bytes);
	channel->offset = chunk.next;
	if (!chunk.eof)
		stream_ask_output(state, channel);
}

static void stream_take_end(struct stream_state *state, const char *result)
{
	struct span done, job;
	struct jsonspan_iter iter;

	state->await = 0;
	if (!ctl_member(ctl_span(result), "done", &done) || jsonspan_type(done) != JSONSPAN_ARRAY)
		ctl_die(CTL_REFUSED, "the daemon's answer to await is not of the form it should have");
	jsonspan_iter_init(&iter, done);
	if (!jsonspan_next(&iter, &job))
		return;
	state->stream->job = strndup(job.at, job.len);
	if (state->stream->job == NULL)
		ctl_die_memory();
	if (state->stream->output_last)
		stream_start_output(state);
}

static void stream_take(struct stream_state *state, int64_t request, const char *result)
{
	if (request == state->await) {
		stream_take_end(state, result);
		return;
	}
	for (size_t i = 0; i < 2; i++)
		if (request == state->channels[i].request)
			stream_take_output(state, &state->channels[i], result);
}

/* Everything has come, or it was not to be waited for longer. */
static bool stream_is_over(const struct stream_state *state)
{
	if (state->await != 0)
		return false;
	return state->stream->job == NULL || (state->channels[0].request == 0 && state->channels[1].request == 0);
}

void stream_run(struct stream *stream)
{
	struct stream_state state = {
	    .stream = stream,
	    .channels = {{.name = "stdout", .fd = STDOUT_FILENO}, {.name = "stderr", .fd = STDERR_FILENO}},
	};
	int64_t request;
	char *result;
	int r;

	stream->job = NULL;
	stream->broken_out = false;
	if (!stream->output_last)
		stream_start_output(&state);
	stream_ask_end(&state);
	while (!stream_is_over(&state)) {
		if (wait_signal() != 0)
			stream_cancel(&state, "interrupted");
		r = fut_receive_any(ctl.client, 0, &request, &result);
		if (r == FUT_E_TIMED_OUT) {
			wait_turn(-1, -1);
			continue;
		}
		if (r < 0 && request != state.cancel)
			ctl_die_failure();
		if (r == 0) {
			stream_take(&state, request, result);
			free(result);
		}
	}
	for (size_t i = 0; i < 2; i++)
		stream->passed[i] = state.channels[i].offset;
}
