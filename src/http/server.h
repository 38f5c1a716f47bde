/*
 * The HTTP server over an application (behaviour §1): one loop thread, libmicrohttpd underneath.
 */
#ifndef KU_HTTP_SERVER_H
#define KU_HTTP_SERVER_H

#include "app/call.h"

/* A key that verifies tokens; HS256 only.  `kid` empty: a key without an id. */
typedef struct server_key {
    ku_str kid;
    ku_str secret; /* at least 32 bytes */
} server_key;

typedef struct server_options {
    size_t size;
    const char *listen; /* `127.0.0.1:8080`; port 0: a free one */
    const server_key *keys;
    size_t n_keys;
    const char *issuer;         /* NULL: kumiko */
    const char *const *origins; /* allowed Origin for cookie writes; NULL: not checked */
    int64_t body_bytes_max;     /* 0: LIMIT_BODY_BYTES */
    int rate_limit_per_address; /* requests a minute; 0: none */
    bool trust_proxy;           /* take the client's address from X-Forwarded-For */
    int drain_timeout_s;        /* 0: 40 */
    const char *version, *build_time,
        *environment; /* for GET /version; NULL: dev, unknown, development */
} server_options;

typedef struct server server;

/* Binds and listens; nothing is served before server_run. */
ku_status server_open(
    ku_app *app, const server_options *options, server **ret_server, ku_error *ret_error);
/* The address it listens on, e.g. `127.0.0.1:40123`. */
const char *server_address(const server *s);
/* Serves on this thread until server_stop, then drains: running requests are answered. */
ku_status server_run(server *s);
/* From any thread or a signal handler. */
void server_stop(server *s);
void server_close(server *s);

/* Mints an HS256 token for development; text in the arena. */
ku_str token_mint(arena *a, const server_key *key, const char *issuer, const ku_user *user,
    ku_time issued_at, int64_t lifetime_s);

#endif
