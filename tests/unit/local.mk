# To add a test: put tests/unit/test_MODULE in check_PROGRAMS and name its SOURCES and LDADD below. One program a module.

unit_ldadd = libdaemon.la $(CHECK_LIBS)
