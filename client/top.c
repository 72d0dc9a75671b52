/*
 * The command top: a screen of queues, running jobs and workers, drawn anew now and then.
 *
 * A frame is written into memory and goes to the terminal in one piece, each line erased behind its end, so that nothing
 * flickers. The screen is the terminal's other one, and is given back before anything else is said (ctl.restore).
 * Elsewhere than on a terminal there is one frame, and it is whole.
 */
#include "top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "options.h"
#include "queues.h"
#include "show.h"
#include "value.h"
#include "wait.h"

#define TOP_INTERVAL_S 1.0
#define TOP_SHORTEST_S 0.1
#define TOP_JOBS       1000 /* running jobs that are shown at most */

static struct option_duration top_interval;
static bool top_once;

static const struct option_spec top_options[] = {
    {"interval", 'i', OPTION_DURATION, &top_interval, "TIME", "draw it anew so often (default: 1s)"},
    {"once", '1', OPTION_FLAG, &top_once, NULL, "print it once and end"},
    {0},
};

/* What the daemon said for one frame. */
struct top {
	char *stats, *queues, *running;
};

static void top_fetch(struct top *top)
{
	struct fut_params *params = ctl_params();

	fut_params_json(params, "filter", "{\"state\":\"running\"}", SIZE_MAX);
	fut_params_json(params, "fields", SHOW_FIELDS, SIZE_MAX);
	fut_params_integer(params, "limit", TOP_JOBS);
	top->running = ctl_call("list", params);
	top->queues = ctl_call("queues", ctl_params());
	top->stats = ctl_call("stats", ctl_params());
}

static void top_done(struct top *top)
{
	free(top->stats);
	free(top->queues);
	free(top->running);
}

/*
 * A frame
 */

static void top_write_head(struct span stats, FILE *out)
{
	static const char *const figures[] = {"pending", "running", "succeeded", "failed", "cancelled", "connections"};
	char *version = ctl_member_string(stats, "version");
	struct text line = {0};
	struct span uptime;
	double seconds;

	text_add_format(&line, "futured %s", version != NULL ? version : "");
	if (ctl_member(stats, "uptime_s", &uptime) && jsonspan_number(uptime, &seconds) == 0) {
		text_add_string(&line, "  up ");
		value_write_duration(&line, seconds);
	}
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		text_add_format(&line, "  %s %lld", figures[i], (long long)ctl_member_integer(stats, figures[i], 0));
	fprintf(out, "%s\n", ctl_text(&line));
	text_done(&line);
	free(version);
}

static void top_write_jobs(struct span running, FILE *out)
{
	struct jsonspan_iter iter;
	struct table table;
	struct span jobs, job;

	show_begin_jobs(&table);
	table.out = out;
	if (ctl_member(running, "jobs", &jobs) && jsonspan_type(jobs) == JSONSPAN_ARRAY) {
		jsonspan_iter_init(&iter, jobs);
		while (jsonspan_next(&iter, &job))
			show_add_job(&table, job);
	}
	table_end(&table);
}

static void top_write_workers(struct span stats, FILE *out)
{
	static const char *const heads[] = {">WORKER", "LANE", ">JOB", "SINCE"};
	struct jsonspan_iter iter;
	struct table table;
	struct span workers, worker;

	table_begin(&table, heads, sizeof(heads) / sizeof(heads[0]));
	table.out = out;
	if (ctl_member(stats, "workers", &workers) && jsonspan_type(workers) == JSONSPAN_ARRAY) {
		jsonspan_iter_init(&iter, workers);
		while (jsonspan_next(&iter, &worker)) {
			show_add_member(&table, worker, "pid", TABLE_PLAIN);
			show_add_member(&table, worker, "lane", TABLE_PLAIN);
			show_add_member(&table, worker, "job", TABLE_CYAN);
			show_add_member(&table, worker, "since", TABLE_DIM);
		}
	}
	table_end(&table);
}

