/*
 * The line of progress. The state of the terminal is one flag: whether our line stands on it.
 */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "text.h"
#include "value.h"

#define PROGRESS_BAR_MAX 40

static bool progress_drawn;
static double progress_began;

bool progress_wanted(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
}

static double progress_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int progress_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

static void progress_write_words(const struct progress *progress, struct text *out)
{
	double passed = progress_now() - progress_began;

	text_add_format(out, " %lld of %lld%s", (long long)progress->ended, (long long)progress->total,
	    progress->growing ? "+" : "");
	if (progress->failed > 0)
		text_add_format(out, ", %lld failed", (long long)progress->failed);
	if (progress->growing || progress->ended == 0 || progress->ended == progress->total || passed < 1)
		return;
	text_add_string(out, ", ");
	value_write_duration(out, passed / (double)progress->ended * (double)(progress->total - progress->ended));
	text_add_string(out, " left");
}

void progress_draw(const struct progress *progress)
{
	struct text words = {0};
	int bar, full;

	if (progress_began == 0)
		progress_began = progress_now();
	progress_write_words(progress, &words);
	bar = progress_columns() - (int)words.len - 4;
	bar = bar > PROGRESS_BAR_MAX ? PROGRESS_BAR_MAX : bar;
	full = progress->total == 0 || bar < 0 ? 0
					       : (int)((double)bar * (double)progress->ended / (double)progress->total);
	fputs("\r", stderr);
	if (bar >= 5) {
		fputc('[', stderr);
		for (int i = 0; i < bar; i++)
			fputc(i < full ? '#' : '.', stderr);
		fputc(']', stderr);
	}
	fprintf(stderr, "%s\033[K", text_string(&words));
	fflush(stderr);
	text_done(&words);
	progress_drawn = true;
}

void progress_clear(void)
{
	if (!progress_drawn)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress_drawn = false;
}
