/*
 * token: the operator's token in STATE_DIR/token, made at the first start with mode 0600, and who a token says one is (those of others: tokens.h). Loop thread.
 */
#ifndef DAEMON_TOKEN_H
#define DAEMON_TOKEN_H

#include "daemon/request.h"

struct token;

/* Reads or makes the file in the folder dir. NULL with errno. */
struct token *token_open(int dir);
void token_close(struct token *token);
/* struct server's authenticate. */
bool token_authenticate(struct server *server, const char *text, struct peer *peer);

#endif
