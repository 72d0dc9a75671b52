/*
 * fuzz_dispatch: the methods, dispatch and a real store, by requests of several clients at once, with workers that answer,
 * hold, die or talk nonsense as the input says, and restarts in between (stage.h).
 *
 * The input is lines. `METHOD PARAMS` is a request of the client whose turn it is, with an id of our own; a line that
 * begins with { or [ is sent as it is. The others are stage directions: @N the client whose turn it is; - it hangs up;
 * . all come to rest; !X how workers answer from now on (r result, e error, h not at all, d die, p tell of progress, then
 * hold, x nonsense, s ignore cancels); > what is held is answered; ? births fail; kN the worker of slot N dies; _ a moment
 * goes by; # the daemon is killed and the next one starts.
 *
 * What is asserted: nothing that waits for nothing is left unanswered, nothing is answered twice; each reply is JSON; what
 * a client was told of a job stays true; and whenever all is at rest, the books (books.h): no job is in two states, the
 * counts are the sums of what the store holds, no job that was accepted is lost, none that has ended changes.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/mem.h"
#include "tests/fuzz/books.h"
#include "tests/fuzz/fuzz.h"

#define CLIENTS	     4
#define REQUESTS_MAX 400
#define HELD_MAX     64
#define LINES_MAX    200
#define PATIENCE_MS  30000

struct request_sent {
	int client;
	bool may_wait; /* for something that need never come */
	bool answered;
};

struct held {
	unsigned slot;
	int pid; /* of the worker: another may be in its slot by now */
	struct frame_header header;
};

static struct stage stage;
static struct bufferevent *clients[CLIENTS];
static bool speaks_freely[CLIENTS]; /* it has sent lines that may bear any id */
static struct request_sent requests[REQUESTS_MAX];
static unsigned n_requests;
static struct held held[HELD_MAX];
static unsigned n_held;
static char manner;
static int turn_of;

/* ---- workers ------------------------------------------------------------------------------------------------------ */

static void
answer(const struct held *job, bool succeed, enum job_error error)
{
	struct outcome outcome = {.usage = {.user_us = 10, .system_us = 5, .known = true}};
	struct frame_out out = {0};

	if (stage.us.workers[job->slot].channel < 0 || stage.us.workers[job->slot].pid != job->pid)
		return;
	if (succeed)
		outcome_set_result(&outcome, SPAN_LIT("{\"exit_status\":0}"));
	else
		outcome_set_error(&outcome, error, "it was to be so");
	outcome.usage.known = true;
	frame_put_result(&out, job->header.job, job->header.token, &outcome);
	understudy_put(&stage.us, job->slot, &out);
	outcome_done(&outcome);
}

static void
tell_progress(unsigned slot, const struct frame_header *header)
{
	struct frame_out out = {0};
	struct progress progress;

	progress_set(&progress, 0.5, "half", 4);
	frame_put_started(&out, header->job, header->token, 4711);
	frame_put_progress(&out, header->job, header->token, &progress);
	frame_put_output(&out, header->job, header->token, 10, 20);
	understudy_put(&stage.us, slot, &out);
}

static void
on_job(struct understudy *us, unsigned slot, const struct frame_header *header, struct span payload)
{
	const struct held job = {slot, us->workers[slot].pid, *header};
	struct frame_job read;

	FUZZ_CHECK(frame_read_job(payload, &read) == 0, "a job that cannot be read");
	switch (manner) {
	case 'e': answer(&job, false, JOB_ERROR_TASK_ERROR); return;
	case 'd': understudy_die(us, slot, SIGSEGV); return;
	case 'x': understudy_write(us, slot, SPAN_LIT("this is no frame at all, but long enough for one")); return;
	case 'p': tell_progress(slot, header); break;
	case 'h':
	case 's': break;
	default: answer(&job, true, JOB_ERROR_NONE); return;
	}
	if (n_held < HELD_MAX)
		held[n_held++] = job;
	else
		answer(&job, true, JOB_ERROR_NONE);
}

static void
on_cancel(struct understudy *us, unsigned slot, const struct frame_header *header, struct span payload)
{
	int64_t grace_ms;

	FUZZ_CHECK(frame_read_cancel(payload, &grace_ms) == 0 && grace_ms >= 0, "a cancel that cannot be read");
	for (unsigned i = 0; i < n_held && manner != 's'; i++) {
		if (held[i].slot != slot || held[i].header.token != header->token || held[i].pid != us->workers[slot].pid)
			continue;
		answer(&held[i], false, JOB_ERROR_SIGNAL);
		held[i] = held[--n_held];
		return;
	}
}

static void
release_held(void)
{
	unsigned n = n_held;

	n_held = 0;
	for (unsigned i = 0; i < n; i++)
		answer(&held[i], true, JOB_ERROR_NONE);
}

