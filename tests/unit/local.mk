# To add a test: put tests/unit/test_MODULE in check_PROGRAMS and name its SOURCES and LDADD below. One program a module.

unit_ldadd = libdaemon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_config
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_LDADD = $(unit_ldadd)
