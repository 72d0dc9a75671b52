/*
 * test_tokens: the tokens file, and what is wrong with one. Who comes by a token is told in tests/story/doors.py.
 */
#include "daemon/tokens.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HASH "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb" /* of "open sesame" */

static char folder[] = "/tmp/test_tokens.XXXXXX";
static char file[64];

static void
setup(void)
{
	strcpy(folder, "/tmp/test_tokens.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/tokens", folder);
}

static void
teardown(void)
{
	unlink(file);
	rmdir(folder);
}

static struct tokens *
load(const char *bytes, size_t len, char **ret_reason)
{
	FILE *out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
	fclose(out);
	*ret_reason = NULL;
	return tokens_open(file, false, ret_reason);
}

static void
refused(const char *bytes, size_t len, const char *sentence)
{
	char *reason;

	ck_assert_ptr_null(load(bytes, len, &reason));
	ck_assert_int_eq(strncmp(reason, file, strlen(file)), 0);
	ck_assert_str_eq(reason + strlen(file), sentence);
	free(reason);
}

START_TEST(a_token_is_found_by_its_hash)
{
	static const char text[] = "# who\n\nci operator " HASH " # the builder\n";
	struct peer peer = {.role = ROLE_NONE};
	char *reason;
	struct tokens *tokens = load(text, strlen(text), &reason);

	ck_assert_msg(tokens != NULL, "%s", reason);
	ck_assert_uint_eq(tokens_count(tokens), 1);
	ck_assert(!tokens_find(tokens, HASH, &peer));
	ck_assert(tokens_find(tokens, "open sesame", &peer));
	ck_assert_str_eq(peer.owner, "token:ci");
	ck_assert_int_eq(peer.role, ROLE_OPERATOR);
	tokens_close(tokens);
}
END_TEST

/* What stands behind it in its line would go unseen, and the rest of the line count as another. */
START_TEST(a_nul_is_no_text)
{
	static const char bytes[] = "# who\nci operator " HASH "\0 for now\n";

	refused(bytes, sizeof(bytes) - 1, ":2: there is a NUL in this line: the file is no text");
}
END_TEST

START_TEST(a_long_line_is_one_mistake)
{
	char line[600];

	memset(line, '#', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	refused(line, sizeof(line), ":1: the line is too long");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tokens");
	TCase *tests = tcase_create("tokens");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_token_is_found_by_its_hash);
	tcase_add_test(tests, a_nul_is_no_text);
	tcase_add_test(tests, a_long_line_is_one_mistake);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