/* ---- replies ------------------------------------------------------------------------------------------------------ */

static void
note_jobs(const json_t *value)
{
	const char *state = json_string_value(json_object_get(value, "state")), *key;
	const json_t *id = json_object_get(value, "id");
	json_t *member;
	size_t at;

	if (state != NULL && json_is_integer(id))
		books_shown(json_integer_value(id), state);
	if (json_object_get(value, "first") != NULL && json_is_integer(json_object_get(value, "first")))
		books_accepted(json_integer_value(json_object_get(value, "first")), json_integer_value(json_object_get(value, "count")));
	else if (state != NULL && strcmp(state, "pending") == 0 && json_is_integer(id))
		books_accepted(json_integer_value(id), 1);
	json_array_foreach(value, at, member) note_jobs(member);
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		if (strcmp(key, "args") != 0 && strcmp(key, "result") != 0)
			note_jobs(member);
	}
}

static void
take_answer(int client, const json_t *reply)
{
	const char *id = json_string_value(json_object_get(reply, "id"));
	const json_t *result = json_object_get(reply, "result");
	unsigned number;

	FUZZ_CHECK((result != NULL) != (json_object_get(reply, "error") != NULL), "neither a result nor an error");
	if (result != NULL)
		note_jobs(result);
	if (id == NULL || sscanf(id, "q%u", &number) != 1 || number >= n_requests) {
		FUZZ_CHECK(speaks_freely[client], "an answer that nobody waits for");
		return;
	}
	if (speaks_freely[client])
		requests[number].may_wait = true;
	FUZZ_CHECK(requests[number].client == client || speaks_freely[client], "the answer of another client");
	FUZZ_CHECK(!requests[number].answered || speaks_freely[client], "request %u is answered twice", number);
	requests[number].answered = true;
}

static void
take_reply(int client, const char *line, size_t len)
{
	json_t *reply = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	size_t at;
	json_t *one;

	FUZZ_CHECK(reply != NULL, "a reply that is no JSON: %.*s", (int)len, line);
	FUZZ_CHECK(!json_is_array(reply) || speaks_freely[client], "a batch that nobody has sent");
	if (json_is_array(reply))
		json_array_foreach(reply, at, one) take_answer(client, one);
	else if (json_object_get(reply, "method") != NULL)
		note_jobs(json_object_get(reply, "params"));
	else
		take_answer(client, reply);
	json_decref(reply);
}

static void
listen_to_all(void)
{
	struct evbuffer *input;
	char *line;
	size_t len;

	for (int i = 0; i < CLIENTS; i++) {
		input = clients[i] != NULL ? bufferevent_get_input(clients[i]) : NULL;
		while (input != NULL && (line = evbuffer_readln(input, &len, EVBUFFER_EOL_LF)) != NULL) {
			take_reply(i, line, len);
			free(line);
		}
	}
}

static bool
all_are_answered(void)
{
	for (unsigned i = 0; i < n_requests; i++) {
		if (!requests[i].answered && !requests[i].may_wait && clients[requests[i].client] != NULL)
			return false;
	}
	return true;
}

/* Until there is nothing to do, and whoever waits for nothing has been answered. */
static void
come_to_rest(void)
{
	int64_t deadline_ms = loop_mono_ms() + PATIENCE_MS;

	do {
		FUZZ_CHECK(loop_mono_ms() < deadline_ms, "a request is not answered");
		books_check(&stage, listen_to_all);
		listen_to_all();
	} while (!all_are_answered());
}

/* ---- clients ------------------------------------------------------------------------------------------------------ */

static void
hang_up(int client)
{
	if (clients[client] == NULL)
		return;
	bufferevent_flush(clients[client], EV_WRITE, BEV_FINISHED);
	stage_turn(&stage, false);
	listen_to_all();
	bufferevent_free(clients[client]);
	clients[client] = NULL;
	for (unsigned i = 0; i < n_requests; i++)
		requests[i].may_wait = requests[i].may_wait || requests[i].client == client;
}

static struct bufferevent *
whose_turn(void)
{
	static const struct {
		enum role role;
		const char *owner;
	} who[CLIENTS] = {{ROLE_OPERATOR, "uid:0"}, {ROLE_USER, "uid:1000"}, {ROLE_READER, "token:eye"}, {ROLE_NONE, ""}};

	if (clients[turn_of] == NULL) {
		clients[turn_of] = stage_connect(&stage, who[turn_of].role, who[turn_of].owner);
		speaks_freely[turn_of] = false;
	}
	return clients[turn_of];
}

