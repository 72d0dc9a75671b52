/*
 * tokens: the tokens file: who else may come by TCP, and as what.
 *
 * A line each: NAME ROLE SHA256, the last being the hash of the token in hexadecimal, so that who reads the file cannot use it; '#' begins
 * a comment. The file is read at the start and at SIGHUP. A file that others than its owner may write is refused: it says who
 * is operator. Loop thread.
 */
#ifndef DAEMON_TOKENS_H
#define DAEMON_TOKENS_H

#include <stdbool.h>

#include "daemon/request.h"

struct tokens;

/*
 * Reads the file. optional: one that is not there is empty. NULL with *ret_reason malloc'ed ("FILE:LINE: …"): it cannot be read,
 * is not safe, or a line is wrong.
 */
struct tokens *tokens_open(const char *path, bool optional, char **ret_reason);
void tokens_close(struct tokens *tokens);
/* Reads it again. -1 with *ret_reason: all stays as it was. */
int tokens_reload(struct tokens *tokens, char **ret_reason);
size_t tokens_count(const struct tokens *tokens);

/* Whose token the text is: false: nobody's, and the peer stays who it was. Its owner is "token:NAME". */
bool tokens_find(const struct tokens *tokens, const char *text, struct peer *peer);
/* Whether the token by which the peer came still stands there, for that owner with that role; who came by none of these does. */
bool tokens_still_holds(const struct tokens *tokens, const struct peer *peer);

#endif
