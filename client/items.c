/*
 * The lines of map's input. Memory is bounded by one batch, one line and one read: who calls stops reading while the
 * batch is full.
 *
 * A line that cannot be an item, since the protocol has only text, is refused and told by its number; the lines behind it
 * go on. It ends its batch, so that the place of each item among the results is known. A line that is too long to be kept
 * ends the input.
 */
#include "items.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "value.h"

#define ITEMS_LINE_MAX  (16u << 20)
#define ITEMS_BATCH     50000
#define ITEMS_BATCH_MAX (4u << 20) /* bytes */
#define ITEMS_READ      65536

void items_open(struct items *items, const char *file)
{
	items->fd = STDIN_FILENO;
	items->name = "standard input";
	lines_init(&items->lines, ITEMS_LINE_MAX);
	if (file == NULL || strcmp(file, "-") == 0)
		return;
	items->name = file;
	items->fd = open(file, O_RDONLY | O_CLOEXEC);
	if (items->fd < 0)
		ctl_die(CTL_REFUSED, "cannot open %s: %s", file, strerror(errno));
}

void items_done(struct items *items)
{
	if (items->fd != STDIN_FILENO)
		close(items->fd);
	args_task_done(&items->task);
	text_done(&items->tail);
	text_done(&items->input);
	text_done(&items->batch);
}

static void items_refuse(struct items *items, const char *why)
{
	ctl_say("line %lld of %s %s, so it cannot be sent", (long long)items->line, items->name, why);
	items->refused++;
}

static void items_end(struct items *items, const char *why)
{
	ctl_say("line %lld of %s %s; nothing behind it is read", (long long)items->line, items->name, why);
	items->wrong = true;
	items->eof = true;
}

/* Appends word with each {} in it replaced by the item; *ret_replaced is set where there was one. */
static void items_fill(struct text *out, const char *word, const char *item, bool *ret_replaced)
{
	const char *at;

	for (; (at = strstr(word, "{}")) != NULL; word = at + 2) {
		text_add(out, word, (size_t)(at - word));
		text_add_string(out, item);
		*ret_replaced = true;
	}
	text_add_string(out, word);
}

static void items_add_command(struct items *items, const char *item)
{
	struct text word = {0};
	bool replaced = false;
	size_t count = 0;
	char **argv;

	while (items->command[count] != NULL)
		count++;
	argv = calloc(count + 2, sizeof(*argv));
	if (argv == NULL)
		ctl_die_memory();
	for (size_t i = 0; i < count; i++) {
		items_fill(&word, items->command[i], item, &replaced);
		argv[i] = text_take(&word);
		if (argv[i] == NULL)
			ctl_die_memory();
	}
	if (!replaced && (argv[count] = strdup(item)) == NULL)
		ctl_die_memory();
	args_write_exec(&items->batch, argv, &items->tail);
	for (size_t i = 0; i <= count; i++)
		free(argv[i]);
	free(argv);
}

static bool items_is_whole(const char *item)
{
	const char *first = item + strspn(item, " \t\r");

	return (*first == '[' || *first == '{') && value_is_json(item);
}

/* line has len bytes, which are text, and a NUL behind them. */
static void items_add(struct items *items, const char *line, size_t len)
{
	text_add(&items->batch, items->batch_count == 0 ? "[" : ",", 1);
	if (items->command != NULL) {
		items_add_command(items, line);
	} else if (items_is_whole(line)) {
		text_add(&items->batch, line, len);
	} else {
		text_add(&items->batch, "[", 1);
		args_write_word(&items->batch, &items->task, 0, line);
		text_add(&items->batch, "]", 1);
	}
	ctl_text(&items->batch);
	items->batch_count++;
}

bool items_is_full(const struct items *items)
{
	return items->batch_count >= ITEMS_BATCH || items->batch.len >= ITEMS_BATCH_MAX || items->refused > 0;
}

bool items_is_over(const struct items *items)
{
	return items->refused == 0 && (items->wrong || (items->eof && items->input_done == items->input.len));
}

void items_stop(struct items *items)
{
	items->eof = true;
	text_clear(&items->input);
	items->input_done = 0;
}

/*
 * The next line of what was read, a last one without an end too: with a NUL behind it and its length, or NULL where none is
 * whole yet.
 */
static char *items_next_line(struct items *items, size_t *ret_len)
{
	struct text *input = &items->input;
	char *line = input->at + items->input_done;
	size_t from = items->input_done + items->lines.scanned, len;
	enum lines_verdict verdict = lines_scan(&items->lines, input->at + from, input->len - from, &len);

	if (verdict == LINES_MORE && !items->eof)
		return NULL;
	items->line++;
	if (verdict == LINES_TOO_LONG) {
		items_end(items, "is over 16 MiB, the largest message");
		return NULL;
	}
	if (verdict == LINES_MORE)
		len = input->len - items->input_done;
	/* Behind the last line there is room for a NUL: read leaves it. */
	line[len] = '\0';
	items->input_done += len + (verdict == LINES_LINE);
	*ret_len = len;
	return line;
}

/* Makes items of lines while there is room. A line that is refused ends the batch. */
static void items_cut(struct items *items)
{
	struct text *input = &items->input;
	size_t len;
	char *line;

	while (!items->wrong && !items_is_full(items) && items->input_done < input->len) {
		line = items_next_line(items, &len);
		if (line == NULL)
			break;
		if (jsonspan_is_text(line, len))
			items_add(items, line, len);
		else
			items_refuse(items, memchr(line, '\0', len) != NULL ? "holds a NUL byte" : "is not valid UTF-8");
	}
	if (items->input_done == input->len) {
		text_clear(input);
		items->input_done = 0;
	}
}

void items_read(struct items *items)
{
	struct text *input = &items->input;
	char *at;
	ssize_t n;

	if (items->input_done > 0) {
		input->len -= items->input_done;
		memmove(input->at, input->at + items->input_done, input->len);
		items->input_done = 0;
	}
	at = text_reserve(input, ITEMS_READ);
	if (at == NULL)
		ctl_die_memory();
	n = read(items->fd, at, ITEMS_READ);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		ctl_say("cannot read %s: %s", items->name, strerror(errno));
		items->wrong = true;
	}
	if (n <= 0)
		items->eof = true;
	else
		input->len += (size_t)n;
	items_cut(items);
}

size_t items_take_batch(struct items *items, struct text *out, size_t *ret_refused)
{
	size_t count = items->batch_count;
	struct text spare = *out;

	text_add_string(&items->batch, count == 0 ? "[]" : "]");
	ctl_text(&items->batch);
	*out = items->batch;
	text_clear(&spare);
	items->batch = spare;
	items->batch_count = 0;
	*ret_refused = items->refused;
	items->refused = 0;
	items_cut(items);
	return count;
}
