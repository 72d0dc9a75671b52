/*
 * eventloop: futures in a loop of events. Reads numbers from standard input, a line each, and says whether each is
 *prime as soon as that is known; while it waits for the one it still reads the other.
 *
 *	cc -o eventloop eventloop.c $(pkg-config --cflags --libs libfutured)
 *	seq 1000000000000 1000000000100 | ./eventloop
 *
 * The loop is poll(2) here. With libevent it is
 *
 *	event_new(base, fut_poll_fd(client), EV_READ | EV_PERSIST, on_ready, client);
 *
 * with an on_ready that calls fut_process(client, 0), and so with any other. Nothing waits but the loop: where the
 * daemon is slow to take what is sent, no more of the input is read meanwhile.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <futured.h>

static struct fut_client *client;
static int left; /* futures not done yet */
static char input[4096];
static size_t input_len;
static int input_ended;

static void on_done(struct fut_future *future, void *arg)
{
	char *number = arg;
	const char *result;

	if (fut_future_result(future, 0, &result) == 0)
		printf("%s %s\n", number, strcmp(result, "true") == 0 ? "prime" : "not prime");
	else
		printf("%s? %s\n", number, fut_error_message(client));
	fflush(stdout);
	free(number);
	fut_future_free(future);
	left--;
}

/* Submits a line of input; 0 where it must wait. */
static int submit(const char *line)
{
	struct fut_future *future;
	char args[sizeof(input) + 2];
	char *number;
	int r;

	snprintf(args, sizeof(args), "[%s]", line);
	r = fut_future_submit(client, "math.is_prime", args, NULL, &future);
	if (r == FUT_E_WOULD_BLOCK)
		return 0;
	if (r == FUT_E_ARGUMENT) {
		printf("%s? no number\n", line);
		return 1;
	}
	number = strdup(line);
	if (r < 0 || number == NULL || fut_future_add_done_callback(future, on_done, number) < 0)
		errx(1, "%s", fut_error_message(client));
	left++;
	return 1;
}

/* Takes whole lines out of the input as far as they can be sent. */
static void take_lines(void)
{
	char *end;

	while ((end = memchr(input, '\n', input_len)) != NULL) {
		*end = '\0';
		if (input[0] != '\0' && !submit(input)) {
			*end = '\n';
			return;
		}
		input_len -= (size_t)(end + 1 - input);
		memmove(input, end + 1, input_len);
	}
	if (input_len == sizeof(input))
		errx(1, "a line is too long");
}

static void read_input(void)
{
	ssize_t n = read(STDIN_FILENO, input + input_len, sizeof(input) - input_len);

	if (n < 0 && errno != EINTR)
		err(1, "standard input");
	if (n == 0)
		input_ended = 1;
	if (n > 0)
		input_len += (size_t)n;
}

int main(void)
{
	struct pollfd pollfds[2] = {{.events = POLLIN}, {.events = POLLIN}};

	client = fut_new("eventloop");
	if (client == NULL || fut_connect(client) < 0)
		errx(1, "%s", client != NULL ? fut_error_message(client) : "out of memory");
	fut_set_nonblocking(client, true);
	pollfds[0].fd = fut_poll_fd(client);
	if (pollfds[0].fd < 0)
		errx(1, "%s", fut_error_message(client));
	while (!input_ended || memchr(input, '\n', input_len) != NULL || left > 0) {
		/* Input that could not be sent waits until there is room. */
		pollfds[1].fd = input_ended || memchr(input, '\n', input_len) != NULL ? -1 : STDIN_FILENO;
		if (poll(pollfds, 2, -1) < 0 && errno != EINTR)
			err(1, "poll");
		if (pollfds[0].revents != 0 && fut_process(client, 0) < 0)
			errx(1, "%s", fut_error_message(client));
		if (pollfds[1].revents != 0)
			read_input();
		take_lines();
	}
	fut_free(client);
	return 0;
}
