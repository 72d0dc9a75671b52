/*
 * A job as people see it. On a pipe the cells are exact (times in full, durations in seconds), on a terminal they are
 * short.
 */
#include "show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "value.h"

#define SHOW_VALUE_MAX 300 /* of a page of details; --json has all */

static const char *const show_heads[] = {">ID", "STATE", "TASK", "QUEUE", "LABEL", ">AGE", ">TIME", "NOTE"};

static bool show_get(struct span object, const char *name, struct span *ret_value)
{
	return ctl_member(object, name, ret_value) && jsonspan_type(*ret_value) != JSONSPAN_NULL;
}

/* The last line of a text that is not blank; it lives as long as text. */
static char *show_last_line(char *text)
{
	char *line;

	for (;;) {
		line = strrchr(text, '\n');
		if (line == NULL)
			return text;
		if (line[1 + strspn(line + 1, " \t\r")] != '\0')
			return line + 1;
		*line = '\0';
	}
}

void show_write_cause(struct span job, struct text *out)
{
	struct span error;
	char *type, *message, *tail, *line;

	if (!show_get(job, "error", &error))
		return;
	/* That it was cancelled is told by its state. */
	type = ctl_member_is(error, "type", "Cancelled") ? NULL : ctl_member_string(error, "type");
	message = ctl_member_string(error, "message");
	tail = ctl_member_is(error, "stderr_tail_encoding", "base64") ? NULL : ctl_member_string(error, "stderr_tail");
	text_add_format(out, "%s%s%s", type != NULL ? type : "", type != NULL && message != NULL ? ": " : "",
	    message != NULL ? message : "");
	line = tail != NULL ? show_last_line(tail) : NULL;
	if (line != NULL && line[0] != '\0')
		text_add_format(out, " (%s)", line);
	free(type);
	free(message);
	free(tail);
}

void show_say_cause(struct span job)
{
	struct text cause = {0};
	char *state = ctl_member_string(job, "state");

	show_write_cause(job, &cause);
	ctl_say("job %lld %s: %s", (long long)ctl_member_integer(job, "id", 0), state != NULL ? state : "failed",
	    ctl_text(&cause));
	free(state);
	text_done(&cause);
}

static enum table_colour show_colour(const char *state)
{
	if (strcmp(state, "succeeded") == 0)
		return TABLE_GREEN;
	if (strcmp(state, "failed") == 0)
		return TABLE_RED;
	if (strcmp(state, "cancelled") == 0)
		return TABLE_YELLOW;
	return strcmp(state, "running") == 0 ? TABLE_CYAN : TABLE_DIM;
}

/* A time member in seconds, or -1. */
static double show_time(struct span job, const char *name)
{
	char *text = ctl_member_string(job, name);
	double seconds = -1;

	if (text != NULL && value_read_time(text, &seconds) < 0)
		seconds = -1;
	free(text);
	return seconds;
}

/* By enum fut_stream: the members of a result, and what the stream is called. */
static const struct {
	const char *bytes, *encoding, *total, *name;
} show_streams[] = {
    [FUT_STDOUT] = {"stdout", "stdout_encoding", "stdout_bytes", "output"},
    [FUT_STDERR] = {"stderr", "stderr_encoding", "stderr_bytes", "error"},
};

char *show_read_stream(struct span result, enum fut_stream stream, size_t *ret_len)
{
	struct span data;
	char *bytes;
	long len;

	if (!ctl_member(result, show_streams[stream].bytes, &data) || jsonspan_string(data, &bytes, ret_len) < 0)
		return NULL;
	if (ctl_member_is(result, show_streams[stream].encoding, "base64")) {
		len = text_unbase64(bytes, *ret_len);
		*ret_len = len < 0 ? 0 : (size_t)len;
	}
	return bytes;
}

bool show_say_lack(const char *who, struct span result, enum fut_stream stream, int64_t kept)
{
	int64_t total = ctl_member_integer(result, show_streams[stream].total, 0);

	if (total <= kept)
		return false;
	ctl_say("%s wrote %lld bytes to standard %s, of which the daemon has kept the first %lld: [exec] max_output, or its log says why", who,
	    (long long)total, show_streams[stream].name, (long long)kept);
	return true;
}

void show_write_progress(struct span job, struct text *out)
{
	struct span progress, fraction;
	char *text;
	double done;

	if (!show_get(job, "progress", &progress))
		return;
	if (show_get(progress, "fraction", &fraction) && jsonspan_number(fraction, &done) == 0)
		text_add_format(out, "%.0f%% ", done * 100);
	text = ctl_member_string(progress, "text");
	if (text != NULL)
		text_add_string(out, text);
	free(text);
}

static void show_write_note(struct span job, const char *state, struct text *out)
{
	char *reason;

	if (strcmp(state, "pending") == 0) {
		reason = ctl_member_string(job, "reason");
		text_add_string(out, reason != NULL ? reason : "");
		free(reason);
	} else if (strcmp(state, "running") == 0) {
		show_write_progress(job, out);
	} else {
		show_write_cause(job, out);
	}
}

