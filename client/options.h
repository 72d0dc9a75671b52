/*
 * options: what may stand on a command line. One table says how an option is written, what it takes and how help
 * explains it.
 */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl.h"
#include "text.h"

enum option_kind {
	OPTION_FLAG,     /* into a bool */
	OPTION_TEXT,     /* into a const char * */
	OPTION_INTEGER,  /* into a struct option_integer */
	OPTION_DURATION, /* into a struct option_duration */
};

struct option_integer {
	bool given;
	int64_t value;
};

struct option_duration {
	bool given;
	double seconds;
};

struct option_spec {
	const char *name; /* without dashes; NULL ends a table */
	char letter;      /* 0: none */
	enum option_kind kind;
	void *into;
	const char *takes; /* what help calls its value; NULL for a flag */
	const char *help;
};

/*
 * Reads argv[1...] by the tables (NULL after the last). Options may stand among operands; "-5" and "-" are operands,
 * "--" ends the options. stop_at_operand: the first operand ends them too. ret_operands->at is freed by the caller; the
 * words are argv's. 0, or -1 with a sentence in wrong.
 */
int options_read(const struct option_spec *const *tables, bool stop_at_operand, bool takes_command, int argc,
    char **argv, struct operands *ret_operands, struct text *wrong);

/* The option of tables that word is ("--name", "--name=value", "-n"), or NULL. */
const struct option_spec *options_match(const struct option_spec *const *tables, const char *word);
/* Prints a table as help shows it. */
void options_print(const struct option_spec *table);

#endif
