/*
 * token: see token.h. Comparison takes the same time wherever the first difference is.
 */
#include "daemon/token.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "daemon/server.h"
#include "daemon/tokens.h"

#define TOKEN_BYTES 32

struct token {
	char text[2 * TOKEN_BYTES + 1];
};

static int
token_make(int dir, struct token *token)
{
	unsigned char bytes[TOKEN_BYTES];
	int fd, error = 0;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(token->text + 2 * i, 3, "%02x", bytes[i]);
	/* first under another name: a token cut short by a crash would lock everybody out */
	fd = openat(dir, "token.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	if (dprintf(fd, "%s\n", token->text) < 0 || fsync(fd) < 0 || renameat(dir, "token.new", dir, "token") < 0)
		error = -1;
	close(fd);
	return error;
}

static int
token_read(int dir, struct token *token)
{
	int fd = openat(dir, "token", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return -1;
	/* who has put it there could have the daemon do what he likes */
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	n = read(fd, token->text, sizeof(token->text) - 1);
	close(fd);
	if (n < 0)
		return -1;
	token->text[n] = '\0';
	token->text[strcspn(token->text, "\r\n")] = '\0';
	errno = ENOENT; /* an empty file is none */
	return token->text[0] != '\0' ? 0 : -1;
}

struct token *
token_open(int dir)
{
	struct token *token = mem_new(sizeof(*token));

	if (token_read(dir, token) == 0 || (errno == ENOENT && token_make(dir, token) == 0))
		return token;
	free(token);
	return NULL;
}

void
token_close(struct token *token)
{
	if (token == NULL)
		return;
	OPENSSL_cleanse(token, sizeof(*token));
	free(token);
}

bool
token_authenticate(struct server *server, const char *text, struct peer *peer)
{
	const struct token *token = server->token;
	size_t len = strlen(token->text);

	if (strlen(text) != len || CRYPTO_memcmp(text, token->text, len) != 0)
		return tokens_find(server->tokens, text, peer);
	peer->role = ROLE_OPERATOR;
	snprintf(peer->owner, sizeof(peer->owner), "uid:%u", (unsigned)geteuid());
	return true;
}
