# What breaks things on purpose and is a program: built when it is asked for.

EXTRA_PROGRAMS += tests/fault/damage
tests_fault_damage_SOURCES = tests/fault/damage.c
tests_fault_damage_LDADD = libdaemon.la
CLEANFILES += tests/fault/damage
