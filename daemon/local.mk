# To add a file: put its name (source and header) in the list below, in alphabetical order, and its layer in daemon/LAYERS.
# libdaemon.la is all of the daemon but main.c, so that unit tests link the real objects.

noinst_LTLIBRARIES += libdaemon.la

libdaemon_la_SOURCES = \
	daemon/capture.c \
	daemon/capture.h \
	daemon/clock.h \
	daemon/command.c \
	daemon/command.h \
	daemon/config.c \
	daemon/config.h \
	daemon/config_load.c \
	daemon/config_value.c \
	daemon/config_value.h \
	daemon/fdpass.c \
	daemon/fdpass.h \
	daemon/frame.c \
	daemon/frame.h \
	daemon/iopool.c \
	daemon/iopool.h \
	daemon/leaders.c \
	daemon/leaders.h \
	daemon/log.c \
	daemon/log.h \
	daemon/loop.c \
	daemon/loop.h \
	daemon/mem.c \
	daemon/mem.h \
	daemon/outcome.c \
	daemon/outcome.h \
	daemon/procfs.c \
	daemon/procfs.h \
	daemon/proctree.c \
	daemon/proctree.h \
	daemon/proctree_sweep.c \
	daemon/slots.c \
	daemon/slots.h \
	daemon/supervise.c \
	daemon/supervise.h \
	daemon/task.c \
	daemon/task.h \
	daemon/text.c \
	daemon/text.h

libdaemon_la_LIBADD = \
	libproto.la \
	$(EVENT_LIBS) $(JANSSON_LIBS) $(SQLITE_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(INIH_LIBS) $(SYSTEMD_LIBS)

EXTRA_DIST += daemon/LAYERS
