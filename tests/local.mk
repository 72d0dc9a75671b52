# To add a test: a unit test goes into tests/unit/local.mk, a story into tests/story/ and its name into this list.
# What has no suffix is a unit test and goes through tests/run-unit.py, which lets it leave nothing behind.

TEST_EXTENSIONS = .py
PY_LOG_COMPILER = $(PYTHON3) -B
LOG_COMPILER = $(PYTHON3) -B $(srcdir)/tests/run-unit.py

AM_TESTS_ENVIRONMENT = \
	FUTURED='$(abs_top_builddir)/futured'; FUTURECTL='$(abs_top_builddir)/futurectl'; \
	export FUTURED FUTURECTL;

TESTS += tests/layers.py tests/matrix.py tests/run-stories.py

EXTRA_DIST += \
	tests/README.md \
	tests/coverage.h \
	tests/coverage.py \
	tests/layers.py \
	tests/library.py \
	tests/lint.py \
	tests/matrix.py \
	tests/run-stories.py \
	tests/run-unit.py \
	tests/story \
	tests/valgrind.py \
	tests/valgrind.supp \
	tests/units.py

include tests/bench/local.mk
include tests/fault/local.mk
include tests/fuzz/local.mk

if HAVE_CHECK
include tests/unit/local.mk
TESTS += $(check_PROGRAMS)
else
check-local:
	@echo 'make check needs Check: install it and configure again' >&2; exit 1
endif