/* Webhooks are not sent anywhere by a test. */
static bool
is_to_be_sent(const json_t *value)
{
	const char *key;
	json_t *member;
	size_t at;

	json_array_foreach(value, at, member)
	{
		if (!is_to_be_sent(member))
			return false;
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		if (strcmp(key, "webhook") == 0 || !is_to_be_sent(member))
			return false;
		if (strcmp(key, "retain") == 0)
			books_may_forget();
		if (strcmp(key, "method") == 0 && json_is_string(member) && strcmp(json_string_value(member), "forget") == 0)
			books_may_forget();
	}
	return true;
}

static bool
check_line(struct span line)
{
	json_t *tree = json_loadb(line.at, line.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	bool fits = tree == NULL || is_to_be_sent(tree);

	json_decref(tree);
	return fits;
}

static void
send_line(const char *bytes, size_t len)
{
	bufferevent_write(whose_turn(), bytes, len);
	bufferevent_write(whose_turn(), "\n", 1);
}

/* "METHOD PARAMS" */
static void
ask(struct span line)
{
	const char *space = memchr(line.at, ' ', line.len);
	size_t n = space != NULL ? (size_t)(space - line.at) : line.len;
	struct span params = space != NULL ? (struct span){space + 1, line.len - n - 1} : SPAN_LIT("{}");
	struct span method = {line.at, n};
	static const char *const waiting[] = {"await", "run", "output", "drain"};
	struct text text = {0};
	bool may_wait = false;

	if (n_requests == REQUESTS_MAX || !jsonspan_is_text(method.at, method.len) || memchr(method.at, '"', n) != NULL ||
	    memchr(method.at, '\\', n) != NULL || jsonspan_validate(params, NULL, NULL) < 0)
		return;
	for (size_t i = 0; i < sizeof(waiting) / sizeof(waiting[0]); i++)
		may_wait = may_wait || (strlen(waiting[i]) == n && memcmp(waiting[i], method.at, n) == 0);
	text_printf(&text, "{\"jsonrpc\":\"2.0\",\"id\":\"q%u\",\"method\":", n_requests);
	text_add_quoted_n(&text, method.at, method.len);
	text_add_lit(&text, ",\"params\":");
	text_add_span(&text, params);
	text_add_char(&text, '}');
	/* Nested one deeper than it was it may be no JSON any more: the answer has no id then. */
	if (jsonspan_validate(text_span(&text), NULL, NULL) == 0 && check_line(text_span(&text))) {
		requests[n_requests++] = (struct request_sent){.client = turn_of, .may_wait = may_wait};
		send_line(text.at, text.len);
	}
	text_done(&text);
}

static void
say_freely(struct span line)
{
	if (!check_line(line))
		return;
	whose_turn();
	speaks_freely[turn_of] = true;
	send_line(line.at, line.len);
}

/* ---- the play ----------------------------------------------------------------------------------------------------- */

static void
forget_clients(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		if (clients[i] != NULL)
			bufferevent_free(clients[i]);
		clients[i] = NULL;
	}
	n_requests = n_held = 0;
}

static void
start(void)
{
	stage.us = (struct understudy){.job = on_job, .cancel = on_cancel};
	manner = 'r';
	stage_open(&stage);
}

static void
begin_anew(void)
{
	listen_to_all();
	forget_clients();
	stage_close(&stage);
	start();
}

static unsigned
number_behind(struct span line, unsigned below)
{
	return line.len > 1 ? (unsigned char)line.at[1] % below : 0;
}

static void
obey(struct span line)
{
	switch (line.at[0]) {
	case '{':
	case '[': say_freely(line); return;
	case '@': turn_of = (int)number_behind(line, CLIENTS); return;
	case '-': hang_up(turn_of); return;
	case '.': come_to_rest(); break;
	case '!': manner = line.len > 1 ? line.at[1] : 'r'; return;
	case '>': release_held(); return;
	case '?': stage.us.refuse = 1; return;
	case 'k':
		if (line.len == 2) {
			understudy_die(&stage.us, number_behind(line, stage.us.n_slots), 0);
			return;
		}
		break;
	case '_': stage_turn(&stage, false); return;
	case '#': begin_anew(); return;
	default: break;
	}
	if (line.at[0] >= 'a' && line.at[0] <= 'z')
		ask(line);
	if (stage.drained)
		begin_anew();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared;
	struct fuzz_input input = {data, size};
	struct span line;

	if (!prepared)
		stage_prepare();
	prepared = true;
	stage_new_store();
	books_clear();
	turn_of = 0;
	start();
	for (int i = 0; i < LINES_MAX && fuzz_line(&input, &line); i++) {
		if (line.len > 0)
			obey(line);
	}
	come_to_rest();
	begin_anew(); /* and what it has done stands */
	come_to_rest();
	forget_clients();
	stage_close(&stage);
	return 0;
}
