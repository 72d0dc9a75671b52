/*
 * outcome: see outcome.h. The error object is kept complete at all times: a member is put before its closing brace.
 */
#include "daemon/outcome.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/mem.h"
#include "daemon/text.h"

#define REPLACEMENT "\xef\xbf\xbd"

static int64_t
usage_us(struct timeval time)
{
	return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

void
usage_add(struct usage *usage, const struct rusage *more)
{
	usage->user_us += usage_us(more->ru_utime);
	usage->system_us += usage_us(more->ru_stime);
	if (more->ru_maxrss > usage->max_rss_kib)
		usage->max_rss_kib = more->ru_maxrss;
	usage->known = true;
}

void
outcome_done(struct outcome *outcome)
{
	free(outcome->json);
	*outcome = (struct outcome){0};
}

void
outcome_take_result(struct outcome *outcome, char *json, size_t len)
{
	free(outcome->json);
	outcome->error = JOB_ERROR_NONE;
	outcome->json = json;
	outcome->len = len;
}

void
outcome_set_result(struct outcome *outcome, struct span json)
{
	outcome_take_result(outcome, mem_copy(json.at, json.len), json.len);
}

/* How many of the bytes are one character, or 0 when the first is not the start of one. */
static size_t
outcome_character(const char *at, size_t len)
{
	for (size_t n = 1; n <= len && n <= 4; n++) {
		if (jsonspan_is_text(at, n))
			return n;
	}
	return 0;
}

/* Quotes bytes that may be no UTF-8: what is none becomes U+FFFD. */
static void
outcome_quote(struct text *text, const char *bytes, size_t len)
{
	struct text valid = {0};

	if (jsonspan_is_text(bytes, len)) {
		text_add_quoted_n(text, bytes, len);
		return;
	}
	for (size_t i = 0; i < len;) {
		size_t n = outcome_character(bytes + i, len - i);

		if (n > 0)
			text_add(&valid, bytes + i, n);
		else
			text_add_lit(&valid, REPLACEMENT);
		i += n > 0 ? n : 1;
	}
	text_add_quoted_n(text, valid.at, valid.len);
	text_done(&valid);
}

static void
outcome_take_text(struct outcome *outcome, struct text *text)
{
	free(outcome->json);
	outcome->json = text_steal(text, &outcome->len);
}

void
outcome_set_error(struct outcome *outcome, enum job_error error, const char *format, ...)
{
	struct text text = {0};
	va_list args;
	char *message;
	int n;

	assert(error != JOB_ERROR_NONE);
	va_start(args, format);
	n = vasprintf(&message, format, args);
	va_end(args);
	if (n < 0)
		mem_out(0);
	text_add_lit(&text, "{\"type\":");
	text_add_quoted(&text, job_error_name(error));
	text_add_lit(&text, ",\"message\":");
	outcome_quote(&text, message, (size_t)n);
	text_add_char(&text, '}');
	free(message);
	outcome->error = error;
	outcome_take_text(outcome, &text);
}

void
outcome_set_errno(struct outcome *outcome, const char *verb, const char *name, int error)
{
	const char *word = strerrorname_np(error);
	char data[64];
	int n;

	outcome_set_error(outcome, JOB_ERROR_TASK_ERROR, "cannot %s %.400s: %s", verb, name, strerror(error));
	n = snprintf(data, sizeof(data), "{\"errno\":\"%s\"}", word != NULL ? word : "EUNKNOWN");
	outcome_add_json(outcome, "data", (struct span){data, (size_t)n});
}

void
outcome_name_signal(int sig, char name[OUTCOME_SIGNAL_SIZE])
{
	const char *known = sigabbrev_np(sig);

	if (known != NULL)
		snprintf(name, OUTCOME_SIGNAL_SIZE, "SIG%s", known);
	else
		snprintf(name, OUTCOME_SIGNAL_SIZE, "SIGRTMIN+%d", sig - SIGRTMIN);
}

/* Opens the error object for one more member: its name and colon are written. */
static void
outcome_begin_member(const struct outcome *outcome, const char *name, struct text *ret_text)
{
	assert(outcome->error != JOB_ERROR_NONE && outcome->len > 2);
	*ret_text = (struct text){0};
	text_add(ret_text, outcome->json, outcome->len - 1);
	text_add_char(ret_text, ',');
	text_add_quoted(ret_text, name);
	text_add_char(ret_text, ':');
}

static void
outcome_end_member(struct outcome *outcome, struct text *text)
{
	text_add_char(text, '}');
	outcome_take_text(outcome, text);
}

void
outcome_add_json(struct outcome *outcome, const char *name, struct span json)
{
	struct text text;

	outcome_begin_member(outcome, name, &text);
	text_add_span(&text, json);
	outcome_end_member(outcome, &text);
}

void
outcome_add_integer(struct outcome *outcome, const char *name, int64_t value)
{
	struct text text;

	outcome_begin_member(outcome, name, &text);
	text_add_integer(&text, value);
	outcome_end_member(outcome, &text);
}

void
outcome_add_text(struct outcome *outcome, const char *name, const char *bytes, size_t len)
{
	struct text text;

	outcome_begin_member(outcome, name, &text);
	outcome_quote(&text, bytes, len);
	outcome_end_member(outcome, &text);
}

void
outcome_add_bytes(struct outcome *outcome, const char *name, const char *bytes, size_t len)
{
	char *encoding_name = mem_format("%s_encoding", name);
	struct text text = {0};

	assert(outcome->error != JOB_ERROR_NONE && outcome->len > 2);
	text_add(&text, outcome->json, outcome->len - 1);
	text_add_char(&text, ',');
	text_add_bytes(&text, name, encoding_name, bytes, len);
	free(encoding_name);
	outcome_end_member(outcome, &text);
}
