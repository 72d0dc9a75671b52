# `make bench` measures ours and the peers' on this machine and writes docs/benchmarks.md and .svg; BENCHFLAGS are bench.py's.

.PHONY: bench
bench: all
	FUTURED='$(abs_top_builddir)/futured' FUTURECTL='$(abs_top_builddir)/futurectl' \
		$(SHELL) $(top_srcdir)/tests/bench/run.sh $(BENCHFLAGS)

TESTS += tests/bench-check.py
EXTRA_DIST += tests/bench-check.py

# To add a measure of one part: its program into EXTRA_PROGRAMS, so that only those who ask for it build it.

EXTRA_PROGRAMS += tests/bench/bench_store
tests_bench_bench_store_SOURCES = tests/bench/bench_store.c
tests_bench_bench_store_LDADD = libdaemon.la
CLEANFILES += tests/bench/bench_store
