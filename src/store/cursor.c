/*
 * Cursors: how far each consumer has come in each lane.
 *
 * A cursor moves in the transaction that holds the effects of the events it moves over, and only
 * from where it was read: if somebody else has moved it in the meantime nothing is written and the
 * transaction is given up.  That compare is why each event has its effect exactly once.
 *
 * Where several processes share the database they lease lanes from each other, so that two do not
 * work on one in vain.  Every claim raises the cursor's epoch, and whoever moves it or notes a
 * failure says which epoch is his: a process that slept through the end of its lease writes
 * nothing.  A lease is renewed as long as there is work, so a process that came later asks for
 * lanes by leaving its name at them; the owner gives them away when it sees that.
 *
 * A lane without a row of its own is at position 0, idle, free.
 */
#include "store/log.h"

#include "base/order.h"
#include "db/sql.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Reads columns from `first` on, with a lease in the last two where `leased` is set. */
static cursor read_cursor(ku_scope *scope, const db_rows *rows, int first, bool leased)
{
    return (cursor){
        .tenant = db_column_id(rows, first),
        .lane = (int32_t)db_column_int(rows, first + 1),
        .position = db_column_int(rows, first + 2),
        .head = db_column_int(rows, first + 3),
        .attempts = (int)db_column_int(rows, first + 4),
        .retry_at = {db_column_int(rows, first + 5)},
        .status = ku_copy(scope, db_column_text(rows, first + 6)),
        .last_error = ku_copy(scope, db_column_text(rows, first + 7)),
        .updated_at = {db_column_int(rows, first + 8)},
        .epoch = leased ? db_column_int(rows, first + 9) : 0,
        .lease = leased ? (cursor_lease)db_column_int(rows, first + 10) : LEASE_MINE,
    };
}

/* `consumer`: whose they all are; empty: the first column says. */
static ku_status read_cursors(ku_scope *scope, int sql, const db_value *binds, size_t n_binds,
    ku_str consumer, cursor **ret_cursors, size_t *ret_count)
{
    const bool named = consumer.len == 0;
    const bool leased = named && db_is_shared(scope->db);
    buffer cursors = {.arena = &scope->arena};
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(scope->db, sql, binds, n_binds, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        /* They come sorted: one copy of the name serves all lanes of a consumer. */
        if (named && !ku_str_equal(consumer, db_column_text(&rows, 0)))
            consumer = ku_copy(scope, db_column_text(&rows, 0));
        cursor found = read_cursor(scope, &rows, named ? 1 : 0, leased);
        found.consumer = consumer;
        buffer_add(&cursors, &found, sizeof(found));
    }
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(scope, status, "read cursors: %s", db_error(scope->db));
    *ret_count = cursors.len / sizeof(cursor);
    *ret_cursors = ku_alloc(scope, cursors.len);
    if (cursors.len > 0)
        memcpy(*ret_cursors, cursors.ptr, cursors.len);
    return KU_OK;
}

ku_status log_cursors_behind(
    ku_scope *scope, ku_str consumers_json, ku_id owner, cursor **ret_cursors, size_t *ret_count)
{
    const db_value binds[] = {db_text(consumers_json), db_id(owner)};

    return read_cursors(
        scope, SQL_CURSORS_BEHIND, binds, KU_COUNT(binds), KU_STR(""), ret_cursors, ret_count);
}

ku_status log_cursors(
    ku_scope *scope, ku_str consumer, ku_id tenant, cursor **ret_cursors, size_t *ret_count)
{
    const db_value binds[] = {db_text(consumer), db_id(tenant)};
    bool all = ku_id_is_nil(tenant);

    return read_cursors(scope, all ? SQL_CURSORS_ALL : SQL_CURSORS_OF_TENANT, binds, all ? 1 : 2,
        consumer, ret_cursors, ret_count);
}

/* ---- leases ---------------------------------------------------------------------------------- */

enum { KEY_COLUMNS = 4 };

/* By primary key: the order in which whoever writes cursors locks them. */
static int compare_cursors(const void *a, const void *b)
{
    const cursor *left = *(cursor *const *)a, *right = *(cursor *const *)b;
    int order = order_ids(left->tenant, right->tenant);

    if (order == 0)
        order = order_texts(left->consumer, right->consumer);
    return order != 0 ? order : order_ints(left->lane, right->lane);
}

/* Those with that lease, sorted as they are to be locked, in the scope's memory. */
static size_t pick(
    ku_scope *scope, cursor_lease lease, cursor *cursors, size_t count, cursor ***ret_picked)
{
    cursor **picked = arena_alloc(&scope->arena, (count + 1) * sizeof(*picked));
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (cursors[i].lease == lease)
            picked[n++] = &cursors[i];
    }
    qsort(picked, n, sizeof(*picked), compare_cursors);
    *ret_picked = picked;
    return n;
}

/* Keys, and the owner. */
static db_value *bind_keys(ku_scope *scope, ku_id owner, cursor **picked, size_t n)
{
    db_value *values = arena_alloc(&scope->arena, n * KEY_COLUMNS * sizeof(*values));

    for (size_t i = 0; i < n; i++) {
        db_value *binds = values + KEY_COLUMNS * i;
        binds[0] = db_id(picked[i]->tenant);
        binds[1] = db_text(picked[i]->consumer);
        binds[2] = db_int(picked[i]->lane);
        binds[3] = db_id(owner);
    }
    return values;
}

