/*
 * bulk: cases that do the same thousands of times. Under valgrind, where each step costs thirty times as much, the second thousand
 * shows nothing new: with FUTURED_TEST_LIGHT set they are left out. Header only.
 */
#ifndef TESTS_UNIT_BULK_H
#define TESTS_UNIT_BULK_H

#include <check.h>
#include <stdlib.h>

#define tcase_add_bulk_test(tcase, test)                           \
	do {                                                       \
		if (getenv("FUTURED_TEST_LIGHT") == NULL)          \
			tcase_add_test(tcase, test);               \
	} while (0)

#endif
