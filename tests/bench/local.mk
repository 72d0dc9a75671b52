# `make bench` measures ours and the peers' on this machine and writes docs/benchmarks.md and .svg; BENCHFLAGS are bench.py's.

.PHONY: bench
bench: all
	FUTURED='$(abs_top_builddir)/futured' FUTURECTL='$(abs_top_builddir)/futurectl' \
		bash $(top_srcdir)/tests/bench/run.sh $(BENCHFLAGS)

TESTS += tests/bench-check.py

# What is built here would go along with the folder as a whole.
EXTRA_DIST += \
	tests/bench-check.py \
	tests/bench/bench.py \
	tests/bench/kit \
	tests/bench/notes.txt \
	tests/bench/packages.debian \
	tests/bench/peers \
	tests/bench/programs \
	tests/bench/run.sh \
	tests/bench/where.py

# To add a measure of one part: its program into EXTRA_PROGRAMS, so that only those who ask for it build it.

EXTRA_PROGRAMS += tests/bench/bench_store
tests_bench_bench_store_SOURCES = tests/bench/bench_store.c
tests_bench_bench_store_LDADD = $(daemon_libs)
CLEANFILES += tests/bench/bench_store
