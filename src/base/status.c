/*
 * The facts of every status, from the one table in kumiko/status.h.
 */
#include "kumiko/status.h"

#include <assert.h>

typedef struct status_row {
    const char *code;
    int http;
    const char *i18n_key;
    int exit;
    const char *text;
} status_row;

static const status_row status_rows[] = {
#define X(name, code, http, i18n, exit, text) {code, http, i18n, exit, text},
    KU_STATUS_MAP(X)
#undef X
};

static const status_row *row_of(ku_status status)
{
    assert((size_t)status < KU_COUNT(status_rows));
    return &status_rows[status];
}

const char *ku_status_code(ku_status status)
{
    return row_of(status)->code;
}

int ku_status_http(ku_status status)
{
    return row_of(status)->http;
}

const char *ku_status_i18n_key(ku_status status)
{
    return row_of(status)->i18n_key;
}

int ku_status_exit(ku_status status)
{
    return row_of(status)->exit;
}

const char *ku_status_text(ku_status status)
{
    return row_of(status)->text;
}
