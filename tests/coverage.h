/*
 * coverage.h: in front of every file of the coverage build (-include), and in no other. A process that ends by _exit() writes what it
 * has counted first: spawner, workers, commands that cannot begin and futurectl all end so. What is killed has counted for nothing.
 * No signal may come between: its handler would wait for itself, if it ends by _exit() too, and all others for the file it has locked.
 */
#ifndef TESTS_COVERAGE_H
#define TESTS_COVERAGE_H

#include <signal.h>
#include <unistd.h>

extern void __gcov_dump(void);

static inline void __attribute__((noreturn)) coverage_exit(int status)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	__gcov_dump();
	_exit(status);
}

#define _exit(status) coverage_exit(status)

#endif
