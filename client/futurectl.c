/*
 * futurectl: the command line of futured. All of it is in commands.c and below; this file alone has main, so that tests
 * can link the rest.
 */
#include "ctl.h"

int main(int argc, char **argv)
{
	return commands_main(argc, argv);
}