static void top_write(const struct top *top, FILE *out)
{
	top_write_head(ctl_span(top->stats), out);
	fputc('\n', out);
	queues_print(ctl_span(top->queues), out);
	fputc('\n', out);
	top_write_jobs(ctl_span(top->running), out);
	fputc('\n', out);
	top_write_workers(ctl_span(top->stats), out);
}

static void top_print_json(const struct top *top)
{
	struct span jobs;

	if (!ctl_member(ctl_span(top->running), "jobs", &jobs))
		ctl_die(CTL_REFUSED, "the daemon's answer to list is not of the form it should have");
	printf("{\"stats\":%s,\"queues\":%s,\"running\":%.*s}\n", top->stats, top->queues, (int)jobs.len, jobs.at);
}

/*
 * The screen
 */

static struct termios top_termios;
static bool top_has_keys;

static void top_leave_screen(void)
{
	if (top_has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &top_termios);
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
}

static void top_enter_screen(void)
{
	struct termios raw;

	top_has_keys = tcgetattr(STDIN_FILENO, &top_termios) == 0;
	ctl.restore = top_leave_screen;
	/* Keys come one by one and unseen; Ctrl-C stays what it is, Ctrl-Z would leave the screen as it stands. */
	if (top_has_keys) {
		raw = top_termios;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VSUSP] = _POSIX_VDISABLE;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	/* The other screen, no cursor, no line goes on in the next. */
	fputs("\033[?1049h\033[?25l\033[?7l\033[2J", stdout);
}

static unsigned top_rows(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 ? 24 : size.ws_row;
}

/* As many lines of the frame as the screen has. */
static void top_draw(const char *frame)
{
	unsigned rows = top_rows();
	size_t len;

	fputs("\033[H", stdout);
	for (unsigned row = 1; row <= rows && *frame != '\0'; row++) {
		len = strcspn(frame, "\n");
		printf("%.*s\033[K%s", (int)len, frame, row < rows ? "\n" : "");
		frame += len + (frame[len] == '\n');
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}

/* Waits until it is time for the next frame; false where it is time to go. */
static bool top_wait(void)
{
	double seconds = top_interval.given ? top_interval.seconds : TOP_INTERVAL_S;
	int timeout_ms = (int)((seconds > 86400 ? 86400 : seconds) * 1000);
	char keys[32];
	ssize_t n;

	if (wait_turn(top_has_keys ? STDIN_FILENO : -1, timeout_ms)) {
		n = read(STDIN_FILENO, keys, sizeof(keys));
		if (n <= 0 || memchr(keys, 'q', (size_t)n) != NULL || memchr(keys, 'Q', (size_t)n) != NULL)
			return false;
	}
	return wait_signal() == 0;
}

static void top_frame(void)
{
	struct top top;
	char *frame = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&frame, &len);

	if (out == NULL)
		ctl_die_memory();
	top_fetch(&top);
	top_write(&top, out);
	if (fclose(out) != 0)
		ctl_die_memory();
	top_draw(frame);
	free(frame);
	top_done(&top);
}

static int top_main(struct operands *operands)
{
	struct top top;

	(void)operands; /* none */
	if (top_interval.given && top_interval.seconds < TOP_SHORTEST_S)
		ctl_die_usage("--interval is %g s or more", TOP_SHORTEST_S);
	ctl_connect();
	if (top_once || ctl.json || !table_is_terminal()) {
		top_fetch(&top);
		if (ctl.json)
			top_print_json(&top);
		else
			top_write(&top, stdout);
		top_done(&top);
		return ctl_finish_output(CTL_DONE);
	}
	wait_catch_signals();
	top_enter_screen();
	do
		top_frame();
	while (top_wait());
	ctl_restore();
	return ctl_finish_output(CTL_DONE);
}

const struct command top_commands[] = {
    {
	.name = "top",
	.synopsis = "[OPTION]...",
	.summary = "a live screen of queues, jobs and workers",
	.text = "Shows the queues, the running jobs and the workers, drawn anew each second; q or\n"
		"Ctrl-C ends it. Elsewhere than on a terminal it prints them once.\n",
	.options = {top_options},
	.operands = COMMAND_TAKES_NOTHING,
	.run = top_main,
    },
    {0},
};
