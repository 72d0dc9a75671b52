/*
 * items: the lines of map's input, as jobs' args gathered into batches that fit one message.
 */
#ifndef CLIENT_ITEMS_H
#define CLIENT_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "args.h"
#include "ctl.h"
#include "proto/lines.h"
#include "text.h"

struct items {
	int fd;
	const char *name; /* of the input, for messages */
	struct args_task task;
	char **command; /* NULL for a task */
	struct text tail; /* of each command's args */

	struct text input; /* read, and not yet cut into lines */
	size_t input_done;
	struct lines lines;
	bool eof;
	bool wrong; /* the input could not be read on (it was said) */
	int64_t line; /* lines taken so far */

	struct text batch; /* "[item,item" without its end */
	size_t batch_count;
	size_t refused; /* lines directly behind the batch that cannot be items (it was said): they end it */
};

/*
 * file NULL or "-": standard input. Dies where it cannot be opened. Set task or command and tail before the first read.
 */
void items_open(struct items *items, const char *file);
void items_done(struct items *items);
/* Reads once (it may wait where there is no input yet) and takes lines for as long as the batch has room. */
void items_read(struct items *items);
/* Whether the batch is as large as one message should be, or ended by a line that was refused. */
bool items_is_full(const struct items *items);
/* Whether nothing will come behind the present batch. */
bool items_is_over(const struct items *items);
/* Stops reading for good. */
void items_stop(struct items *items);
/*
 * The batch as a JSON array, into out (emptied first), and how many lines behind it were refused; a new one is begun,
 * with the lines that had been read already. Returns how many items it has, perhaps none.
 */
size_t items_take_batch(struct items *items, struct text *out, size_t *ret_refused);

#endif
