/*
 * Tokens: who signed it, who it speaks for, how long.
 */
#ifndef KU_HTTP_TOKEN_H
#define KU_HTTP_TOKEN_H

#include "http/server.h"

typedef struct token_keys token_keys;

/* Takes copies of the keys.  KU_UNCONFIGURED: there is none, or a secret is too short. */
ku_status token_keys_new(
    const server_key *keys, size_t n_keys, token_keys **ret_keys, ku_error *ret_error);
void token_keys_free(token_keys *keys);

typedef struct token_claims {
    ku_user user;           /* in the arena */
    int64_t expires_unix_s; /* the token is good before this second */
} token_claims;

/*
 * Verifies signature, issuer, times and the form of every claim that is used.  False: the token is
 * not to be believed, for whatever reason; a client is not told which.
 */
bool token_verify(const token_keys *keys, ku_str issuer, ku_str token, ku_time now, arena *a,
    token_claims *ret_claims);

#endif
