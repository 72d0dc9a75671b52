/*
 * See secure.h.
 */
#include "secure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

#define SECURE_PIECE 16384 /* a TLS record's worth */

struct secure {
	SSL *ssl;
	BIO *in;  /* the SSL's: ciphertext that came … */
	BIO *out; /* … and that is to go */
};

void secure_free(struct secure *secure)
{
	if (secure == NULL)
		return;
	SSL_free(secure->ssl);
	free(secure);
}

/* ---- bytes ---- */

bool secure_has_input(const struct secure *secure)
{
	return SSL_pending(secure->ssl) > 0 || BIO_pending(secure->in) > 0;
}

bool secure_has_output(const struct secure *secure)
{
	return BIO_pending(secure->out) > 0;
}

/* Writes ciphertext as far as the socket takes it: 0, or -1 with errno. */
static int secure_drain(struct secure *secure, int fd)
{
	char *bytes;
	ssize_t n;
	long len;

	while ((len = BIO_get_mem_data(secure->out, &bytes)) > 0) {
		n = send(fd, bytes, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return -1;
		/* Reading them takes them out of the memory. */
		for (char piece[4096]; n > 0;)
			n -= BIO_read(secure->out, piece, n < (ssize_t)sizeof(piece) ? (int)n : (int)sizeof(piece));
	}
	return 0;
}

/* Takes in what has come: how much, 0 at its end, -1 with errno. */
static ssize_t secure_feed(struct secure *secure, int fd, int flags)
{
	char piece[SECURE_PIECE];
	ssize_t n = recv(fd, piece, sizeof(piece), flags);

	if (n > 0 && BIO_write(secure->in, piece, (int)n) != n) {
		errno = ENOMEM;
		return -1;
	}
	return n;
}

ssize_t secure_recv(struct secure *secure, int fd, void *bytes, size_t len, int flags)
{
	int room = len > INT_MAX ? INT_MAX : (int)len, got;
	ssize_t n;

	if (!secure_has_input(secure)) {
		n = secure_feed(secure, fd, flags);
		if (n <= 0)
			return n;
	}
	ERR_clear_error();
	got = SSL_read(secure->ssl, bytes, room);
	if (got > 0)
		return got;
	switch (SSL_get_error(secure->ssl, got)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
		errno = EAGAIN; /* half a record */
		return -1;
	default:
		errno = EPROTO;
		return -1;
	}
}

ssize_t secure_send(struct secure *secure, int fd, const void *bytes, size_t len)
{
	int piece = len > SECURE_PIECE ? SECURE_PIECE : (int)len, put = 0;

	if (secure_drain(secure, fd) < 0)
		return -1;
	if (len == 0)
		return 0;
	ERR_clear_error();
	put = SSL_write(secure->ssl, bytes, piece);
	if (put <= 0) {
		errno = EPROTO;
		return -1;
	}
	/* What the socket does not take now is kept: it counts as written. */
	if (secure_drain(secure, fd) < 0 && errno != EAGAIN && errno != EINTR)
		return -1;
	return put;
}

/* ---- birth ---- */

/* Of what OpenSSL says the first is the cause: a file that is not there, say. NULL: it says nothing. */
static const char *secure_why(void)
{
	unsigned long error = ERR_peek_error();

	return ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);
}

static int secure_fail(struct fut_client *client, int code, const char *what)
{
	const char *why = secure_why();

	code = client_fail(client, code, "TLS with %s: %s%s%s", client->place, what, why != NULL ? ": " : "",
			   why != NULL ? why : "");
	ERR_clear_error();
	return code;
}

static int secure_fail_file(struct fut_client *client, const char *path)
{
	const char *why = secure_why();

	ERR_clear_error();
	return client_fail(client, FUT_E_ARGUMENT, "%s cannot be used for TLS: %s", path, why != NULL ? why : "unknown");
}

/* A key with a passphrase: the library asks nobody. */
static int secure_no_passphrase(char *buffer, int size, int for_writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)for_writing;
	(void)arg;
	return -1;
}

