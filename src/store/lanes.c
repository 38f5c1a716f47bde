/*
 * Lanes of tenants.
 *
 * A tenant has one lane until its operator gives it more.  A new stream is put into one of them by
 * its id, and its row keeps which: raising the number moves nothing.  So a program that has not
 * heard of the new number yet does nothing wrong, and each writer reads the numbers for itself
 * every few seconds.  Few tenants have more than one, and only those are kept.
 */
#include "store/log.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/order.h"
#include "db/sql.h"

#include <stdlib.h>
#include <string.h>

enum { REFRESH_AFTER_US = 3000000 };

typedef struct lane_count {
    ku_id tenant;
    int32_t lanes;
} lane_count;

struct lane_counts {
    lane_count *counts; /* sorted by tenant */
    size_t n_counts;
    int64_t read_at_us; /* CLOCK_MONOTONIC; 0: never */
};

lane_counts *lane_counts_new(void)
{
    return mem_zero(1, sizeof(lane_counts));
}

void lane_counts_free(lane_counts *counts)
{
    if (counts == NULL)
        return;
    free(counts->counts);
    free(counts);
}

static ku_status read_counts(db *d, buffer *ret_counts)
{
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(d, SQL_TENANT_LANES_ALL, NULL, 0, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        const lane_count count = {db_column_id(&rows, 0), (int32_t)db_column_int(&rows, 1)};
        buffer_add(ret_counts, &count, sizeof(count));
    }
    db_rows_done(&rows);
    return status;
}

ku_status lane_counts_refresh(lane_counts *counts, db *d)
{
    int64_t now_us = clock_monotonic_us();
    buffer found = {0};

    if (counts->read_at_us != 0 && now_us - counts->read_at_us < REFRESH_AFTER_US)
        return KU_OK;
    ku_status status = read_counts(d, &found);
    if (status == KU_OK) {
        free(counts->counts);
        counts->n_counts = found.len / sizeof(lane_count);
        counts->counts = counts->n_counts > 0 ? mem_zero(found.len, 1) : NULL;
        if (counts->n_counts > 0)
            memcpy(counts->counts, found.ptr, found.len);
        counts->read_at_us = now_us;
    }
    buffer_done(&found);
    return status;
}

static int compare_tenants(const void *a, const void *b)
{
    return order_ids(((const lane_count *)a)->tenant, ((const lane_count *)b)->tenant);
}

int32_t lane_counts_choose(const lane_counts *counts, ku_id tenant, ku_id stream)
{
    const lane_count key = {.tenant = tenant};
    const lane_count *found = NULL;

    if (counts->n_counts > 0)
        found =
            bsearch(&key, counts->counts, counts->n_counts, sizeof(lane_count), compare_tenants);
    return found == NULL ? 0 : (int32_t)(hash_id(0, stream) % (uint64_t)found->lanes);
}

/* ---- for operators --------------------------------------------------------------------------- */

ku_status log_set_lanes(ku_scope *scope, ku_id tenant, int32_t lanes)
{
    const db_value binds[] = {db_id(tenant), db_int(lanes), db_int(scope->now.unix_us)};
    int64_t changes = 0;

    if (lanes < 1 || lanes > LIMIT_LANES)
        return scope_fail(scope, KU_INVALID, "a tenant has 1 to %d lanes", (int)LIMIT_LANES);
    ku_status status = db_run(scope->db, SQL_TENANT_LANES_SET, binds, KU_COUNT(binds), &changes);
    if (status != KU_OK)
        return scope_fail(scope, status, "set the lanes of a tenant: %s", db_error(scope->db));
    if (changes == 0)
        return scope_fail(scope, KU_INVALID,
            "the tenant has more lanes than that, and streams in them: their number can only be "
            "raised");
    return KU_OK;
}

ku_status log_tenants(ku_scope *scope, tenant_lanes **ret_tenants, size_t *ret_count)
{
    buffer tenants = {.arena = &scope->arena};
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(scope->db, SQL_TENANTS_ALL, NULL, 0, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        const tenant_lanes tenant = {
            .tenant = db_column_id(&rows, 0),
            .lanes = (int32_t)db_column_int(&rows, 1),
            .events = db_column_int(&rows, 2),
        };
        buffer_add(&tenants, &tenant, sizeof(tenant));
    }
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(scope, status, "read tenants: %s", db_error(scope->db));
    *ret_count = tenants.len / sizeof(tenant_lanes);
    *ret_tenants = ku_alloc(scope, tenants.len);
    if (tenants.len > 0)
        memcpy(*ret_tenants, tenants.ptr, tenants.len);
    return KU_OK;
}