/* How long it ran, or has been running. */
static void show_write_time(struct span job, const char *state, bool terminal, struct text *out)
{
	double started = show_time(job, "started"), finished = show_time(job, "finished");

	if (started >= 0 && finished < 0 && strcmp(state, "running") == 0)
		finished = value_now();
	if (started < 0 || finished < 0)
		return;
	if (terminal)
		value_write_duration(out, finished - started);
	else
		text_add_format(out, "%.3f", finished - started);
}

void show_write_value(struct span value, struct text *out)
{
	char *text;
	int r;

	if (jsonspan_type(value) == JSONSPAN_NULL)
		return;
	if (jsonspan_type(value) != JSONSPAN_STRING) {
		text_add(out, value.at, value.len);
		return;
	}
	r = jsonspan_string(value, &text, NULL);
	if (r < 0)
		ctl_die_memory();
	text_add_string(out, text);
	free(text);
}

void show_add_member(struct table *table, struct span object, const char *name, enum table_colour colour)
{
	struct text cell = {0};
	struct span value;

	if (ctl_member(object, name, &value))
		show_write_value(value, &cell);
	table_add(table, ctl_text(&cell), colour);
	text_done(&cell);
}

static void show_add_age(struct table *table, struct span job)
{
	double submitted = show_time(job, "submitted");
	struct text age = {0};

	if (!table->terminal) {
		show_add_member(table, job, "submitted", TABLE_PLAIN);
		return;
	}
	if (submitted >= 0)
		value_write_duration(&age, value_now() - submitted);
	table_add(table, text_string(&age), TABLE_DIM);
	text_done(&age);
}

void show_begin_jobs(struct table *table)
{
	table_begin(table, show_heads, sizeof(show_heads) / sizeof(show_heads[0]));
}

void show_add_job(struct table *table, struct span job)
{
	char *state = ctl_member_string(job, "state");
	struct text cell = {0};

	text_add_format(&cell, "%lld", (long long)ctl_member_integer(job, "id", 0));
	table_add(table, text_string(&cell), TABLE_PLAIN);
	table_add(table, state, state != NULL ? show_colour(state) : TABLE_PLAIN);
	show_add_member(table, job, "task", TABLE_PLAIN);
	show_add_member(table, job, "queue", TABLE_PLAIN);
	show_add_member(table, job, "label", TABLE_PLAIN);
	show_add_age(table, job);
	text_clear(&cell);
	show_write_time(job, state != NULL ? state : "", table->terminal, &cell);
	table_add(table, text_string(&cell), TABLE_PLAIN);
	text_clear(&cell);
	show_write_note(job, state != NULL ? state : "", &cell);
	table_add(table, text_string(&cell), TABLE_PLAIN);
	text_done(&cell);
	free(state);
}

static void show_print_padded(const char *text, int columns, enum table_colour colour)
{
	table_print(text, colour);
	printf("%*s  ", (int)strlen(text) < columns ? columns - (int)strlen(text) : 0, "");
}

void show_print_line(struct span job)
{
	char *state = ctl_member_string(job, "state"), *task = ctl_member_string(job, "task");
	char *label = ctl_member_string(job, "label");
	struct text text = {0};

	if (state == NULL)
		return;
	printf("%6lld  ", (long long)ctl_member_integer(job, "id", 0));
	show_print_padded(state, 9, show_colour(state));
	show_print_padded(task != NULL ? task : "", 12, TABLE_PLAIN);
	show_write_time(job, state, true, &text);
	show_print_padded(ctl_text(&text), 6, TABLE_DIM);
	if (label != NULL)
		show_print_padded(label, 0, TABLE_PLAIN);
	text_clear(&text);
	show_write_note(job, state, &text);
	table_print(ctl_text(&text), TABLE_PLAIN);
	putchar('\n');
	text_done(&text);
	free(state);
	free(task);
	free(label);
}

static void show_print_member(const char *name, struct span value)
{
	struct text text = {0};
	enum table_colour colour = TABLE_PLAIN;

	show_write_value(value, &text);
	if (text.len > SHOW_VALUE_MAX) {
		text.len = SHOW_VALUE_MAX;
		/* Not in the midst of a character. */
		while (((unsigned char)text.at[text.len] & 0xc0) == 0x80)
			text.len--;
		text_add_string(&text, "...");
	}
	if (strcmp(name, "state") == 0)
		colour = show_colour(text_string(&text));
	table_print(name, TABLE_BOLD);
	printf("%*s", (int)(strlen(name) < 14 ? 14 - strlen(name) : 1), "");
	table_print(text_string(&text), colour);
	putchar('\n');
	text_done(&text);
}

void show_print_job(struct span job)
{
	struct jsonspan_iter iter;
	struct span key, value;
	struct text cause = {0};
	char name[64];

	jsonspan_iter_init(&iter, job);
	while (jsonspan_next_member(&iter, &key, &value)) {
		if (jsonspan_type(value) == JSONSPAN_NULL || jsonspan_string_copy(key, name, sizeof(name)) < 0)
			continue;
		if (strcmp(name, "error") != 0) {
			show_print_member(name, value);
			continue;
		}
		show_write_cause(job, &cause);
		table_print("error", TABLE_BOLD);
		printf("%9s", "");
		table_print(ctl_text(&cause), TABLE_RED);
		putchar('\n');
		text_clear(&cause);
	}
	text_done(&cause);
}
