/*
 * The floor: what SQLite itself costs on this machine, without anything of the library around it.
 *
 * The bare loop inserts the rows of the showcase's create: event, stream, entity row, detail row,
 * and moves the lane's head once per group.  It runs on the tables as the library makes them (their
 * definitions and one row of each are read from a file that the library has written, so they cannot
 * drift), with the same settings and the same policy of checkpoints.  It checks nothing, parses
 * nothing, and answers nobody.
 */
#include "bench.h"

#include "base/clock.h"
#include "db/sqlite.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS_MAX = 32, EVENTS_PER_BATCH = 1000 };

/* What differs from row to row; everything else is as in the library's row. */
typedef enum slot { SLOT_EVENT_ID, SLOT_STREAM_NO, SLOT_STREAM_ID, SLOT_COUNT } slot;

typedef struct floor_table {
    const char *name;
    const char *slots[SLOT_COUNT]; /* the column; NULL: the table has no such thing */
} floor_table;

/* clang-format off */
static const floor_table tables[] = {
    {"ku_streams", {[SLOT_STREAM_NO] = "stream_no", [SLOT_STREAM_ID] = "stream_id"}},
    {"ku_events", {[SLOT_EVENT_ID] = "id", [SLOT_STREAM_NO] = "stream_no"}},
    {"read_showcase_invoices", {[SLOT_STREAM_ID] = "id"}},
    {"read_showcase_invoice_detail", {[SLOT_STREAM_ID] = "invoice_id"}},
};
/* clang-format on */
enum { TABLES = KU_COUNT(tables) };

typedef struct insert {
    sqlite3_stmt *statement;
    int binds[SLOT_COUNT]; /* 0: none */
} insert;

typedef struct bare {
    sqlite3 *handle;
    insert inserts[TABLES];
    sqlite3_stmt *begin, *commit, *head;
    int64_t n;        /* rows of each table so far */
    int64_t event_id; /* of the library's row */
    int wal_frames;
} bare;

static sqlite3 *open_file(const char *path, int flags)
{
    sqlite3 *handle = NULL;

    if (sqlite3_open_v2(path, &handle, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        die("%s: %s", path, sqlite3_errmsg(handle));
    return handle;
}

static void run(sqlite3 *handle, const char *text)
{
    if (sqlite3_exec(handle, text, NULL, NULL, NULL) != SQLITE_OK)
        die("%s: %s", text, sqlite3_errmsg(handle));
}

static sqlite3_stmt *prepare(sqlite3 *handle, const char *text)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v3(handle, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK)
        die("%s: %s", text, sqlite3_errmsg(handle));
    return statement;
}

static void step(sqlite3 *handle, sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE)
        die("%s: %s", sqlite3_sql(statement), sqlite3_errmsg(handle));
    (void)sqlite3_reset(statement);
}

/* ---- as the library has it ------------------------------------------------------------------- */

static int count_frames(void *context, sqlite3 *handle, const char *name, int frames)
{
    bare *f = context;
    (void)handle;
    (void)name;
    f->wal_frames = frames;
    return SQLITE_OK;
}

static void copy_definitions(sqlite3 *from, sqlite3 *to, const char *table)
{
    sqlite3_stmt *found =
        prepare(from, "SELECT sql FROM sqlite_master WHERE tbl_name = $1 AND sql IS NOT NULL "
                      "ORDER BY type = 'index'");
    bool any = false;

    (void)sqlite3_bind_text(found, 1, table, -1, SQLITE_STATIC);
    while (sqlite3_step(found) == SQLITE_ROW) {
        run(to, (const char *)sqlite3_column_text(found, 0));
        any = true;
    }
    (void)sqlite3_finalize(found);
    if (!any)
        die("the library has no table %s any more", table);
}