static int secure_load(struct fut_client *client, SSL_CTX *ctx, const struct fut_tls *tls)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_default_passwd_cb(ctx, secure_no_passphrase);
	if (tls->ca == NULL)
		SSL_CTX_set_default_verify_paths(ctx);
	else if (SSL_CTX_load_verify_locations(ctx, tls->ca, NULL) != 1)
		return secure_fail_file(client, tls->ca);
	if (tls->certificate == NULL)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(ctx, tls->certificate) != 1)
		return secure_fail_file(client, tls->certificate);
	if (SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return secure_fail_file(client, tls->key);
	return 0;
}

/* The certificate must be for host, a name or an address. */
static bool secure_expect(SSL *ssl, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static struct secure *secure_new(SSL_CTX *ctx, const char *host)
{
	struct secure *secure = calloc(1, sizeof(*secure));

	if (secure == NULL)
		return NULL;
	secure->ssl = SSL_new(ctx);
	secure->in = BIO_new(BIO_s_mem());
	secure->out = BIO_new(BIO_s_mem());
	if (secure->ssl == NULL || secure->in == NULL || secure->out == NULL || !secure_expect(secure->ssl, host)) {
		BIO_free(secure->in);
		BIO_free(secure->out);
		secure_free(secure);
		return NULL;
	}
	BIO_set_mem_eof_return(secure->in, -1);
	SSL_set_bio(secure->ssl, secure->in, secure->out);
	SSL_set_connect_state(secure->ssl);
	SSL_set_mode(secure->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return secure;
}

static int secure_explain(struct fut_client *client, const struct secure *secure)
{
	long verdict = SSL_get_verify_result(secure->ssl);

	if (verdict == X509_V_OK)
		return secure_fail(client, FUT_E_UNREACHABLE, "the handshake failed");
	ERR_clear_error();
	return secure_fail(client, FUT_E_UNAUTHENTICATED, X509_verify_cert_error_string(verdict));
}

static int secure_shake(struct fut_client *client, struct secure *secure, int fd, int timeout_ms)
{
	int64_t until_ms = client_now_ms() + timeout_ms, left_ms;
	struct pollfd pollfd = {.fd = fd};
	int done;

	while ((done = SSL_do_handshake(secure->ssl)) != 1) {
		if (SSL_get_error(secure->ssl, done) != SSL_ERROR_WANT_READ) {
			(void)secure_drain(secure, fd); /* the alert that tells the other side */
			return secure_explain(client, secure);
		}
		if (secure_drain(secure, fd) < 0 && errno != EAGAIN && errno != EINTR)
			return secure_fail(client, FUT_E_UNREACHABLE, "the connection ended amid the handshake");
		left_ms = until_ms - client_now_ms();
		pollfd.events = secure_has_output(secure) ? POLLIN | POLLOUT : POLLIN;
		if (left_ms <= 0)
			return secure_fail(client, FUT_E_UNREACHABLE, "the handshake takes too long");
		if (poll(&pollfd, 1, (int)left_ms) > 0 && (pollfd.revents & ~POLLOUT) != 0 &&
		    secure_feed(secure, fd, MSG_DONTWAIT) == 0)
			return secure_fail(client, FUT_E_UNREACHABLE,
					   "the other side closed the connection: it may not speak TLS");
	}
	return 0;
}

int secure_open(struct fut_client *client, int fd, const char *host, const struct fut_tls *tls, int timeout_ms,
		struct secure **ret_secure)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct secure *secure = NULL;
	int r;

	if (ctx == NULL)
		return client_fail(client, FUT_E_MEMORY, "out of memory");
	ERR_clear_error();
	r = secure_load(client, ctx, tls);
	if (r == 0) {
		secure = secure_new(ctx, host);
		r = secure != NULL ? secure_shake(client, secure, fd, timeout_ms)
				   : client_fail(client, FUT_E_MEMORY, "out of memory");
	}
	SSL_CTX_free(ctx);
	if (r == 0)
		*ret_secure = secure;
	else
		secure_free(secure);
	return r;
}
