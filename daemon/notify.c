/*
 * notify: see notify.h. That a message could not be sent is nobody's business: the daemon serves its clients either way, and
 * the one who waits for READY ends it in time.
 */
#include "daemon/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#define NOTIFY_STATUS 200

static void
notify_send(const char *state)
{
#ifdef HAVE_SYSTEMD
	(void)sd_notify(0, state);
#else
	(void)state;
#endif
}

void
notify_ready(void)
{
	notify_send("READY=1");
}

void
notify_stopping(void)
{
	notify_send("STOPPING=1");
}

void
notify_status(const char *format, ...)
{
	char state[NOTIFY_STATUS] = "STATUS=";
	size_t start = sizeof("STATUS=") - 1;
	va_list args;

	va_start(args, format);
	vsnprintf(state + start, sizeof(state) - start, format, args);
	va_end(args);
	for (char *at = state; *at != '\0'; at++) {
		if (*at == '\n')
			*at = ' '; /* the rest would be another variable */
	}
	notify_send(state);
}

int64_t
notify_watchdog_ms(void)
{
#ifdef HAVE_SYSTEMD
	uint64_t us = 0;

	if (sd_watchdog_enabled(0, &us) > 0)
		return us < 2000 ? 1 : (int64_t)(us / 2000);
#endif
	return 0;
}

void
notify_alive(void)
{
	notify_send("WATCHDOG=1");
}

void
notify_forget(void)
{
	static const char *const names[] = {
	    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}
