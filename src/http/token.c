/*
 * Verifying and minting tokens (behaviour §1.5): compact JWS, HS256, nothing else.
 *
 * The algorithm belongs to the key, not to the token.  The header is read first, with our own
 * strict parser (no duplicate members), and anything but `"alg":"HS256"` ends the matter before a
 * key is touched: `none`, RS256 with a public key as the secret, and whatever is invented next.  A
 * header with `crit` asks for rules that we do not know and is refused, too.
 *
 * A `kid` selects its key and only that one; a `kid` that nobody knows is refused.  Without one
 * every key is tried, so that tokens from before a rotation keep working until they expire.
 *
 * The claims are checked as strictly as the signature: a tenant that is no lower-case UUID, roles
 * that are no array of text, an empty subject, no expiry: not a token of ours.
 */
#include "http/token.h"
#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"

#include <assert.h>
#include <cjose/cjose.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_BYTES_MIN = 32, TOKEN_JSON_DEPTH = 16 };

typedef struct token_key {
    ku_str kid;
    cjose_jwk_t *jwk;
} token_key;

struct token_keys {
    arena memory;
    token_key *items;
    size_t count;
};

static ku_status refuse_keys(token_keys *keys, ku_error *ret_error, ku_str kid, const char *why)
{
    token_keys_free(keys);
    return error_set(ret_error, KU_UNCONFIGURED, "token key \"%" KU_PRI "\": %s", KU_FMT(kid), why);
}

ku_status token_keys_new(
    const server_key *keys, size_t n_keys, token_keys **ret_keys, ku_error *ret_error)
{
    token_keys *made = mem_zero(1, sizeof *made);
    if (n_keys == 0)
        return refuse_keys(made, ret_error, KU_STR(""), "there is no key to verify tokens with");
    made->items = arena_alloc(&made->memory, n_keys * sizeof *made->items);
    for (size_t i = 0; i < n_keys; i++) {
        const ku_str secret = keys[i].secret;
        if (secret.len < SECRET_BYTES_MIN)
            return refuse_keys(made, ret_error, keys[i].kid, "a secret has at least 32 bytes");
        token_key *key = &made->items[made->count++];
        key->kid = arena_copy(&made->memory, keys[i].kid);
        key->jwk = cjose_jwk_create_oct_spec((const uint8_t *)secret.ptr, secret.len, NULL);
        if (key->jwk == NULL)
            return refuse_keys(made, ret_error, keys[i].kid, "the key cannot be used");
    }
    *ret_keys = made;
    return KU_OK;
}

void token_keys_free(token_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->count; i++)
        cjose_jwk_release(keys->items[i].jwk);
    arena_done(&keys->memory);
    free(keys);
}

/* ---- verifying ------------------------------------------------------------------------------- */

static bool is_object(const ku_json *json)
{
    return json != NULL && json->kind == KU_JSON_OBJECT;
}

/* The header's object, from the text before the first dot; false: it is not one. */
static bool read_header(arena *a, ku_str token, ku_json **ret_header)
{
    const char *dot = memchr(token.ptr, '.', token.len);
    if (dot == NULL)
        return false;
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (!cjose_base64url_decode(token.ptr, (size_t)(dot - token.ptr), &bytes, &len, NULL))
        return false;
    json_error error;
    const ku_str text = {(const char *)bytes, len};
    bool good = json_parse(a, text, TOKEN_JSON_DEPTH, ret_header, &error);
    free(bytes);
    return good && is_object(*ret_header);
}

/* The key id of a header that is acceptable at all; *ret_named false: it names none. */
static bool header_names_key(const ku_json *header, ku_str *ret_kid, bool *ret_named)
{
    ku_str alg;
    if (!ku_json_text(ku_json_get(header, "alg"), &alg) || !ku_str_is(alg, "HS256"))
        return false;
    if (ku_json_get(header, "crit") != NULL)
        return false;
    const ku_json *kid = ku_json_get(header, "kid");
    *ret_named = kid != NULL;
    return kid == NULL || ku_json_text(kid, ret_kid);
}

/* Verifies the signature with the keys in question and gives the payload's bytes. */
static bool read_signed(
    const token_keys *keys, ku_str token, arena *a, const ku_json *header, ku_str *ret_payload)
{
    ku_str kid = {0};
    bool named = false;
    if (!header_names_key(header, &kid, &named))
        return false;
    cjose_jws_t *jws = cjose_jws_import(token.ptr, token.len, NULL);
    if (jws == NULL)
        return false;
    bool verified = false;
    for (size_t i = 0; i < keys->count && !verified; i++) {
        if (!named || ku_str_equal(keys->items[i].kid, kid))
            verified = cjose_jws_verify(jws, keys->items[i].jwk, NULL);
    }
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (verified && cjose_jws_get_plaintext(jws, &bytes, &len, NULL))
        *ret_payload = arena_copy(a, (ku_str){(const char *)bytes, len});
    else
        verified = false;
    cjose_jws_release(jws);
    return verified;
}

