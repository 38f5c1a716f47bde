/*
 * Who may pass: everything that is decided from a request's headers (behaviour §1.2, §1.3, §1.5).
 *
 * The guards stand in a fixed order and the first that says no ends it: the body's announced size,
 * the rate limit of the address, the token, the origin of the page, the CSRF token, the route.  So
 * an address that guesses tokens runs into its rate limit, and someone without a token learns
 * nothing about routes.
 *
 * A token comes as bearer or as cookie.  A browser sends cookies by itself, whoever's page made the
 * request; so with a cookie, and only then, a write must repeat the value of the readable CSRF
 * cookie in a header, which a foreign page cannot do, and its Origin must be a known one if a list
 * is set. Both transports at once would let a page choose which of two users it acts as: refused.
 *
 * The client's address is the peer's; what X-Forwarded-For says counts only behind a proxy that the
 * operator vouches for.
 */
#include "base/json.h"
#include "base/limits.h"
#include "http/state.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

const refusal refusal_too_large = {
    413, "payload_too_large", "the body is too large", "errors.payloadTooLarge"};
const refusal refusal_not_found = {404, "not_found", "there is no such route", "errors.notFound"};
const refusal refusal_method = {
    405, "method_not_allowed", "the route has no such method", "errors.methodNotAllowed"};
const refusal refusal_draining = {
    503, "unavailable", "the server is shutting down", "errors.unavailable"};
const refusal refusal_framing = {
    400, "bad_request", "the length of the body is ambiguous", "errors.badRequest"};

static const refusal rate_limited = {429, "rate_limited", "", "errors.rate_limited"};
static const refusal missing_token = {
    401, "missing_token", "no auth cookie or bearer token", "auth.errors.missingToken"};
static const refusal invalid_token = {
    401, "invalid_token", "token verification failed", "auth.errors.invalidToken"};
static const refusal ambiguous_auth = {400, "ambiguous_auth",
    "cookie and bearer transport presented simultaneously", "auth.errors.ambiguousAuth"};
static const refusal tenant_mismatch = {400, "tenant_mismatch",
    "JWT tenantId and X-Tenant header disagree", "auth.errors.tenantMismatch"};
static const refusal origin_not_allowed = {403, "origin_not_allowed",
    "the origin may not write with a cookie", "auth.errors.originNotAllowed"};
static const refusal csrf_token_mismatch = {
    403, "csrf_token_mismatch", "csrf token missing or mismatch", "auth.errors.csrfTokenMismatch"};

void guard_refuse(request *r, const refusal *why)
{
    r->refusal = why;
}

/* ---- headers --------------------------------------------------------------------------------- */

typedef struct header_place {
    const char *name;
    size_t len;
    size_t offset; /* in request_headers */
} header_place;

#define PLACE(name, member)                                                                        \
    {                                                                                              \
        name, sizeof(name) - 1, offsetof(request_headers, member)                                  \
    }
static const header_place header_places[] = {
    PLACE("Authorization", authorization),
    PLACE("X-Request-ID", request_id),
    PLACE("X-Correlation-ID", correlation_id),
    PLACE("X-Tenant", tenant),
    PLACE("Origin", origin),
    PLACE("X-CSRF-Token", csrf_token),
    PLACE("X-Forwarded-For", forwarded_for),
    PLACE("Accept", accept),
    PLACE("Content-Length", content_length),
};
static const header_place cookie_places[] = {
    PLACE("kumiko_auth", auth_cookie),
    PLACE("kumiko_csrf", csrf_cookie),
};
#undef PLACE

static enum MHD_Result take_header(void *context, enum MHD_ValueKind kind, const char *key,
    size_t key_size, const char *value, size_t value_size)
{
    request_headers *headers = context;
    const bool cookie = kind == MHD_COOKIE_KIND;
    const header_place *places = cookie ? cookie_places : header_places;
    const size_t count = cookie ? KU_COUNT(cookie_places) : KU_COUNT(header_places);
    for (size_t i = 0; i < count; i++) {
        if (places[i].len != key_size || strncasecmp(places[i].name, key, key_size) != 0)
            continue;
        ku_str *place = (ku_str *)((char *)headers + places[i].offset);
        if (place == &headers->authorization && place->ptr != NULL)
            headers->authorization_twice = true;
        if (place == &headers->content_length && place->ptr != NULL)
            headers->length_twice = true;
        if (place->ptr == NULL) /* of several the first counts */
            *place = (ku_str){value != NULL ? value : "", value_size};
        return MHD_YES;
    }
    if (!cookie && key_size == 6 && strncasecmp(key, "Expect", 6) == 0)
        headers->expects_continue = true;
    if (!cookie && key_size == 17 && strncasecmp(key, "Transfer-Encoding", 17) == 0)
        headers->chunked = true;
    return MHD_YES;
}

