/*
 * tls: see tls.h. A client that goes without saying goodbye has gone all the same: lines have an end of their own, so a cut connection cannot
 * pass for a whole request.
 */
#include "daemon/tls.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

struct tls {
	SSL_CTX *ctx;
};

/* Why OpenSSL did not do it, with the file that it was about. Returns -1. */
static int
tls_explain(const char *key, const char *path, char **ret_reason)
{
	unsigned long error = ERR_peek_error(); /* the first is the cause */
	const char *why = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);

	*ret_reason = mem_format("[tls] %s: %s: %s", key, path, why != NULL ? why : "cannot be used");
	ERR_clear_error();
	return -1;
}

static int
tls_load(SSL_CTX *ctx, const char *certificate, const char *key, const char *client_ca, char **ret_reason)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		return tls_explain("certificate", certificate, ret_reason);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return tls_explain("key", key, ret_reason);
	if (client_ca == NULL)
		return 0;
	if (SSL_CTX_load_verify_locations(ctx, client_ca, NULL) != 1)
		return tls_explain("client_ca", client_ca, ret_reason);
	SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(client_ca));
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

/* A key with a passphrase: there is nobody to ask. */
static int
tls_no_passphrase(char *buffer, int size, int for_writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)for_writing;
	(void)arg;
	return -1;
}

struct tls *
tls_open(const char *certificate, const char *key, const char *client_ca, char **ret_reason)
{
	static const unsigned char context[] = "futured";
	struct tls *tls = mem_new(sizeof(*tls));

	tls->ctx = SSL_CTX_new(TLS_server_method());
	if (tls->ctx == NULL)
		abort();
	SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_id_context(tls->ctx, context, sizeof(context) - 1);
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_default_passwd_cb(tls->ctx, tls_no_passphrase);
	if (tls_load(tls->ctx, certificate, key, client_ca, ret_reason) == 0)
		return tls;
	tls_close(tls);
	return NULL;
}

void
tls_close(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls);
}

struct bufferevent *
tls_accept(struct tls *tls, struct event_base *base, int fd)
{
	SSL *ssl = SSL_new(tls->ctx);
	struct bufferevent *bev;

	if (ssl == NULL)
		return NULL;
	bev = bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		SSL_free(ssl);
		return NULL;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

void
tls_flush(struct bufferevent *bev)
{
	struct evbuffer *output = bufferevent_get_output(bev);
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	size_t len = evbuffer_get_length(output);

	if (len == 0)
		return;
	evbuffer_unfreeze(output, 1); /* a bufferevent lets nobody else drain it */
	if (ssl == NULL) {
		evbuffer_write(output, bufferevent_getfd(bev));
	} else if (SSL_is_init_finished(ssl)) {
		SSL_write(ssl, evbuffer_pullup(output, -1), len < INT32_MAX ? (int)len : INT32_MAX);
		ERR_clear_error();
	}
}
