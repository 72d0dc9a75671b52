/*
 * names: the texts that many jobs share (tasks, queues, owners) and the lines (pool, queue, owner) as small integers,
 * so that rows are small and a line is compared as one number.
 *
 * All of them are in memory, so a lookup never asks the database, and one that is not found is new. Invariant: memory
 * is what the database holds, with what the open transaction added; after a rollback that had added some, all is read
 * again. Recovery deletes the names that no job has when they have become many.
 */
#include "db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

#define NAMES_PLACES 64
#define NAMES_MAX    (1 << 24)

static size_t
names_hash_text(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return (size_t)(hash ^ (hash >> 32));
}

static size_t
names_hash_line(unsigned pool, int64_t queue, int64_t owner)
{
	uint64_t hash = ((uint64_t)queue * 4 + pool) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)owner;

	hash *= UINT64_C(0xbf58476d1ce4e5b9);
	return (size_t)(hash ^ (hash >> 29));
}

/* The place of text: where it is, or the free one where it belongs. */
static size_t
names_place_text(const struct sq_names *names, const char *text)
{
	size_t mask = names->text_places - 1, place = names_hash_text(text) & mask;

	while (names->text_hash[place] != 0 && strcmp(names->texts[names->text_hash[place]], text) != 0)
		place = (place + 1) & mask;
	return place;
}

static size_t
names_place_line(const struct sq_names *names, unsigned pool, int64_t queue, int64_t owner)
{
	size_t mask = names->line_places - 1, place = names_hash_line(pool, queue, owner) & mask;

	for (; names->line_hash[place] != 0; place = (place + 1) & mask) {
		const struct sq_line *line = &names->lines[names->line_hash[place]];

		if (line->queue == queue && line->owner == owner && line->pool == pool)
			break;
	}
	return place;
}

static void
names_grow_texts(struct sq_names *names)
{
	free(names->text_hash);
	names->text_places = names->text_places != 0 ? names->text_places * 2 : NAMES_PLACES;
	names->text_hash = mem_new_array(names->text_places, sizeof(*names->text_hash));
	for (size_t id = 1; id < names->n_texts; id++) {
		if (names->texts[id] != NULL)
			names->text_hash[names_place_text(names, names->texts[id])] = (uint32_t)id;
	}
}

static void
names_grow_lines(struct sq_names *names)
{
	free(names->line_hash);
	names->line_places = names->line_places != 0 ? names->line_places * 2 : NAMES_PLACES;
	names->line_hash = mem_new_array(names->line_places, sizeof(*names->line_hash));
	for (size_t id = 1; id < names->n_lines; id++) {
		const struct sq_line *line = &names->lines[id];

		if (line->queue != 0)
			names->line_hash[names_place_line(names, line->pool, line->queue, line->owner)] = (uint32_t)id;
	}
}

static void
names_insert_text(struct sq_names *names, size_t id, const char *text)
{
	while (names->n_texts <= id) {
		names->texts = mem_room(names->texts, names->n_texts, &names->texts_capacity, sizeof(*names->texts));
		names->texts[names->n_texts++] = NULL;
	}
	names->texts[id] = mem_text(text);
	if (++names->text_count * 2 > names->text_places)
		names_grow_texts(names);
	else
		names->text_hash[names_place_text(names, text)] = (uint32_t)id;
}

static void
names_insert_line(struct sq_names *names, size_t id, struct sq_line line)
{
	while (names->n_lines <= id) {
		names->lines = mem_room(names->lines, names->n_lines, &names->lines_capacity, sizeof(*names->lines));
		names->lines[names->n_lines++] = (struct sq_line){0};
	}
	names->lines[id] = line;
	if (++names->line_count * 2 > names->line_places)
		names_grow_lines(names);
	else
		names->line_hash[names_place_line(names, line.pool, line.queue, line.owner)] = (uint32_t)id;
}

void
sq_names_done(struct sq_names *names)
{
	for (size_t id = 0; id < names->n_texts; id++)
		free(names->texts[id]);
	free(names->texts);
	free(names->lines);
	free(names->text_hash);
	free(names->line_hash);
	*names = (struct sq_names){0};
}

static int
names_load_texts(struct sq_db *db, sqlite3_stmt *row)
{
	int rc;

	while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(row, 0);
		const char *text = (const char *)sqlite3_column_text(row, 1);

		if (sq_texts_came(db) < 0)
			return -1;
		if (id < 1 || id >= NAMES_MAX || text == NULL || !sq_sound_text(text))
			return sq_fail_corrupt(db, "name %lld is not sound", (long long)id);
		names_insert_text(&db->names, (size_t)id, text);
	}
	return rc == SQLITE_DONE ? 0 : sq_fail(db, rc);
}

static int
names_load_lines(struct sq_db *db, sqlite3_stmt *row)
{
	int rc;

	while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(row, 0), pool = sqlite3_column_int64(row, 1);
		struct sq_line line = {.queue = sqlite3_column_int64(row, 2),
		    .owner = sqlite3_column_int64(row, 3),
		    .pool = (uint8_t)pool};

		if (id < 1 || id >= NAMES_MAX || pool < 0 || pool >= POOL_COUNT ||
		    sq_names_get_text(&db->names, line.queue) == NULL ||
		    sq_names_get_text(&db->names, line.owner) == NULL)
			return sq_fail_corrupt(db, "line %lld is not sound", (long long)id);
		names_insert_line(&db->names, (size_t)id, line);
	}
	return rc == SQLITE_DONE ? 0 : sq_fail(db, rc);
}

