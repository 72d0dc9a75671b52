# To add a file: put its name in the list of the library (libclient_la_SOURCES) or of the command line (libctl_a_SOURCES).
# libclient.la holds the library's objects once: the shared libfutured exports of them what libfutured.map names, and
# futurectl takes them in whole, so that it runs without an installed library. libctl.a is all of futurectl but its main,
# so that unit tests link the real objects; who links it takes $(ctl_libs). The library needs OpenSSL, for TLS, and libc.

noinst_LTLIBRARIES += libclient.la
noinst_LIBRARIES += libctl.a
lib_LTLIBRARIES += libfutured.la
bin_PROGRAMS += futurectl

include_HEADERS += client/futured.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = client/libfutured.pc

libclient_la_SOURCES = \
	client/calls.c \
	client/connect.c \
	client/control.c \
	client/failure.c \
	client/future.c \
	client/future.h \
	client/future_watch.c \
	client/futured.h \
	client/ids.c \
	client/ids.h \
	client/internal.h \
	client/job.c \
	client/params.c \
	client/poll.c \
	client/process.c \
	client/requests.c \
	client/ring.h \
	client/secure.c \
	client/secure.h \
	client/text.c \
	client/text.h \
	client/watch.c \
	client/watching.c \
	client/wire.c

libclient_la_LIBADD = libproto.la $(CLIENT_SSL_LIBS)

# The soname. Until 1.0 nothing is promised; from then on: a new function raises current and age, a changed or removed one
# raises current and sets age to 0, all else raises revision; and a function that came later gets a node of its own in the
# map (FUTURED_1 and so on), never a place in an older one.
libfutured_la_SOURCES =
libfutured_la_LIBADD = libclient.la
libfutured_la_LDFLAGS = $(AM_LDFLAGS) -no-undefined -version-info 0:0:0 \
	-Wl,--version-script=$(srcdir)/client/libfutured.map
EXTRA_libfutured_la_DEPENDENCIES = client/libfutured.map
EXTRA_DIST += client/.clang-format client/libfutured.map

libctl_a_SOURCES = \
	client/args.c \
	client/args.h \
	client/await.c \
	client/await.h \
	client/bulk.c \
	client/bulk.h \
	client/commands.c \
	client/complete.c \
	client/complete.h \
	client/ctl.c \
	client/ctl.h \
	client/events.c \
	client/events.h \
	client/explain.c \
	client/explain.h \
	client/info.c \
	client/info.h \
	client/items.c \
	client/items.h \
	client/job_options.c \
	client/job_options.h \
	client/jobs.c \
	client/jobs.h \
	client/map.c \
	client/map.h \
	client/map_print.c \
	client/map_private.h \
	client/map_results.c \
	client/map_stop.c \
	client/map_submit.c \
	client/map_watch.c \
	client/options.c \
	client/options.h \
	client/output.c \
	client/output.h \
	client/pages.c \
	client/pages.h \
	client/progress.c \
	client/progress.h \
	client/queues.c \
	client/queues.h \
	client/select.c \
	client/select.h \
	client/show.c \
	client/show.h \
	client/stream.c \
	client/stream.h \
	client/submit.c \
	client/submit.h \
	client/table.c \
	client/table.h \
	client/token.c \
	client/token.h \
	client/top.c \
	client/top.h \
	client/value.c \
	client/value.h \
	client/wait.c \
	client/wait.h

ctl_libs = libctl.a libclient.la

futurectl_SOURCES = client/futurectl.c
futurectl_LDADD = $(ctl_libs)
futurectl_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)