static ku_status claim_sorted(ku_scope *scope, ku_id owner, cursor **wanted, size_t n_wanted)
{
    const db_value *values = bind_keys(scope, owner, wanted, n_wanted);
    db_rows rows = {0};
    bool row;

    ku_status status =
        db_query_many(scope->db, SQL_CURSOR_CLAIM, values, KEY_COLUMNS, n_wanted, &rows);
    for (size_t i = 0; i < n_wanted && status == KU_OK; i++)
        wanted[i]->lease = LEASE_ANOTHERS;
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        const cursor got = {.tenant = db_column_id(&rows, 0),
            .consumer = db_column_text(&rows, 1),
            .lane = (int32_t)db_column_int(&rows, 2)};
        const cursor *key = &got;
        cursor **found = bsearch(&key, wanted, n_wanted, sizeof(*wanted), compare_cursors);
        assert(found != NULL); /* it returns what it was given */
        (*found)->position = db_column_int(&rows, 3);
        (*found)->epoch = db_column_int(&rows, 4);
        (*found)->lease = LEASE_MINE;
    }
    db_rows_done(&rows);
    return status;
}

ku_status log_cursors_claim(ku_scope *scope, ku_id owner, cursor *cursors, size_t count)
{
    cursor **wanted;

    if (!db_is_shared(scope->db) || count == 0)
        return KU_OK;
    ku_mark mark = arena_mark(&scope->arena);
    const size_t n_wanted = pick(scope, LEASE_FREE, cursors, count, &wanted);
    ku_status status = n_wanted == 0 ? KU_OK : claim_sorted(scope, owner, wanted, n_wanted);
    arena_rewind(&scope->arena, mark);
    if (status != KU_OK)
        return scope_fail(scope, status, "claim cursors: %s", db_error(scope->db));
    return KU_OK;
}

ku_status log_cursors_ask(
    ku_scope *scope, ku_id owner, ku_str consumers_json, int64_t limit, int64_t *ret_asked)
{
    const db_value binds[] = {db_id(owner), db_text(consumers_json), db_int(limit)};

    assert(db_is_shared(scope->db));
    ku_status status = db_run(scope->db, SQL_CURSOR_ASK, binds, KU_COUNT(binds), ret_asked);
    if (status != KU_OK)
        return scope_fail(scope, status, "ask for cursors: %s", db_error(scope->db));
    return KU_OK;
}

ku_status log_cursors_give(ku_scope *scope, ku_id owner, cursor *cursors, size_t count)
{
    cursor **wanted;
    ku_status status = KU_OK;

    ku_mark mark = arena_mark(&scope->arena);
    const size_t n_wanted = pick(scope, LEASE_WANTED, cursors, count, &wanted);
    if (n_wanted > 0)
        status = db_run_many(scope->db, SQL_CURSOR_GIVE, bind_keys(scope, owner, wanted, n_wanted),
            KEY_COLUMNS, n_wanted, NULL);
    /* Also those that nobody wants any more: they are seen again soon. */
    for (size_t i = 0; i < n_wanted && status == KU_OK; i++)
        wanted[i]->lease = LEASE_ANOTHERS;
    arena_rewind(&scope->arena, mark);
    if (status != KU_OK)
        return scope_fail(scope, status, "give cursors: %s", db_error(scope->db));
    return KU_OK;
}

ku_status log_cursors_release(db *d, ku_id owner)
{
    const db_value binds[] = {db_id(owner)};

    return db_is_shared(d) ? db_run(d, SQL_CURSOR_RELEASE, binds, KU_COUNT(binds), NULL) : KU_OK;
}

/* ---- failures, beginnings -------------------------------------------------------------------- */

ku_status log_cursor_fail(
    db *d, ku_str consumer, const cursor *failed, ku_time now, bool *ret_noted)
{
    int64_t changes = 0;
    const db_value binds[] = {db_id(failed->tenant), db_text(consumer), db_int(failed->lane),
        db_int(failed->position), db_text(failed->status), db_int(failed->attempts),
        db_int(failed->retry_at.unix_us), db_text(failed->last_error), db_int(now.unix_us),
        db_int(failed->epoch)};

    ku_status status = db_run(d, SQL_CURSOR_FAIL, binds, KU_COUNT(binds), &changes);
    if (status == KU_OK && ret_noted != NULL)
        *ret_noted = changes > 0;
    return status;
}

ku_status log_consumer_register(
    ku_scope *scope, ku_str consumer, const consumer_start *start, ku_time now, bool *ret_new)
{
    const db_value binds[] = {
        db_text(consumer),
        db_int(now.unix_us),
        db_int(start->time.set ? start->time.value.unix_us : start->position),
    };
    int64_t changes = 0;

    ku_status status = db_run(scope->db, SQL_CONSUMER_INSERT, binds, 2, &changes);
    if (status == KU_OK && changes == 1 && start->time.set)
        status = db_run(scope->db, SQL_CONSUMER_AT_TIME, binds, KU_COUNT(binds), NULL);
    else if (status == KU_OK && changes == 1 && start->position > 0)
        status = db_run(scope->db, SQL_CONSUMER_AT_POSITION, binds, KU_COUNT(binds), NULL);
    if (status != KU_OK)
        return scope_fail(scope, status, "register consumer %" KU_PRI ": %s", KU_FMT(consumer),
            db_error(scope->db));
    if (ret_new != NULL)
        *ret_new = changes == 1;
    return KU_OK;
}

ku_status log_consumer_rearm(db *d, ku_str consumer, ku_time now, int64_t *ret_lanes)
{
    const db_value binds[] = {db_text(consumer), db_int(now.unix_us)};

    return db_run(d, SQL_CURSOR_REARM, binds, KU_COUNT(binds), ret_lanes);
}
