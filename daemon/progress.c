/*
 * progress: see progress.h. Numbers are read by hand: strtod(3) takes words, signs and exponents, and goes by a locale.
 */
#include "daemon/progress.h"

#include <string.h>

/* How much of the text fits, without a cut in a character. */
static size_t
progress_cut(const char *text, size_t len)
{
	if (len <= PROGRESS_TEXT)
		return len;
	for (len = PROGRESS_TEXT; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

static void
progress_set_millionths(struct progress *progress, int32_t millionths, const char *text, size_t len)
{
	*progress = (struct progress){.millionths = millionths};
	if (len > 0 && jsonspan_is_text(text, len))
		memcpy(progress->text, text, progress_cut(text, len));
}

void
progress_set(struct progress *progress, double fraction, const char *text, size_t len)
{
	double millionths = fraction * PROGRESS_MILLION + 0.5;
	int32_t whole = millionths > 0 ? PROGRESS_MILLION : 0; /* also what is no number */

	if (millionths > 0 && millionths < PROGRESS_MILLION)
		whole = (int32_t)millionths;
	progress_set_millionths(progress, whole, text, len);
}

void
progress_add_json(const struct progress *progress, struct text *text)
{
	text_add_lit(text, "{\"fraction\":");
	text_add_seconds_us(text, progress->millionths); /* as many digits as a million has */
	text_add_lit(text, ",\"text\":");
	text_add_quoted(text, progress->text);
	text_add_char(text, '}');
}

static bool
progress_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * A decimal number at the start of a line, in millionths of one: its length, or 0 when there is none. What is over 1000
 * stays there.
 */
static size_t
progress_number(const char *line, size_t len, int64_t *ret_millionths)
{
	int64_t millionths = 0, digit_worth = PROGRESS_MILLION;
	size_t at = 0, digits = 0;

	for (; at < len && progress_is_digit(line[at]); at++, digits++) {
		if (millionths <= (int64_t)1000 * PROGRESS_MILLION)
			millionths = millionths * 10 + (int64_t)(line[at] - '0') * PROGRESS_MILLION;
	}
	if (at < len && line[at] == '.') {
		for (at++; at < len && progress_is_digit(line[at]); at++, digits++) {
			digit_worth /= 10;
			millionths += (line[at] - '0') * digit_worth;
		}
	}
	*ret_millionths = millionths;
	return digits > 0 ? at : 0;
}

/* 0, or -1 when the line tells nothing. */
static int
progress_parse(const char *line, size_t len, struct progress *ret_progress)
{
	int64_t millionths;
	size_t at;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	at = progress_number(line, len, &millionths);
	if (at == 0)
		return -1;
	if (at < len && line[at] == '%') {
		millionths /= 100;
		at++;
	}
	if (millionths > PROGRESS_MILLION || (at < len && line[at] != ' ' && line[at] != '\t'))
		return -1;
	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	if (at < len && !jsonspan_is_text(line + at, len - at))
		return -1;
	progress_set_millionths(ret_progress, (int32_t)millionths, line + at, len - at);
	return 0;
}

/* The bytes are the rest of a line, without its end; together with what was kept before they are a whole one. */
static bool
progress_end_line(struct progress_reader *reader, const char *bytes, size_t len)
{
	bool fits = !reader->skipping && reader->len + len <= PROGRESS_LINE;

	if (fits) {
		memcpy(reader->line + reader->len, bytes, len);
		fits = progress_parse(reader->line, reader->len + len, &reader->last) == 0;
	}
	reader->len = 0;
	reader->skipping = false;
	return fits;
}

bool
progress_read(struct progress_reader *reader, const char *bytes, size_t len)
{
	bool news = false;

	while (len > 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t n = end != NULL ? (size_t)(end - bytes) : len;

		if (end != NULL) {
			news = progress_end_line(reader, bytes, n) || news;
			bytes += n + 1;
			len -= n + 1;
			continue;
		}
		reader->skipping = reader->skipping || reader->len + n > PROGRESS_LINE;
		if (!reader->skipping) {
			memcpy(reader->line + reader->len, bytes, n);
			reader->len += n;
		}
		break;
	}
	return news;
}
