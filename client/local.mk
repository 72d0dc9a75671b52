# To add a file: put its name in the list of the library (libclient_la_SOURCES) or of the command line (futurectl_SOURCES).
# libclient.la holds the library's objects once: the shared libfutured exports of them what begins with fut_, and
# futurectl takes them in whole, so that it runs without an installed library.
