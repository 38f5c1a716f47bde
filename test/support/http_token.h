/*
 * Tokens for tests, good and forged: made here from their parts, without the code under test.
 */
#ifndef TEST_SUPPORT_HTTP_TOKEN_H
#define TEST_SUPPORT_HTTP_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#define TEST_SECRET "a-secret-of-the-tests-0123456789abcdef"
#define TEST_TENANT "00000000-0000-4000-8000-000000000001"
#define TEST_TENANT_OTHER "00000000-0000-4000-8000-000000000042"
#define TEST_USER "11111111-0000-4000-8000-000000000001"

/* What is left out has a usual value: a valid token of TEST_USER, role Admin, for an hour. */
typedef struct test_token_spec {
    const char *secret;   /* TEST_SECRET */
    const char *alg;      /* HS256; `none` also leaves the signature empty */
    const char *kid;      /* not in the header */
    const char *tenant;   /* TEST_TENANT */
    const char *user;     /* TEST_USER */
    const char *roles;    /* JSON: ["Admin"] */
    const char *issuer;   /* kumiko */
    int64_t expires_in_s; /* 3600; negative: it has expired */
    const char *more;     /* further members: `,"nbf":1` */
    const char *header;   /* the whole header instead, JSON */
    const char *payload;  /* the whole payload instead, JSON */
} test_token_spec;

/* A token that the caller frees. */
char *test_token(const test_token_spec *spec);
/* The usual token for a tenant, a user and a JSON array of roles; NULL: the usual ones. */
char *test_token_for(const char *tenant, const char *user, const char *roles);

#endif
