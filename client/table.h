/*
 * table: rows and columns on standard output. On a terminal they are aligned, with a head and colour, and the widest
 * columns are cut to fit the window; elsewhere a row is a line, its cells separated by tabs, without a head. Control
 * characters in a cell are written as escapes (\t, \n, \\, \x1b) in both, so that a cell can neither break a row nor
 * command a terminal.
 */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 12

enum table_colour {
	TABLE_PLAIN,
	TABLE_DIM,
	TABLE_RED,
	TABLE_GREEN,
	TABLE_YELLOW,
	TABLE_CYAN,
	TABLE_BOLD,
};

struct table_cell {
	char *text;
	enum table_colour colour;
};

struct table {
	const char *const *heads; /* static; a head that begins with '>' aligns its column to the right */
	size_t n_columns;
	bool terminal;
	FILE *out; /* standard output, unless it is set before the first row */
	struct table_cell *cells; /* rows still to be printed, row by row */
	size_t n_cells;
};

/* Whether tables are drawn for people. */
bool table_is_terminal(void);
void table_begin(struct table *table, const char *const *heads, size_t n_columns);
/*
 * Adds the next cell, from left to right; text may be NULL for an empty one. A row that is full is printed when its
 * time comes.
 */
void table_add(struct table *table, const char *text, enum table_colour colour);
/* Prints what is left. */
void table_end(struct table *table);

/* Prints text with its colour, escaped as in a cell; for lines that are no table. */
void table_print(const char *text, enum table_colour colour);

#endif