void guard_read_headers(request *r)
{
    (void)MHD_get_connection_values_n(
        r->connection, MHD_HEADER_KIND | MHD_COOKIE_KIND, take_header, &r->headers);
}

/* ---- who and whence -------------------------------------------------------------------------- */

/* `^[A-Za-z0-9._:-]{1,128}$`: what may be repeated in headers and logs. */
static bool is_trace_id(ku_str text)
{
    if (text.len == 0 || text.len > 128)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != ':' && c != '-')
            return false;
    }
    return true;
}

static void identify(request *r)
{
    app_call *call = &r->call;
    if (is_trace_id(r->headers.request_id)) {
        call->trace_id = arena_copy(&call->arena, r->headers.request_id);
    } else {
        char *text = arena_text(&call->arena, 37);
        ku_id_format(id_new(clock_now(NULL)), text);
        call->trace_id = (ku_str){text, 36};
    }
    call->correlation_id = is_trace_id(r->headers.correlation_id)
                               ? arena_copy(&call->arena, r->headers.correlation_id)
                               : call->trace_id;
}

/* The first hop that the proxy names, if it is an address. */
static bool forwarded_address(request *r, ku_str *ret_text, address_key *ret_key)
{
    const ku_str hops = r->headers.forwarded_for;
    size_t begin = 0, end = 0;
    while (begin < hops.len && hops.ptr[begin] == ' ')
        begin++;
    for (end = begin; end < hops.len && hops.ptr[end] != ',' && hops.ptr[end] != ' ';)
        end++;
    if (end == begin || end - begin > 45)
        return false;
    const ku_str hop = arena_copy(&r->call.arena, (ku_str){hops.ptr + begin, end - begin});
    if (!address_key_parse(hop.ptr, ret_key))
        return false;
    *ret_text = hop;
    return true;
}

static void locate(request *r)
{
    if (r->server->trust_proxy && forwarded_address(r, &r->call.address, &r->address_key))
        return;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    const peer *other = info->socket_context;
    r->call.address = arena_copy(&r->call.arena, ku_str_from(other->text));
    r->address_key = other->key;
}

/* ---- the guards ------------------------------------------------------------------------------ */

static bool server_is_open(request *r)
{
    if (r->server->draining)
        guard_refuse(r, &refusal_draining);
    return r->refusal == NULL;
}

static bool body_is_small_enough(request *r)
{
    const ku_str text = r->headers.content_length;
    int64_t announced = 0;
    for (size_t i = 0; i < text.len && announced <= r->server->body_bytes_max; i++) {
        if (text.ptr[i] >= '0' && text.ptr[i] <= '9') /* anything else was refused before */
            announced = announced * 10 + (text.ptr[i] - '0');
    }
    if (announced > r->server->body_bytes_max)
        guard_refuse(r, &refusal_too_large);
    return r->refusal == NULL;
}

static bool address_has_tokens(request *r)
{
    if (r->server->address_limit == NULL)
        return true;
    const address_verdict verdict =
        address_limit_take(r->server->address_limit, r->address_key, clock_monotonic_us());
    r->address_verdict = verdict;
    if (verdict.allowed)
        return true;

    arena *a = &r->call.arena;
    const ku_str bucket = arena_format(a, "l1:%" KU_PRI, KU_FMT(r->call.address));
    const ku_time reset = {clock_now(NULL).unix_us + verdict.next_in_us};
    buffer details = {.arena = a};
    buffer_add_char(&details, '{');
    json_put_key(&details, "bucket");
    json_put_text(&details, bucket);
    json_put_key(&details, "limit");
    json_put_int(&details, verdict.limit);
    json_put_key(&details, "windowSeconds");
    json_put_int(&details, ADDRESS_LIMIT_WINDOW_S);
    json_put_key(&details, "remaining");
    json_put_int(&details, verdict.remaining);
    json_put_key(&details, "retryAfterSeconds");
    json_put_int(&details, (verdict.next_in_us + 999999) / 1000000);
    json_put_key(&details, "resetAt");
    json_put_time(&details, reset);
    buffer_add_char(&details, '}');
    r->refusal_details = buffer_str(&details);
    r->refusal_message = arena_format(a, "rate limited: %" KU_PRI " (limit %" PRId64 " per %ds)",
        KU_FMT(bucket), verdict.limit, ADDRESS_LIMIT_WINDOW_S);
    guard_refuse(r, &rate_limited);
    return false;
}