static bool read_tenant(const ku_json *claims, ku_id *ret_tenant)
{
    ku_str text;
    if (!ku_json_text(ku_json_get(claims, "tenantId"), &text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z')
            return false;
    }
    return ku_id_parse(text, ret_tenant);
}

static bool read_roles(const ku_json *claims, arena *a, ku_user *user)
{
    const ku_json *roles = ku_json_get(claims, "roles");
    if (roles == NULL || roles->kind != KU_JSON_ARRAY || roles->count > LIMIT_ROLES)
        return false;
    ku_str *texts = arena_alloc(a, (roles->count + 1) * sizeof *texts);
    size_t count = 0;
    for (const ku_json *role = roles->first; role != NULL; role = role->next) {
        if (!ku_json_text(role, &texts[count]))
            return false;
        /* `system` is what the library calls itself; nobody outside is. */
        count += ku_str_is(texts[count], "system") ? 0 : 1;
    }
    user->roles = texts;
    user->n_roles = count;
    return true;
}

/* Seconds since 1970, possibly with a fraction; false: no number. */
static bool read_seconds(const ku_json *claims, const char *name, double *ret_seconds)
{
    return ku_json_double(ku_json_get(claims, name), ret_seconds);
}

static bool in_time(const ku_json *claims, ku_time now, int64_t *ret_expires_unix_s)
{
    const double now_s = (double)now.unix_us / 1e6;
    double expires_s, not_before_s;
    if (!read_seconds(claims, "exp", &expires_s) || !(expires_s > now_s))
        return false;
    if (ku_json_get(claims, "nbf") != NULL &&
        (!read_seconds(claims, "nbf", &not_before_s) || not_before_s > now_s))
        return false;
    *ret_expires_unix_s = expires_s < 1e15 ? (int64_t)expires_s : (int64_t)1e15;
    return true;
}

bool token_verify(const token_keys *keys, ku_str issuer, ku_str token, ku_time now, arena *a,
    token_claims *ret_claims)
{
    ku_json *header = NULL, *claims = NULL;
    ku_str payload;
    if (token.len > LIMIT_TOKEN_BYTES || !read_header(a, token, &header) ||
        !read_signed(keys, token, a, header, &payload))
        return false;
    json_error error;
    if (!json_parse(a, payload, TOKEN_JSON_DEPTH, &claims, &error) || !is_object(claims))
        return false;

    token_claims read = {0};
    ku_str said_issuer;
    if (!ku_json_text(ku_json_get(claims, "iss"), &said_issuer) ||
        !ku_str_equal(said_issuer, issuer) || !in_time(claims, now, &read.expires_unix_s))
        return false;
    if (!ku_json_text(ku_json_get(claims, "sub"), &read.user.id) || read.user.id.len == 0 ||
        read.user.id.len > LIMIT_USER_BYTES)
        return false;
    if (!read_tenant(claims, &read.user.tenant) || !read_roles(claims, a, &read.user))
        return false;
    *ret_claims = read;
    return true;
}

/* ---- minting --------------------------------------------------------------------------------- */

static ku_str write_claims(
    arena *a, const char *issuer, const ku_user *user, ku_time issued_at, int64_t lifetime_s)
{
    const int64_t issued_s = issued_at.unix_us / 1000000;
    buffer b = {.arena = a};
    buffer_add_char(&b, '{');
    json_put_key(&b, "tenantId");
    json_put_id(&b, user->tenant);
    json_put_key(&b, "roles");
    buffer_add_char(&b, '[');
    for (size_t i = 0; i < user->n_roles; i++) {
        if (i > 0)
            buffer_add_char(&b, ',');
        json_put_text(&b, user->roles[i]);
    }
    buffer_add_char(&b, ']');
    json_put_key(&b, "sub");
    json_put_text(&b, user->id);
    json_put_key(&b, "iss");
    json_put_text(&b, ku_str_from(issuer != NULL ? issuer : "kumiko"));
    json_put_key(&b, "iat");
    json_put_int(&b, issued_s);
    json_put_key(&b, "exp");
    json_put_int(&b, issued_s + lifetime_s);
    buffer_add_char(&b, '}');
    return buffer_str(&b);
}

ku_str token_mint(arena *a, const server_key *key, const char *issuer, const ku_user *user,
    ku_time issued_at, int64_t lifetime_s)
{
    const ku_str claims = write_claims(a, issuer, user, issued_at, lifetime_s);
    cjose_jwk_t *jwk =
        cjose_jwk_create_oct_spec((const uint8_t *)key->secret.ptr, key->secret.len, NULL);
    cjose_header_t *header = cjose_header_new(NULL);
    bool good = jwk != NULL && header != NULL &&
                cjose_header_set(header, CJOSE_HDR_ALG, CJOSE_HDR_ALG_HS256, NULL);
    if (good && key->kid.len > 0)
        good = cjose_header_set(header, CJOSE_HDR_KID, arena_copy(a, key->kid).ptr, NULL);
    assert(good); /* memory aside there is nothing that could fail */
    cjose_jws_t *jws = cjose_jws_sign(jwk, header, (const uint8_t *)claims.ptr, claims.len, NULL);
    const char *text = NULL;
    bool exported = jws != NULL && cjose_jws_export(jws, &text, NULL);
    assert(exported);
    const ku_str token = arena_copy(a, ku_str_from(text));
    cjose_jws_release(jws);
    cjose_header_release(header);
    cjose_jwk_release(jwk);
    return token;
}
