# To add a measure of one part: its program into EXTRA_PROGRAMS, so that only those who ask for it build it.

EXTRA_PROGRAMS += tests/bench/bench_store
tests_bench_bench_store_SOURCES = tests/bench/bench_store.c
tests_bench_bench_store_LDADD = libdaemon.la
CLEANFILES += tests/bench/bench_store
