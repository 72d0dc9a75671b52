# Fuzz targets, one a file. Configured with --enable-fuzzing (clang) they are libFuzzer's, else each plays its corpus once.
# To add one: its name and sources here, its corpus in tests/fuzz/corpus/NAME, its words in tests/fuzz/dictionaries/NAME.

fuzz_targets = \
	tests/fuzz/fuzz_config \
	tests/fuzz/fuzz_dispatch \
	tests/fuzz/fuzz_frame \
	tests/fuzz/fuzz_line \
	tests/fuzz/fuzz_request \
	tests/fuzz/fuzz_store
check_PROGRAMS += $(fuzz_targets)

.PHONY: fuzzers
fuzzers: $(fuzz_targets)

check_LIBRARIES = tests/fuzz/libfuzz.a
tests_fuzz_libfuzz_a_SOURCES = tests/fuzz/fuzz.c tests/fuzz/fuzz.h
fuzz_libs = tests/fuzz/libfuzz.a $(daemon_libs)

if FUZZING
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_ldflags = $(AM_LDFLAGS)
tests_fuzz_libfuzz_a_SOURCES += tests/fuzz/replay.c
endif

tests_fuzz_fuzz_line_SOURCES = tests/fuzz/fuzz_line.c
tests_fuzz_fuzz_line_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_line_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_request_SOURCES = tests/fuzz/fuzz_request.c
tests_fuzz_fuzz_request_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_request_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c
tests_fuzz_fuzz_config_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c tests/fuzz/understudy.c tests/fuzz/understudy.h
tests_fuzz_fuzz_frame_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_frame_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_dispatch_SOURCES = tests/fuzz/fuzz_dispatch.c \
	tests/fuzz/books.c tests/fuzz/books.h \
	tests/fuzz/stage.c tests/fuzz/stage.h \
	tests/fuzz/understudy.c tests/fuzz/understudy.h
tests_fuzz_fuzz_dispatch_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_dispatch_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_store_SOURCES = tests/fuzz/fuzz_store.c tests/fault/full_store.c tests/fault/full_store.h
tests_fuzz_fuzz_store_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_store_LDFLAGS = $(fuzz_ldflags)

EXTRA_DIST += tests/fuzz/corpus tests/fuzz/dictionaries tests/fuzz/fuzz.py
