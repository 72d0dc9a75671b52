/*
 * tokens: see tokens.h. A token is looked for by its hash, so how long the search takes tells nothing that helps to guess one.
 */
#include "daemon/tokens.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "proto/holder.h"

#define TOKENS_OWNER "token:"
#define TOKENS_LINE_MAX 512

struct tokens_entry {
	char name[HOLDER_MAX + 1];
	enum role role;
	unsigned char hash[SHA256_DIGEST_LENGTH];
};

struct tokens {
	char *path;
	bool optional;
	struct tokens_entry *entries;
	size_t n, capacity;
};

/* ---- a line ---------------------------------------------------------------------------------------------------------------- */

static bool
tokens_read_hash(const char *word, unsigned char hash[SHA256_DIGEST_LENGTH])
{
	if (strlen(word) != 2 * SHA256_DIGEST_LENGTH || strspn(word, "0123456789abcdefABCDEF") != 2 * SHA256_DIGEST_LENGTH)
		return false;
	for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++)
		sscanf(word + 2 * i, "%2hhx", &hash[i]);
	return true;
}

/* NULL, or what is wrong with the line (which is cut into words). *ret_empty: there is nothing in it. */
static const char *
tokens_read_line(char *line, struct tokens_entry *ret_entry, bool *ret_empty)
{
	char *rest = NULL, *name, *role, *hash;

	line[strcspn(line, "#\r\n")] = '\0';
	name = strtok_r(line, " \t", &rest);
	*ret_empty = name == NULL;
	if (name == NULL)
		return NULL;
	role = strtok_r(NULL, " \t", &rest);
	hash = strtok_r(NULL, " \t", &rest);
	if (hash == NULL || strtok_r(NULL, " \t", &rest) != NULL)
		return "a line is NAME ROLE SHA256";
	if (!holder_is_name(name))
		return HOLDER_RULES;
	strcpy(ret_entry->name, name);
	if (role_parse(role, &ret_entry->role) < 0)
		return "a role is reader, user or operator";
	if (!tokens_read_hash(hash, ret_entry->hash))
		return "the third word is the SHA-256 of the token, 64 hexadecimal digits";
	return NULL;
}

/* ---- the file -------------------------------------------------------------------------------------------------------------- */

static const struct tokens_entry *
tokens_find_name(const struct tokens *tokens, const char *name)
{
	for (size_t i = 0; i < tokens->n; i++) {
		if (strcmp(tokens->entries[i].name, name) == 0)
			return &tokens->entries[i];
	}
	return NULL;
}

/* NULL, or why the file is not to be trusted. */
static const char *
tokens_distrust(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "it is no regular file";
	if ((st.st_mode & 022) != 0)
		return "others than its owner may write it (chmod go-w)";
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return "it belongs to another user";
	return NULL;
}

static int
tokens_read_file(struct tokens *tokens, FILE *file, char **ret_reason)
{
	char *line = NULL;
	const char *why = NULL;
	unsigned number = 0;
	size_t room = 0;
	ssize_t len;
	bool empty;

	while (why == NULL && (len = getline(&line, &room, file)) >= 0) {
		struct tokens_entry entry = {.name = ""};

		number++;
		if (len > TOKENS_LINE_MAX)
			why = "the line is too long";
		else if (memchr(line, '\0', (size_t)len) != NULL)
			why = "there is a NUL in this line: the file is no text";
		else
			why = tokens_read_line(line, &entry, &empty);
		if (why == NULL && !empty && tokens_find_name(tokens, entry.name) != NULL)
			why = "that name stands there already";
		if (why != NULL || empty)
			continue;
		tokens->entries = mem_room(tokens->entries, tokens->n, &tokens->capacity, sizeof(*tokens->entries));
		tokens->entries[tokens->n++] = entry;
	}
	free(line);
	if (why == NULL && !ferror(file))
		return 0;
	*ret_reason = why != NULL ? mem_format("%s:%u: %s", tokens->path, number, why)
				  : mem_format("%s: cannot be read: %s", tokens->path, strerror(errno));
	return -1;
}

/* *ret_file NULL: there is none, and there need be none. Whatever else stands in its place (a pipe) is not waited for. */
static int
tokens_open_file(const struct tokens *tokens, FILE **ret_file, char **ret_reason)
{
	int fd = open(tokens->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	const char *why = NULL;

	*ret_file = NULL;
	if (fd < 0 && errno == ENOENT && tokens->optional)
		return 0;
	if (fd >= 0)
		why = tokens_distrust(fd);
	if (fd >= 0 && why == NULL)
		*ret_file = fdopen(fd, "r");
	if (*ret_file != NULL)
		return 0;
	*ret_reason = mem_format("%s: %s", tokens->path, why != NULL ? why : strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

int
tokens_reload(struct tokens *tokens, char **ret_reason)
{
	struct tokens fresh = {.path = tokens->path};
	FILE *file;
	int result;

	if (tokens_open_file(tokens, &file, ret_reason) < 0)
		return -1;
	result = file != NULL ? tokens_read_file(&fresh, file, ret_reason) : 0;
	if (file != NULL)
		fclose(file);
	if (result < 0) {
		free(fresh.entries);
		return -1;
	}
	free(tokens->entries);
	tokens->entries = fresh.entries;
	tokens->n = fresh.n;
	tokens->capacity = fresh.capacity;
	return 0;
}

struct tokens *
tokens_open(const char *path, bool optional, char **ret_reason)
{
	struct tokens *tokens = mem_new(sizeof(*tokens));

	tokens->path = mem_text(path);
	tokens->optional = optional;
	if (tokens_reload(tokens, ret_reason) == 0)
		return tokens;
	tokens_close(tokens);
	return NULL;
}

void
tokens_close(struct tokens *tokens)
{
	if (tokens == NULL)
		return;
	free(tokens->entries);
	free(tokens->path);
	free(tokens);
}

/* ---- asking ---------------------------------------------------------------------------------------------------------------- */

size_t
tokens_count(const struct tokens *tokens)
{
	return tokens->n;
}

bool
tokens_find(const struct tokens *tokens, const char *text, struct peer *peer)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];

	static_assert(sizeof(hash) == sizeof(peer->token_hash), "a peer keeps the hash");
	static_assert(sizeof(TOKENS_OWNER) + HOLDER_MAX <= PEER_OWNER, "and its holder's name");

	SHA256((const unsigned char *)text, strlen(text), hash);
	for (size_t i = 0; i < tokens->n; i++) {
		if (CRYPTO_memcmp(tokens->entries[i].hash, hash, sizeof(hash)) != 0)
			continue;
		peer->role = tokens->entries[i].role;
		snprintf(peer->owner, sizeof(peer->owner), TOKENS_OWNER "%s", tokens->entries[i].name);
		memcpy(peer->token_hash, hash, sizeof(hash));
		return true;
	}
	return false;
}

bool
tokens_still_holds(const struct tokens *tokens, const struct peer *peer)
{
	const struct tokens_entry *entry;

	if (strncmp(peer->owner, TOKENS_OWNER, strlen(TOKENS_OWNER)) != 0)
		return true;
	entry = tokens_find_name(tokens, peer->owner + strlen(TOKENS_OWNER));
	return entry != NULL && entry->role == peer->role && memcmp(entry->hash, peer->token_hash, sizeof(entry->hash)) == 0;
}
