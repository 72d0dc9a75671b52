/*
 * main: futured, the daemon. See birth.c for the order in which its parts are made.
 */
#include "daemon/birth.h"

int
main(int argc, char **argv)
{
	return birth_run(argc, argv);
}