/* The token behind `Bearer `; empty: another scheme, or nothing. */
static ku_str bearer_of(ku_str authorization)
{
    static const char scheme[] = "Bearer ";
    const size_t len = sizeof scheme - 1;
    if (authorization.len < len || strncasecmp(authorization.ptr, scheme, len) != 0)
        return (ku_str){0};
    size_t begin = len;
    while (begin < authorization.len && authorization.ptr[begin] == ' ')
        begin++;
    return (ku_str){authorization.ptr + begin, authorization.len - begin};
}

static bool is_signed_in(request *r)
{
    const ku_str bearer = bearer_of(r->headers.authorization), cookie = r->headers.auth_cookie;
    if ((bearer.len > 0 && cookie.len > 0) || r->headers.authorization_twice) {
        guard_refuse(r, &ambiguous_auth);
        return false;
    }
    if (bearer.len == 0 && cookie.len == 0) {
        guard_refuse(r, &missing_token);
        return false;
    }
    r->by_cookie = cookie.len > 0;
    r->principal =
        principal_of(r->server->principals, r->by_cookie ? cookie : bearer, clock_now(NULL));
    if (r->principal == NULL) {
        guard_refuse(r, &invalid_token);
        return false;
    }
    r->call.user = r->principal->user;
    return true;
}

static bool tenant_agrees(request *r)
{
    ku_id named;
    if (r->headers.tenant.ptr == NULL ||
        (ku_id_parse(r->headers.tenant, &named) && ku_id_equal(named, r->call.user.tenant)))
        return true;
    buffer details = {.arena = &r->call.arena};
    buffer_add_char(&details, '{');
    json_put_key(&details, "jwtTenantId");
    json_put_id(&details, r->call.user.tenant);
    json_put_key(&details, "headerTenantId");
    json_put_text(&details, r->headers.tenant);
    buffer_add_char(&details, '}');
    r->refusal_details = buffer_str(&details);
    guard_refuse(r, &tenant_mismatch);
    return false;
}

static bool changes_state(const request *r)
{
    return strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 ||
           strcmp(r->method, "PATCH") == 0 || strcmp(r->method, "DELETE") == 0;
}

static bool origin_is_known(request *r)
{
    if (!r->by_cookie || !changes_state(r) || r->server->origins == NULL)
        return true;
    for (const char **origin = r->server->origins; *origin != NULL; origin++) {
        if (ku_str_is(r->headers.origin, *origin))
            return true;
    }
    guard_refuse(r, &origin_not_allowed);
    return false;
}

static bool csrf_token_matches(request *r)
{
    if (!r->by_cookie || !changes_state(r))
        return true;
    const ku_str sent = r->headers.csrf_token, known = r->headers.csrf_cookie;
    if (sent.len > 0 && sent.len == known.len && CRYPTO_memcmp(sent.ptr, known.ptr, sent.len) == 0)
        return true;
    guard_refuse(r, &csrf_token_mismatch);
    return false;
}

/* Is the method one of `GET, HEAD`? */
static bool is_allowed(const char *allow, const char *method)
{
    const size_t len = strlen(method);
    for (const char *at = allow; *at != '\0'; at += strspn(at, ", ")) {
        const size_t word = strcspn(at, ",");
        if (word == len && memcmp(at, method, len) == 0)
            return true;
        at += word;
    }
    return false;
}

static bool route_takes_it(request *r)
{
    if (r->route->kind == ROUTE_UNKNOWN)
        guard_refuse(r, &refusal_not_found);
    else if (!is_allowed(r->route->allow, r->method))
        guard_refuse(r, &refusal_method);
    return r->refusal == NULL;
}

void guard_admit(request *r)
{
    static bool (*const for_api[])(request * r) = {server_is_open, body_is_small_enough,
        address_has_tokens, is_signed_in, tenant_agrees, origin_is_known, csrf_token_matches,
        route_takes_it};
    if (strncmp(r->path, "/api/", 5) != 0 && strcmp(r->path, "/api") != 0) {
        (void)route_takes_it(r);
        return;
    }
    identify(r);
    locate(r);
    for (size_t i = 0; i < KU_COUNT(for_api) && for_api[i](r); i++)
        ;
}
