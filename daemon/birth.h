/*
 * birth: the daemon's life: what is made in which order, and how it ends.
 */
#ifndef DAEMON_BIRTH_H
#define DAEMON_BIRTH_H

/* Runs the daemon; the exit status. */
int birth_run(int argc, char **argv);

#endif