static int
names_load_by(struct sq_db *db, const char *sql, int (*load)(struct sq_db *db, sqlite3_stmt *row))
{
	sqlite3_stmt *row;
	int rc = sqlite3_prepare_v2(db->sqlite, sql, -1, &row, NULL), result;

	if (rc != SQLITE_OK)
		return sq_fail(db, rc);
	result = load(db, row);
	sqlite3_finalize(row);
	return result;
}

int
sq_names_load(struct sq_db *db)
{
	struct sq_names *names = &db->names;

	sq_names_done(names);
	names->texts = mem_room(NULL, 0, &names->texts_capacity, sizeof(*names->texts));
	names->lines = mem_room(NULL, 0, &names->lines_capacity, sizeof(*names->lines));
	names->texts[names->n_texts++] = NULL;
	names->lines[names->n_lines++] = (struct sq_line){0};
	names_grow_texts(names);
	names_grow_lines(names);
	if (names_load_by(db, "SELECT id, text FROM name ORDER BY id", names_load_texts) < 0)
		return -1;
	return names_load_by(db, "SELECT id, pool, queue, owner FROM line ORDER BY id", names_load_lines);
}

int64_t
sq_names_find_text(const struct sq_names *names, const char *text)
{
	return names->text_hash[names_place_text(names, text)];
}

int64_t
sq_names_find_line(const struct sq_names *names, unsigned pool, const char *queue, const char *owner)
{
	int64_t queue_id = sq_names_find_text(names, queue), owner_id = sq_names_find_text(names, owner);

	if (queue_id == 0 || owner_id == 0)
		return 0;
	return names->line_hash[names_place_line(names, pool, queue_id, owner_id)];
}

static int
names_fail_full(struct sq_db *db)
{
	sq_fail(db, SQLITE_FULL);
	snprintf(db->failure.text, sizeof(db->failure.text), "more than %d names of queues and owners", NAMES_MAX);
	return -1;
}

int
sq_names_text(struct sq_db *db, const char *text, int64_t *ret_id)
{
	struct sq_names *names = &db->names;
	int64_t id = sq_names_find_text(names, text);

	if (id == 0) {
		id = (int64_t)names->n_texts;
		if (id >= NAMES_MAX)
			return names_fail_full(db);
		sq_bind(db, SQ_NAME_ADD, 1, id);
		sq_bind_text(db, SQ_NAME_ADD, 2, text);
		if (sq_run(db, SQ_NAME_ADD) < 0)
			return -1;
		names->added = true;
		names_insert_text(names, (size_t)id, text);
	}
	*ret_id = id;
	return 0;
}

int
sq_names_line(struct sq_db *db, unsigned pool, const char *queue, const char *owner, int64_t *ret_id)
{
	struct sq_names *names = &db->names;
	struct sq_line line = {.pool = (uint8_t)pool};
	int64_t id;

	if (sq_names_text(db, queue, &line.queue) < 0 || sq_names_text(db, owner, &line.owner) < 0)
		return -1;
	id = names->line_hash[names_place_line(names, pool, line.queue, line.owner)];
	if (id == 0) {
		id = (int64_t)names->n_lines;
		if (id >= NAMES_MAX)
			return names_fail_full(db);
		sq_bind(db, SQ_LINE_ADD, 1, id);
		sq_bind(db, SQ_LINE_ADD, 2, line.pool);
		sq_bind(db, SQ_LINE_ADD, 3, line.queue);
		sq_bind(db, SQ_LINE_ADD, 4, line.owner);
		if (sq_run(db, SQ_LINE_ADD) < 0)
			return -1;
		names->added = true;
		names_insert_line(names, (size_t)id, line);
	}
	*ret_id = id;
	return 0;
}

/* Most jobs are like the one before: three short comparisons in place of four lookups. */
static bool
names_same(const struct sq_names *names, const struct spec *spec)
{
	const struct sq_line *line = &names->lines[names->last_line];

	return names->last_line != 0 && line->pool == spec->pool &&
	    strcmp(names->texts[names->last_task], spec->task) == 0 &&
	    strcmp(names->texts[line->queue], spec->queue) == 0 && strcmp(names->texts[line->owner], spec->owner) == 0;
}

int
sq_names_spec(struct sq_db *db, const struct spec *spec, int64_t *ret_task, int64_t *ret_line)
{
	struct sq_names *names = &db->names;
	int64_t task, line;

	if (!names_same(names, spec)) {
		if (sq_names_text(db, spec->task, &task) < 0 ||
		    sq_names_line(db, spec->pool, spec->queue, spec->owner, &line) < 0)
			return -1;
		names->last_task = task;
		names->last_line = line;
	}
	*ret_task = names->last_task;
	*ret_line = names->last_line;
	return 0;
}

const char *
sq_names_get_text(const struct sq_names *names, int64_t id)
{
	return id > 0 && (uint64_t)id < names->n_texts ? names->texts[id] : NULL;
}

const struct sq_line *
sq_names_get_line(const struct sq_names *names, int64_t id)
{
	return id > 0 && (uint64_t)id < names->n_lines && names->lines[id].queue != 0 ? &names->lines[id] : NULL;
}
