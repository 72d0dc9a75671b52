/*
 * replay: a fuzz target without libFuzzer: each file of the folders named, or of corpus/ here, is given to it once, in
 * the order of their names. With any compiler and any sanitizer.
 *
 * It speaks as Check does, so that tests/run-unit.py can run it: a line of TAP a file into $CK_TAP_LOG_FILE_NAME. The
 * name of each stands on standard error before it is played: what is told last there is what an end came by.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/mem.h"
#include "tests/fuzz/fuzz.h"

#define PATIENCE_S 60 /* for one input */

static FILE *tap;
static unsigned n_played;
static unsigned patience_s = PATIENCE_S;

static int
is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void
play(const char *path)
{
	FILE *file = fopen(path, "re");
	struct stat st;
	char *bytes;

	FUZZ_CHECK(file != NULL && fstat(fileno(file), &st) == 0, "%s cannot be opened", path);
	bytes = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
	FUZZ_CHECK(bytes != NULL && fread(bytes, 1, (size_t)st.st_size, file) == (size_t)st.st_size, "%s cannot be read", path);
	fclose(file);
	fprintf(stderr, "%s\n", path);
	alarm(patience_s);
	LLVMFuzzerTestOneInput((const uint8_t *)bytes, (size_t)st.st_size);
	alarm(0);
	free(bytes);
	n_played++;
	if (tap != NULL)
		fprintf(tap, "ok %u - %s\n", n_played, path);
}

static void
play_all(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, is_shown, alphasort);

	if (n < 0)
		play(path);
	for (int i = 0; i < n; i++) {
		char *name = mem_format("%s/%s", path, names[i]->d_name);

		play(name);
		free(name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

int
main(int argc, char **argv)
{
	const char *tap_name = getenv("CK_TAP_LOG_FILE_NAME"), *scale = getenv("FUTURED_TEST_SCALE");

	if (scale != NULL && atoi(scale) > 0)
		patience_s *= (unsigned)atoi(scale);
	if (tap_name != NULL)
		tap = fopen(tap_name, "we");
	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	if (argc < 2)
		play_all("corpus");
	for (int i = 1; i < argc; i++)
		play_all(argv[i]);
	if (tap != NULL) {
		fprintf(tap, "1..%u\n", n_played);
		fclose(tap);
	}
	printf("replay: %u passed, 0 failed\n", n_played);
	return n_played == 0;
}
