/*
 * The keys that sign and verify tokens, from the environment (behaviour §1.5).
 */
#ifndef KU_CLI_SECRETS_H
#define KU_CLI_SECRETS_H

#include "cli/cli.h"
#include "http/server.h"

enum { CLI_KEYS_MAX = 32 };

/* keys[0] signs; all verify. */
typedef struct cli_secrets {
    server_key keys[CLI_KEYS_MAX + 1];
    size_t n_keys;
    char kids[CLI_KEYS_MAX][16];
    bool development; /* the well-known secret is in use */
} cli_secrets;

/*
 * Reads JWT_SECRET_V<n> with JWT_SECRET_CURRENT_VERSION, and JWT_SECRET.  Where none is set and
 * `development` is true, the well-known development secret.  KU_UNCONFIGURED: there is none;
 * KU_INVALID: one is too short, or the current version is missing.
 */
ku_status cli_secrets_read(bool development, cli_secrets *ret_secrets, ku_error *ret_error);

#endif
