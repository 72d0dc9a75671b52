/*
 * feed: rows of ours as a table, so that a thousand jobs are one INSERT … SELECT … FROM feed: SQLite's cursor stays
 * where the last row went in, and no statement is begun and ended for each (a third to a half of a row's time).
 *
 * A virtual table without a schema entry of its own, the columns c0, c1, …. Whatever db->feed points to is what it
 * shows; it is gone through once.
 */
#include "db.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/mem.h"

#define FEED_SCHEMA                                                                            \
	"CREATE TABLE feed (c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, " \
	"c15, c16, c17, c18, c19, c20)"

struct feed_table {
	sqlite3_vtab base;
	struct sq_db *db;
};

struct feed_cursor {
	sqlite3_vtab_cursor base;
	struct sq_feed *feed;
	bool end;
	sqlite3_int64 n;
};

static int
feed_connect(sqlite3 *sqlite, void *arg, int argc, const char *const *argv, sqlite3_vtab **ret_table, char **ret_error)
{
	struct feed_table *table;
	int rc;

	(void)argc;
	(void)argv;
	(void)ret_error;
	rc = sqlite3_declare_vtab(sqlite, FEED_SCHEMA);
	if (rc != SQLITE_OK)
		return rc;
	table = mem_new(sizeof(*table));
	table->db = arg;
	*ret_table = &table->base;
	return SQLITE_OK;
}

static int
feed_disconnect(sqlite3_vtab *table)
{
	free(table);
	return SQLITE_OK;
}

static int
feed_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
	(void)table;
	info->estimatedCost = 1000;
	info->estimatedRows = 1000;
	return SQLITE_OK;
}

static int
feed_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret_cursor)
{
	struct feed_cursor *cursor = mem_new(sizeof(*cursor));

	cursor->feed = ((struct feed_table *)table)->db->feed;
	*ret_cursor = &cursor->base;
	return SQLITE_OK;
}

static int
feed_close(sqlite3_vtab_cursor *cursor)
{
	free(cursor);
	return SQLITE_OK;
}

static int
feed_next(sqlite3_vtab_cursor *base)
{
	struct feed_cursor *cursor = (struct feed_cursor *)base;

	cursor->end = !cursor->feed->next(cursor->feed);
	cursor->n++;
	return SQLITE_OK;
}

static int
feed_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc, sqlite3_value **argv)
{
	(void)number;
	(void)text;
	(void)argc;
	(void)argv;
	return feed_next(cursor);
}

static int
feed_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct feed_cursor *)cursor)->end;
}

static int
feed_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
	struct feed_cursor *cursor = (struct feed_cursor *)base;

	cursor->feed->column(cursor->feed, context, column);
	return SQLITE_OK;
}

static int
feed_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *ret_rowid)
{
	*ret_rowid = ((struct feed_cursor *)cursor)->n;
	return SQLITE_OK;
}

static const sqlite3_module feed_module = {
    .xConnect = feed_connect,
    .xBestIndex = feed_best_index,
    .xDisconnect = feed_disconnect,
    .xOpen = feed_open,
    .xClose = feed_close,
    .xFilter = feed_filter,
    .xNext = feed_next,
    .xEof = feed_eof,
    .xColumn = feed_column,
    .xRowid = feed_rowid,
};

int
sq_feed_register(struct sq_db *db)
{
	int rc = sqlite3_create_module(db->sqlite, "feed", &feed_module, db);

	return rc == SQLITE_OK ? 0 : sq_fail(db, rc);
}

int
sq_feed_run(struct sq_db *db, enum sq_statement which, struct sq_feed *feed)
{
	int result;

	assert(db->feed == NULL);
	db->feed = feed;
	result = sq_run(db, which);
	db->feed = NULL;
	return result;
}

void
sq_feed_span(sqlite3_context *context, struct span span)
{
	if (span.at != NULL)
		sqlite3_result_text64(context, span.at, span.len, SQLITE_STATIC, SQLITE_UTF8);
}

void
sq_feed_text(sqlite3_context *context, const char *text)
{
	if (text != NULL)
		sqlite3_result_text(context, text, -1, SQLITE_STATIC);
}

void
sq_feed_time(sqlite3_context *context, int64_t ms)
{
	if (ms != SPEC_NONE)
		sqlite3_result_int64(context, ms);
}
