/*
 * Compact JWS by hand: base64url(header) . base64url(payload) . base64url(HMAC-SHA256).
 */
#include "support/http_token.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void base64url(const unsigned char *bytes, size_t len, char *ret_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t out = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (i + 1 < len)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < len)
            group |= bytes[i + 2];
        ret_text[out++] = digits[group >> 18];
        ret_text[out++] = digits[group >> 12 & 63];
        if (i + 1 < len)
            ret_text[out++] = digits[group >> 6 & 63];
        if (i + 2 < len)
            ret_text[out++] = digits[group & 63];
    }
    ret_text[out] = '\0';
}

static char *encode(const char *text)
{
    size_t len = strlen(text);
    char *encoded = malloc(len * 2 + 4);
    assert(encoded != NULL);
    base64url((const unsigned char *)text, len, encoded);
    return encoded;
}

static const char *or_usual(const char *given, const char *usual)
{
    return given != NULL ? given : usual;
}

static char *make_header(const test_token_spec *spec)
{
    char *text;
    int len;
    if (spec->header != NULL)
        len = asprintf(&text, "%s", spec->header);
    else if (spec->kid != NULL)
        len = asprintf(
            &text, "{\"alg\":\"%s\",\"kid\":\"%s\"}", or_usual(spec->alg, "HS256"), spec->kid);
    else
        len = asprintf(&text, "{\"alg\":\"%s\"}", or_usual(spec->alg, "HS256"));
    assert(len > 0);
    return text;
}

static char *make_payload(const test_token_spec *spec)
{
    char *text;
    int len;
    int64_t now = (int64_t)time(NULL);
    int64_t lifetime_s = spec->expires_in_s != 0 ? spec->expires_in_s : 3600;
    if (spec->payload != NULL)
        len = asprintf(&text, "%s", spec->payload);
    else
        len = asprintf(&text,
            "{\"tenantId\":\"%s\",\"roles\":%s,\"sub\":\"%s\",\"iss\":\"%s\",\"iat\":%" PRId64
            ",\"exp\":%" PRId64 "%s}",
            or_usual(spec->tenant, TEST_TENANT), or_usual(spec->roles, "[\"Admin\"]"),
            or_usual(spec->user, TEST_USER), or_usual(spec->issuer, "kumiko"), now,
            now + lifetime_s, or_usual(spec->more, ""));
    assert(len > 0);
    return text;
}

char *test_token(const test_token_spec *spec)
{
    char *header = make_header(spec), *payload = make_payload(spec);
    char *header64 = encode(header), *payload64 = encode(payload);
    char *signed_text;
    int signed_len = asprintf(&signed_text, "%s.%s", header64, payload64);
    assert(signed_len > 0);

    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    const char *secret = or_usual(spec->secret, TEST_SECRET);
    const unsigned char *made = HMAC(EVP_sha256(), secret, (int)strlen(secret),
        (const unsigned char *)signed_text, (size_t)signed_len, mac, &mac_len);
    assert(made != NULL);
    char signature[128] = "";
    if (spec->alg == NULL || strcmp(spec->alg, "none") != 0)
        base64url(mac, mac_len, signature);

    char *token;
    int len = asprintf(&token, "%s.%s", signed_text, signature);
    assert(len > 0);
    free(header);
    free(payload);
    free(header64);
    free(payload64);
    free(signed_text);
    return token;
}

char *test_token_for(const char *tenant, const char *user, const char *roles)
{
    const test_token_spec spec = {.tenant = tenant, .user = user, .roles = roles};
    return test_token(&spec);
}
