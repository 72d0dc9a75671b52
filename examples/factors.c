/*
 * factors: the prime factors of each number given, worked out side by side, printed in the order given.
 *
 *	cc -o factors factors.c $(pkg-config --cflags --libs libfutured)
 *	./factors 600851475143 97 1001
 *
 * Submit, keep the futures, ask each for its result: as with an executor of concurrent.futures. The jobs are the
 * daemon's: they would go on if this program died.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include <futured.h>

int main(int argc, char **argv)
{
	struct fut_client *client = fut_new("factors");
	struct fut_future **futures = calloc((size_t)argc, sizeof(struct fut_future *));
	const char *result;
	char args[64];
	int failed = 0;

	if (client == NULL || futures == NULL)
		errx(1, "out of memory");
	if (fut_connect(client) < 0)
		errx(1, "%s", fut_error_message(client));
	for (int i = 1; i < argc; i++) {
		snprintf(args, sizeof(args), "[%s]", argv[i]);
		if (fut_future_submit(client, "math.factorize", args, NULL, &futures[i]) < 0)
			errx(1, "%s: %s", argv[i], fut_error_message(client));
	}
	for (int i = 1; i < argc; i++) {
		if (fut_future_result(futures[i], FUT_FOREVER, &result) == 0) {
			printf("%s: %s\n", argv[i], result);
		} else {
			printf("%s: %s\n", argv[i], fut_error_message(client));
			failed = 1;
		}
		fut_future_free(futures[i]);
	}
	free(futures);
	fut_free(client);
	return failed;
}
