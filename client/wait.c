/*
 * Waiting for the daemon, for input and for Ctrl-C at once. The handler writes a byte to a pipe of ours, so a signal
 * between two waits is not lost.
 */
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "ctl.h"

static int wait_pipe[2] = {-1, -1};
static volatile sig_atomic_t wait_caught;

static void wait_handle_signal(int number)
{
	int before = errno;

	if (wait_caught != 0) {
		/* Delivered with its default action as soon as the handler returns. */
		signal(number, SIG_DFL);
		raise(number);
	} else {
		wait_caught = number;
		(void)!write(wait_pipe[1], "", 1);
	}
	errno = before;
}

static void wait_catch(int number)
{
	struct sigaction action = {.sa_handler = wait_handle_signal, .sa_flags = SA_RESTART}, old;

	sigemptyset(&action.sa_mask);
	if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

void wait_catch_signals(void)
{
	if (wait_pipe[0] >= 0)
		return;
	if (pipe2(wait_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		ctl_die(CTL_REFUSED, "cannot make a pipe");
	signal(SIGPIPE, SIG_IGN);
	wait_catch(SIGINT);
	wait_catch(SIGTERM);
}

int wait_signal(void)
{
	return wait_caught;
}

bool wait_turn(int fd, int timeout_ms)
{
	struct pollfd pollfds[3] = {
	    {.fd = fut_poll_fd(ctl.client), .events = POLLIN},
	    {.fd = wait_pipe[0], .events = POLLIN},
	    {.fd = fd, .events = POLLIN},
	};
	char byte;

	if (poll(pollfds, 3, timeout_ms) <= 0)
		return false;
	if (pollfds[1].revents != 0)
		(void)!read(wait_pipe[0], &byte, 1);
	return pollfds[2].revents != 0;
}
