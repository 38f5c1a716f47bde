/*
 * Secrets: one plain key, or a ring of numbered keys of which one signs.
 *
 * With JWT_SECRET alone tokens carry no key id.  With JWT_SECRET_V1, JWT_SECRET_V2 … the one that
 * JWT_SECRET_CURRENT_VERSION names signs, with key id `v<n>`; the others still verify, and so does
 * a plain JWT_SECRET, as `legacy`.  Rotation is: add the new version, make it current, and drop the
 * old one when its last token has expired.
 *
 * The development secret is public.  It takes a flag to be used, never a default, and production
 * refuses it.
 */
#include "cli/secrets.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECRET_BYTES_MIN = 32 };

static const char development_secret[] = "kumiko-development-secret-do-not-use-in-production";

static const char version_prefix[] = "JWT_SECRET_V";

static ku_status check_length(
    const char *name, size_t name_length, const char *secret, ku_error *ret_error)
{
    if (strlen(secret) >= SECRET_BYTES_MIN)
        return KU_OK;
    return error_set(ret_error, KU_INVALID,
        "%.*s is too short: a secret has at least %d bytes (try: openssl rand -hex 32)",
        (int)name_length, name, SECRET_BYTES_MIN);
}

/* `JWT_SECRET_V<digits>=<value>`; the digits' and the value's places. */
static bool is_versioned(const char *entry, ku_str *ret_digits, const char **ret_value)
{
    const size_t prefix = strlen(version_prefix);

    if (strncmp(entry, version_prefix, prefix) != 0)
        return false;
    const size_t digits = strspn(entry + prefix, "0123456789");
    if (digits == 0 || entry[prefix + digits] != '=' || entry[prefix + digits + 1] == '\0')
        return false;
    *ret_digits = (ku_str){entry + prefix, digits};
    *ret_value = entry + prefix + digits + 1;
    return true;
}

static ku_status add_versions(cli_secrets *secrets, ku_str current, ku_error *ret_error)
{
    bool found = false;

    for (char **entry = environ; *entry != NULL; entry++) {
        ku_str digits;
        const char *value;
        if (!is_versioned(*entry, &digits, &value))
            continue;
        const size_t name_length = strlen(version_prefix) + digits.len;
        const ku_status status = check_length(*entry, name_length, value, ret_error);
        if (status != KU_OK)
            return status;
        if (secrets->n_keys == CLI_KEYS_MAX || digits.len + 2 > sizeof(secrets->kids[0]))
            return error_set(
                ret_error, KU_INVALID, "at most %d secrets, with short numbers", CLI_KEYS_MAX);

        const size_t i = secrets->n_keys++;
        (void)snprintf(secrets->kids[i], sizeof(secrets->kids[i]), "v%" KU_PRI, KU_FMT(digits));
        secrets->keys[i] = (server_key){ku_str_from(secrets->kids[i]), ku_str_from(value)};
        if (ku_str_equal(digits, current)) {
            const server_key signer = secrets->keys[i];
            secrets->keys[i] = secrets->keys[0];
            secrets->keys[0] = signer;
            found = true;
        }
    }
    if (current.len > 0 && !found)
        return error_set(ret_error, KU_INVALID,
            "JWT_SECRET_CURRENT_VERSION is %" KU_PRI ", but JWT_SECRET_V%" KU_PRI " is not set",
            KU_FMT(current), KU_FMT(current));
    if (current.len == 0 && secrets->n_keys > 0)
        return error_set(ret_error, KU_INVALID,
            "JWT_SECRET_V<n> is set, but JWT_SECRET_CURRENT_VERSION does not say which one signs");
    return KU_OK;
}

ku_status cli_secrets_read(bool development, cli_secrets *ret_secrets, ku_error *ret_error)
{
    const char *plain = cli_environment("JWT_SECRET");
    const char *current = cli_environment("JWT_SECRET_CURRENT_VERSION");

    if (development && strcmp(cli_environment_kind(), "production") == 0)
        return error_set(
            ret_error, KU_UNCONFIGURED, "--development is refused in production: set JWT_SECRET");
    *ret_secrets = (cli_secrets){0};
    ku_status status = add_versions(ret_secrets, ku_str_from(current), ret_error);
    if (status != KU_OK)
        return status;
    if (plain != NULL) {
        status = check_length("JWT_SECRET", strlen("JWT_SECRET"), plain, ret_error);
        if (status != KU_OK)
            return status;
        const ku_str kid = ret_secrets->n_keys > 0 ? KU_STR("legacy") : (ku_str){0};
        ret_secrets->keys[ret_secrets->n_keys++] = (server_key){kid, ku_str_from(plain)};
    }
    if (ret_secrets->n_keys > 0)
        return KU_OK;

    if (!development)
        return error_set(ret_error, KU_UNCONFIGURED,
            "no secret for tokens is set.  Set one of at least %d bytes:\n"
            "    export JWT_SECRET=$(openssl rand -hex 32)\n"
            "or, on your own machine only, use --development, whose secret everybody knows",
            SECRET_BYTES_MIN);
    ret_secrets->keys[0] = (server_key){{0}, ku_str_from(development_secret)};
    ret_secrets->n_keys = 1;
    ret_secrets->development = true;
    return KU_OK;
}
