# To add a file: put its name (source and header) in the list below, in alphabetical order.
# libproto.la is pure: no I/O, no libraries. Client and daemon link it.

noinst_LTLIBRARIES += libproto.la

libproto_la_SOURCES = \
	proto/envelope.h \
	proto/errors.h \
	proto/jsonspan.h \
	proto/lines.h \
	proto/selection.h \
	proto/state.h
