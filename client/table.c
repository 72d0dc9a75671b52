/*
 * Tables on standard output. On a terminal up to TABLE_ROWS rows are kept to find the columns' widths, so that a long
 * table still begins at once and memory stays flat.
 */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "ctl.h"

#define TABLE_ROWS      1000
#define TABLE_NARROWEST 8

static const char *table_sequence(enum table_colour colour)
{
	switch (colour) {
	case TABLE_PLAIN: return "";
	case TABLE_DIM: return "\033[2m";
	case TABLE_RED: return "\033[31m";
	case TABLE_GREEN: return "\033[32m";
	case TABLE_YELLOW: return "\033[33m";
	case TABLE_CYAN: return "\033[36m";
	case TABLE_BOLD: return "\033[1m";
	}
	return "";
}

bool table_is_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

static bool table_has_colour(void)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	return table_is_terminal() && (no_color == NULL || no_color[0] == '\0') &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}

static char *table_escape(const char *text)
{
	struct text out = {0};

	for (const char *at = text; *at != '\0'; at++) {
		switch (*at) {
		case '\t': text_add_string(&out, "\\t"); break;
		case '\n': text_add_string(&out, "\\n"); break;
		case '\r': text_add_string(&out, "\\r"); break;
		case '\\': text_add_string(&out, "\\\\"); break;
		default:
			/* The C1 control characters are U+0080 to U+009F: C2 80 to C2 9F. */
			if ((unsigned char)*at < 0x20 || *at == 0x7f)
				text_add_format(&out, "\\x%02x", (unsigned char)*at);
			else if ((unsigned char)*at == 0xc2 && (unsigned char)at[1] >= 0x80 &&
				 (unsigned char)at[1] < 0xa0)
				text_add_format(&out, "\\x%02x", (unsigned char)*++at);
			else
				text_add(&out, at, 1);
		}
	}
	if (out.failed)
		ctl_die_memory();
	return text_take(&out);
}

/* How many columns of a terminal text takes; bytes where the locale cannot tell. */
static size_t table_width(const char *text)
{
	size_t columns = 0, n;
	mbstate_t state = {0};
	wchar_t wide;
	int width;

	for (const char *at = text; *at != '\0'; at += n) {
		n = mbrtowc(&wide, at, strlen(at), &state);
		if (n == (size_t)-1 || n == (size_t)-2)
			return strlen(text);
		width = wcwidth(wide);
		columns += width > 0 ? (size_t)width : 0;
	}
	return columns;
}

/* Cuts text to so many columns (more than 3), with "..." at its end. */
static void table_cut(char *text, size_t columns)
{
	char *at = text;
	size_t n, width = 0;
	mbstate_t state = {0};
	wchar_t wide;
	int more;

	if (table_width(text) <= columns)
		return;
	while (*at != '\0') {
		n = mbrtowc(&wide, at, strlen(at), &state);
		if (n == (size_t)-1 || n == (size_t)-2)
			n = 1;
		more = n == 1 ? 1 : wcwidth(wide);
		if (width + (size_t)(more > 0 ? more : 0) > columns - 3)
			break;
		width += (size_t)(more > 0 ? more : 0);
		at += n;
	}
	/* There were more than columns, so three bytes follow at least. */
	memcpy(at, "...", 4);
}

void table_print(const char *text, enum table_colour colour)
{
	char *escaped = table_escape(text);
	bool coloured = colour != TABLE_PLAIN && table_has_colour();

	printf("%s%s%s", coloured ? table_sequence(colour) : "", escaped, coloured ? "\033[0m" : "");
	free(escaped);
}

void table_begin(struct table *table, const char *const *heads, size_t n_columns)
{
	*table = (struct table){
	    .heads = heads, .n_columns = n_columns, .terminal = table_is_terminal(), .out = stdout};
	table->cells = calloc((TABLE_ROWS + 1) * n_columns, sizeof(*table->cells));
	if (table->cells == NULL)
		ctl_die_memory();
	for (size_t i = 0; table->terminal && i < n_columns; i++)
		table_add(table, heads[i] + (heads[i][0] == '>'), TABLE_BOLD);
}

static void table_print_plain(const struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		fprintf(table->out, "%s%c", table->cells[i].text, (i + 1) % table->n_columns == 0 ? '\n' : '\t');
}

static size_t table_columns(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 ? 80 : size.ws_col;
}

/* Narrows the widest columns until the table fits the window; below TABLE_NARROWEST it is not a table any more. */
static void table_fit(size_t *widths, size_t n_columns)
{
	size_t columns = table_columns(), total = 2 * (n_columns - 1), widest;

	for (size_t i = 0; i < n_columns; i++)
		total += widths[i];
	for (; total > columns; total--) {
		widest = 0;
		for (size_t i = 1; i < n_columns; i++)
			if (widths[i] >= widths[widest])
				widest = i;
		if (widths[widest] <= TABLE_NARROWEST)
			break;
		widths[widest]--;
	}
}

static void table_print_cell(const struct table *table, size_t index, size_t width, bool coloured)
{
	const struct table_cell *cell = &table->cells[index];
	size_t column = index % table->n_columns;
	bool last = column + 1 == table->n_columns, right = table->heads[column][0] == '>';
	int space;

	table_cut(cell->text, width);
	space = (int)(width - table_width(cell->text));
	coloured = coloured && cell->colour != TABLE_PLAIN;
	fprintf(table->out, "%*s%s%s%s%*s%s", right ? space : 0, "", coloured ? table_sequence(cell->colour) : "", cell->text,
	    coloured ? "\033[0m" : "", right || last ? 0 : space, "", last ? "\n" : "  ");
}

static void table_print_aligned(const struct table *table)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0}, width;
	bool coloured = table_has_colour();

	for (size_t i = 0; i < table->n_cells; i++) {
		width = table_width(table->cells[i].text);
		if (width > widths[i % table->n_columns])
			widths[i % table->n_columns] = width;
	}
	table_fit(widths, table->n_columns);
	for (size_t i = 0; i < table->n_cells; i++)
		table_print_cell(table, i, widths[i % table->n_columns], coloured);
}

static void table_flush(struct table *table)
{
	if (table->terminal)
		table_print_aligned(table);
	else
		table_print_plain(table);
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i].text);
	table->n_cells = 0;
}

void table_add(struct table *table, const char *text, enum table_colour colour)
{
	table->cells[table->n_cells++] = (struct table_cell){table_escape(text != NULL ? text : ""), colour};
	if (table->n_cells == (table->terminal ? TABLE_ROWS + 1 : 1) * table->n_columns)
		table_flush(table);
}

void table_end(struct table *table)
{
	table_flush(table);
	free(table->cells);
	*table = (struct table){0};
}
