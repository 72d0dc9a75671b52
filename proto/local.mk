# To add a file: put its name (source and header) in the list below, in alphabetical order.
# libproto.la is pure: no I/O, no libraries. Client and daemon link it. bytes.h, json{keys,text}.h and utf8.h are its own.

noinst_LTLIBRARIES += libproto.la

libproto_la_SOURCES = \
	proto/bytes.h \
	proto/datetime.c \
	proto/datetime.h \
	proto/envelope.c \
	proto/envelope.h \
	proto/errors.c \
	proto/errors.h \
	proto/holder.c \
	proto/holder.h \
	proto/jsonkeys.c \
	proto/jsonkeys.h \
	proto/jsonscan.c \
	proto/jsonspan.c \
	proto/jsonspan.h \
	proto/jsontext.c \
	proto/jsontext.h \
	proto/lines.c \
	proto/lines.h \
	proto/role.c \
	proto/role.h \
	proto/selection.c \
	proto/selection.h \
	proto/state.c \
	proto/state.h \
	proto/utf8.c \
	proto/utf8.h

EXTRA_DIST += proto/PROTOCOL.md
