# What breaks things on purpose and is a program: built when it is asked for.

EXTRA_PROGRAMS += tests/fault/damage
tests_fault_damage_SOURCES = tests/fault/damage.c tests/fault/full_store.c tests/fault/full_store.h
tests_fault_damage_LDADD = $(daemon_libs)
CLEANFILES += tests/fault/damage

# File by file: what is built here would go along with the folder.
EXTRA_DIST += \
	tests/fault/book.py \
	tests/fault/broken \
	tests/fault/broken.py \
	tests/fault/crash_ledger.py \
	tests/fault/crowd.py \
	tests/fault/disk.c \
	tests/fault/disk.py \
	tests/fault/disk_stories.py \
	tests/fault/many.py \
	tests/fault/memory.c \
	tests/fault/memory_faults.py \
	tests/fault/race.py \
	tests/fault/storage_faults.py
