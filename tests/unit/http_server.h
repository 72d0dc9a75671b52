/*
 * http_server: a small HTTP server on loopback in a thread of the test's own. It answers by path:
 *
 *     /hello                  "hello"
 *     /bytes/N                N times 'x'
 *     /binary                 bytes that are no text
 *     /status/N               that status, no body
 *     /to/STATUS/URL          that status with Location: URL
 *     /echo                   the request as it came, head and body
 *     /headers                headers of all sorts
 *     /many/N                 N header lines
 *     /after/MS               "late" after so many milliseconds
 *     /never                  nothing, ever
 *     /garbage                something that is no HTTP
 */
#ifndef TESTS_UNIT_HTTP_SERVER_H
#define TESTS_UNIT_HTTP_SERVER_H

struct http_server;

/* Listens on address ("127.0.0.1" or "::1") and a port of its own choice; NULL when there is no such address. */
struct http_server *http_server_new(const char *address);
/* Closes all connections and joins the thread. */
void http_server_free(struct http_server *server);
int http_server_port(const struct http_server *server);
/* Connections accepted so far; those open now. */
unsigned http_server_accepted(struct http_server *server);
unsigned http_server_open(struct http_server *server);

#endif