/* An INSERT with the library's row bound to it. */
static void make_insert(sqlite3 *from, bare *f, const floor_table *table, insert *ret_insert)
{
    char text[1024];
    size_t length;

    (void)snprintf(text, sizeof text, "SELECT * FROM \"%s\"", table->name);
    sqlite3_stmt *row = prepare(from, text);
    if (sqlite3_step(row) != SQLITE_ROW)
        die("the library wrote no row into %s", table->name);
    const int columns = sqlite3_column_count(row);
    assert(columns <= COLUMNS_MAX);
    length = (size_t)snprintf(text, sizeof text, "INSERT INTO \"%s\" VALUES (", table->name);
    for (int i = 0; i < columns; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s?", i > 0 ? "," : "");
    (void)snprintf(text + length, sizeof text - length, ")");
    *ret_insert = (insert){.statement = prepare(f->handle, text)};

    for (int i = 0; i < columns; i++) {
        (void)sqlite3_bind_value(ret_insert->statement, i + 1, sqlite3_column_value(row, i));
        for (int s = 0; s < SLOT_COUNT; s++) {
            if (table->slots[s] == NULL ||
                strcmp(table->slots[s], sqlite3_column_name(row, i)) != 0)
                continue;
            ret_insert->binds[s] = i + 1;
            if (s == SLOT_EVENT_ID)
                f->event_id = sqlite3_column_int64(row, i);
        }
    }
    (void)sqlite3_finalize(row);
    for (int s = 0; s < SLOT_COUNT; s++)
        if (table->slots[s] != NULL && ret_insert->binds[s] == 0)
            die("%s has no column %s any more", table->name, table->slots[s]);
}

static void configure(sqlite3 *handle)
{
    char text[512];

    (void)snprintf(text, sizeof text,
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
        "PRAGMA journal_size_limit=%d; PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY;"
        "PRAGMA cache_size=-%d",
        (int)SQLITE_WAL_BYTES_MAX, (int)SQLITE_WRITER_CACHE_KIB);
    run(handle, text);
}

static void open_bare(const bench *b, const char *template_path, int group, bare *ret_bare)
{
    static int opened; /* each run has a file of its own */
    char name[48];

    (void)snprintf(name, sizeof name, "floor-%d-%d.db", group, opened++);
    char *path = bench_path(b, name);
    bare *f = ret_bare;
    *f = (bare){.handle = open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)};
    free(path);
    configure(f->handle);
    sqlite3 *from = open_file(template_path, SQLITE_OPEN_READONLY);
    for (size_t i = 0; i < TABLES; i++) {
        copy_definitions(from, f->handle, tables[i].name);
        make_insert(from, f, &tables[i], &f->inserts[i]);
    }
    copy_definitions(from, f->handle, "ku_lanes");
    (void)sqlite3_close(from);
    run(f->handle, "INSERT INTO ku_lanes(lane_no, tenant_id, lane, head) VALUES (1, x'00', 0, 0)");
    f->begin = prepare(f->handle, "BEGIN IMMEDIATE");
    f->commit = prepare(f->handle, "COMMIT");
    f->head = prepare(
        f->handle, "UPDATE ku_lanes SET head = head + $1 WHERE tenant_id = x'00' AND lane = 0");
    (void)sqlite3_wal_hook(f->handle, count_frames, f);
}

static void close_bare(bare *f)
{
    for (size_t i = 0; i < TABLES; i++)
        (void)sqlite3_finalize(f->inserts[i].statement);
    (void)sqlite3_finalize(f->begin);
    (void)sqlite3_finalize(f->commit);
    (void)sqlite3_finalize(f->head);
    (void)sqlite3_close(f->handle);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void insert_create(bare *f)
{
    const ku_id id = id_new(clock_now(&(clock_source){0}));
    const sqlite3_int64 event_id = f->event_id + f->n, stream_no = ++f->n;

    for (size_t i = 0; i < TABLES; i++) {
        const insert *in = &f->inserts[i];
        if (in->binds[SLOT_EVENT_ID] != 0)
            (void)sqlite3_bind_int64(in->statement, in->binds[SLOT_EVENT_ID], event_id);
        if (in->binds[SLOT_STREAM_NO] != 0)
            (void)sqlite3_bind_int64(in->statement, in->binds[SLOT_STREAM_NO], stream_no);
        if (in->binds[SLOT_STREAM_ID] != 0)
            (void)sqlite3_bind_blob(
                in->statement, in->binds[SLOT_STREAM_ID], id.bytes, sizeof id.bytes, SQLITE_STATIC);
        step(f->handle, in->statement);
    }
}

static void insert_group(bare *f, int group, int wal_frames_max)
{
    step(f->handle, f->begin);
    for (int i = 0; i < group; i++)
        insert_create(f);
    (void)sqlite3_bind_int64(f->head, 1, group);
    step(f->handle, f->head);
    step(f->handle, f->commit);
    if (f->wal_frames >= wal_frames_max)
        (void)sqlite3_wal_checkpoint_v2(f->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void run_group(const bench *b, const char *template_path, int group, result *ret_result,
    histogram *ret_latencies)
{
    static bare f;

    open_bare(b, template_path, group, &f);
    const int wal_frames_max = SQLITE_WAL_BYTES_MAX / 4096;
    const uint64_t start = now_ns(), cpu = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    const uint64_t until = start + (uint64_t)(b->seconds * 1e9);
    for (uint64_t now = start; now < until;) {
        const uint64_t before = now;
        insert_group(&f, group, wal_frames_max);
        now = now_ns();
        histogram_add(ret_latencies, now - before);
    }
    ret_result->per_second = (double)f.n / seconds_since(start);
    ret_result->cpu_us = (double)(cpu_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1e3 / (double)f.n;
    close_bare(&f);
}

static void make_template(const char *path)
{
    char url[4200];

    (void)snprintf(url, sizeof url, "sqlite:%s", path);
    ku_app *app = prepare_open(url);
    ku_response created =
        prepare_ask(app, "showcase:write:invoice:create", "{\"customer\":\"Customer 000\"}");

    ku_response_free(&created);
    ku_app_close(app);
}

void sqlite_floor_create(bench *b, int group, result *ret_result, histogram *ret_latencies)
{
    char *path = bench_path(b, "template.db");
    if (access(path, F_OK) != 0)
        make_template(path);
    run_group(b, path, group, ret_result, ret_latencies);
    free(path);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Every column as what it is; returns how much text there was. */
static int read_event(sqlite3_stmt *row)
{
    int bytes = 0;

    for (int column = 0; column < sqlite3_column_count(row); column++) {
        if (sqlite3_column_type(row, column) == SQLITE_INTEGER) {
            (void)sqlite3_column_int64(row, column);
        } else {
            (void)sqlite3_column_text(row, column);
            bytes += sqlite3_column_bytes(row, column);
        }
    }
    return bytes;
}

uint64_t sqlite_floor_load(const bench *b, const char *url, const ku_id *streams, int count)
{
    sqlite3 *handle = open_file(url + strlen("sqlite:"), SQLITE_OPEN_READONLY);
    char pragma[80];

    (void)snprintf(pragma, sizeof pragma, "PRAGMA mmap_size=%d; PRAGMA cache_size=-%d",
        (int)SQLITE_READER_MAP_BYTES, (int)SQLITE_READER_CACHE_KIB);
    run(handle, pragma);
    sqlite3_stmt *load = prepare(handle,
        "SELECT e.version, e.type, e.event_version, e.created_at, e.created_by, e.payload, "
        "e.metadata FROM ku_streams s CROSS JOIN ku_events e ON e.stream_no = s.stream_no "
        "WHERE s.tenant_id = $1 AND s.stream_id = $2 ORDER BY e.version");
    histogram *latencies = calloc(1, sizeof *latencies);
    assert(latencies != NULL);

    (void)sqlite3_bind_blob(load, 1, bench_user.tenant.bytes, 16, SQLITE_STATIC);
    const uint64_t until = now_ns() + (uint64_t)(b->seconds * 2e8);
    for (int i = 0; now_ns() < until; i = (i + 1) % count) {
        const uint64_t start = now_ns();
        int bytes = 0;
        (void)sqlite3_bind_blob(load, 2, streams[i].bytes, 16, SQLITE_STATIC);
        while (sqlite3_step(load) == SQLITE_ROW)
            bytes += read_event(load);
        (void)sqlite3_reset(load);
        if (bytes == 0)
            die("a stream is missing in %s", url);
        histogram_add(latencies, now_ns() - start);
    }
    const uint64_t p50 = histogram_at(latencies, 0.5);
    free(latencies);
    (void)sqlite3_finalize(load);
    (void)sqlite3_close(handle);
    return p50;
}

/* ---- projecting ------------------------------------------------------------------------------ */

typedef struct revenue {
    int64_t invoices, cents;
} revenue;

/* One batch into `sums`; returns how many events it had. */
static int64_t read_payments(sqlite3_stmt *batch, sqlite3_int64 *after, revenue *sums)
{
    int64_t count = 0;

    (void)sqlite3_bind_int64(batch, 1, *after);
    while (sqlite3_step(batch) == SQLITE_ROW) {
        const char *customer = (const char *)sqlite3_column_text(batch, 1);
        const long number =
            customer != NULL ? strtol(customer + strlen("Customer "), NULL, 10) : -1;
        if (number < 0 || number >= CUSTOMERS)
            die("a payment of somebody else");
        sums[number].invoices++;
        sums[number].cents += sqlite3_column_int64(batch, 2);
        *after = sqlite3_column_int64(batch, 0);
        count++;
    }
    (void)sqlite3_reset(batch);
    return count;
}

static void add_sums(sqlite3 *handle, sqlite3_stmt *add, const revenue *sums)
{
    for (int i = 0; i < CUSTOMERS; i++) {
        char name[32];
        if (sums[i].invoices == 0)
            continue;
        prepare_customer(i, name);
        (void)sqlite3_bind_text(add, 1, name, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(add, 2, sums[i].invoices);
        (void)sqlite3_bind_int64(add, 3, sums[i].cents);
        step(handle, add);
    }
}

double sqlite_floor_project(const char *url)
{
    sqlite3 *handle = open_file(url + strlen("sqlite:"), SQLITE_OPEN_READWRITE);
    int64_t total = 0, count;
    sqlite3_int64 after = 0;

    configure(handle);
    run(handle, "CREATE TABLE floor_revenue(tenant_id BLOB NOT NULL, customer TEXT NOT NULL, "
                "paid_invoices INTEGER NOT NULL, total_cents INTEGER NOT NULL, "
                "PRIMARY KEY(tenant_id, customer)) WITHOUT ROWID;"
                "CREATE TABLE floor_cursor(position INTEGER NOT NULL); INSERT INTO floor_cursor "
                "VALUES (0)");
    sqlite3_stmt *batch = prepare(handle,
        "SELECT id, payload ->> 'customer', payload ->> 'amountCents' FROM ku_events "
        "WHERE id > $1 AND type = 'showcase:event:invoice-paid' ORDER BY id LIMIT 1000");
    sqlite3_stmt *add = prepare(handle,
        "INSERT INTO floor_revenue VALUES (x'00', $1, $2, $3) ON CONFLICT DO UPDATE SET "
        "paid_invoices = paid_invoices + excluded.paid_invoices, "
        "total_cents = total_cents + excluded.total_cents");
    sqlite3_stmt *move = prepare(handle, "UPDATE floor_cursor SET position = $1");

    const uint64_t start = now_ns();
    do {
        revenue sums[CUSTOMERS] = {0};
        run(handle, "BEGIN IMMEDIATE");
        count = read_payments(batch, &after, sums);
        add_sums(handle, add, sums);
        (void)sqlite3_bind_int64(move, 1, after);
        step(handle, move);
        run(handle, "COMMIT");
        total += count;
    } while (count == EVENTS_PER_BATCH);
    const double rate = (double)total / seconds_since(start);
    (void)sqlite3_finalize(batch);
    (void)sqlite3_finalize(add);
    (void)sqlite3_finalize(move);
    (void)sqlite3_close(handle);
    return rate;
}
