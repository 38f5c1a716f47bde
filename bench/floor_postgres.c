/*
 * The floor on PostgreSQL: a bare libpq loop, without anything of the library around it.
 *
 * It inserts the rows of the showcase's create (stream, entity row, detail row, event) and moves
 * the lane's head, a group at a time, in the library's tables and in its way: prepared statements
 * that take a binary array per column, in a pipeline of two round trips, the second with COMMIT.
 * The library has made the tables and written the first row of each; what differs from row to row
 * is the stream and the position, everything else is as in that row.  The loop checks nothing, asks
 * for nothing it could know, and answers nobody.
 */
#include "bench.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 32, EVENTS_PER_BATCH = 1000, OID_INT8 = 20, OID_TEXT = 25, BINARY = 1 };

/* ---- a connection that dies instead of failing ----------------------------------------------- */

static void pg_expect(PGconn *connection, PGresult *answer, ExecStatusType wanted)
{
    if (PQresultStatus(answer) != wanted)
        die("PostgreSQL: %s", PQerrorMessage(connection));
    PQclear(answer);
}

static void pg_prepare(PGconn *connection, const char *name, const char *sql)
{
    PGresult *answer = PQprepare(connection, name, sql, 0, NULL);

    if (PQresultStatus(answer) != PGRES_COMMAND_OK)
        die("%s: %s", sql, PQerrorMessage(connection));
    PQclear(answer);
}

/* The settings that the library gives its writers, as far as they matter here. */
static PGconn *open_writer(const char *url)
{
    PGconn *connection = postgres_open(url);

    postgres_ask(connection,
        "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off", NULL,
        0);
    return connection;
}

/* ---- binary values --------------------------------------------------------------------------- */

static void put_int32(buffer *b, int32_t value)
{
    const uint32_t wire = htonl((uint32_t)value);
    buffer_add(b, &wire, sizeof wire);
}

static int64_t get_int64(const char *bytes)
{
    uint64_t wire;
    memcpy(&wire, bytes, sizeof wire);
    return (int64_t)be64toh(wire);
}

static void begin_array(buffer *b, Oid element, int count)
{
    b->len = 0;
    put_int32(b, 1); /* dimensions */
    put_int32(b, 1); /* it may hold NULLs */
    put_int32(b, (int32_t)element);
    put_int32(b, count);
    put_int32(b, 1); /* the first one's number */
}

static void put_element(buffer *b, const void *bytes, int length)
{
    put_int32(b, length);
    if (length > 0)
        buffer_add(b, bytes, (size_t)length);
}

static void put_int64_element(buffer *b, int64_t value)
{
    const uint64_t wire = htobe64((uint64_t)value);
    put_element(b, &wire, sizeof wire);
}

/* ---- what is inserted ------------------------------------------------------------------------ */

/* What differs from row to row; everything else is as in the library's row. */
typedef enum slot { SLOT_NONE, SLOT_STREAM, SLOT_POSITION } slot;

typedef struct floor_table {
    const char *name;
    const char *stream;   /* the column that holds it */
    const char *position; /* NULL: there is none */
} floor_table;

/* Streams, rows, then (behind the lane's head) events: the order in which the library locks. */
static const floor_table tables[] = {
    {"ku_streams",                   "stream_id",  NULL      },
    {"read_showcase_invoices",       "id",         NULL      },
    {"read_showcase_invoice_detail", "invoice_id", NULL      },
    {"ku_events",                    "stream_id",  "position"},
};
enum { TABLES = KU_COUNT(tables), EVENTS_TABLE = TABLES - 1 };

typedef struct insert {
    int n_columns;
    slot slots[COLUMNS_MAX];
    PGresult *row; /* the library's, in binary */
    buffer arrays[COLUMNS_MAX];
} insert;

typedef struct bare {
    PGconn *connection;
    insert inserts[TABLES];
    int64_t n; /* creates so far */
} bare;

static void add_type(PGconn *connection, Oid type, buffer *sql)
{
    char ask[80], name[80];

    (void)snprintf(ask, sizeof ask, "SELECT format_type(%u, NULL)", type);
    postgres_ask(connection, ask, name, sizeof name);
    buffer_add_text(sql, name);
}

static void prepare_insert(bare *f, const floor_table *table, insert *ret_insert)
{
    insert *in = ret_insert;
    char ask[120];
    buffer sql = {0};

    (void)snprintf(ask, sizeof ask, "SELECT * FROM %s LIMIT 1", table->name);
    in->row = PQexecParams(f->connection, ask, 0, NULL, NULL, NULL, NULL, BINARY);
    if (PQntuples(in->row) != 1)
        die("the library wrote no row into %s: %s", table->name, PQerrorMessage(f->connection));
    in->n_columns = PQnfields(in->row);
    assert(in->n_columns <= COLUMNS_MAX);
    buffer_format(&sql, "INSERT INTO %s SELECT * FROM unnest(", table->name);
    for (int i = 0; i < in->n_columns; i++) {
        const char *name = PQfname(in->row, i);
        buffer_format(&sql, "%s$%d::", i > 0 ? ", " : "", i + 1);
        add_type(f->connection, PQftype(in->row, i), &sql);
        buffer_add_text(&sql, "[]");
        if (strcmp(name, table->stream) == 0)
            in->slots[i] = SLOT_STREAM;
        else if (table->position != NULL && strcmp(name, table->position) == 0)
            in->slots[i] = SLOT_POSITION;
    }
    buffer_add_char(&sql, ')');
    buffer_add_char(&sql, '\0');
    pg_prepare(f->connection, table->name, sql.ptr);
    buffer_done(&sql);
}

static void open_bare(const bench *b, int group, bare *ret_bare)
{
    bare *f = ret_bare;
    char name[48], sql[200];

    (void)snprintf(name, sizeof name, "floor-%d", group);
    char *url = bench_database(b, name);
    ku_app *app = prepare_open(url);
    ku_response created =
        prepare_ask(app, "showcase:write:invoice:create", "{\"customer\":\"Customer 000\"}");
    ku_response_free(&created);
    ku_app_close(app);

    *f = (bare){.connection = open_writer(url)};
    free(url);
    for (size_t i = 0; i < TABLES; i++)
        prepare_insert(f, &tables[i], &f->inserts[i]);
    pg_prepare(f->connection, "begin", "BEGIN");
    pg_prepare(f->connection, "commit", "COMMIT");
    (void)snprintf(sql, sizeof sql,
        "UPDATE ku_lanes SET head = head + $1::bigint "
        "WHERE tenant_id = (SELECT tenant_id FROM ku_streams LIMIT 1) AND lane = 0 RETURNING head");
    pg_prepare(f->connection, "head", sql);
    if (PQenterPipelineMode(f->connection) != 1)
        die("no pipeline: %s", PQerrorMessage(f->connection));
}

static void close_bare(bare *f)
{
    for (size_t i = 0; i < TABLES; i++) {
        for (int column = 0; column < COLUMNS_MAX; column++)
            buffer_done(&f->inserts[i].arrays[column]);
        PQclear(f->inserts[i].row);
    }
    PQfinish(f->connection);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void send_statement(bare *f, const char *name, const buffer *binds, int n_binds)
{
    const char *values[COLUMNS_MAX];
    int lengths[COLUMNS_MAX], formats[COLUMNS_MAX];

    for (int i = 0; i < n_binds; i++) {
        values[i] = binds[i].ptr;
        lengths[i] = (int)binds[i].len;
        formats[i] = BINARY;
    }
    if (PQsendQueryPrepared(f->connection, name, n_binds, values, lengths, formats, BINARY) != 1)
        die("PostgreSQL: %s", PQerrorMessage(f->connection));
}

static void send_insert(bare *f, size_t table, int group, const ku_id *streams, int64_t position)
{
    insert *in = &f->inserts[table];

    for (int column = 0; column < in->n_columns; column++) {
        buffer *array = &in->arrays[column];
        const char *value = PQgetvalue(in->row, 0, column);
        const int length = PQgetisnull(in->row, 0, column) ? -1 : PQgetlength(in->row, 0, column);
        begin_array(array, PQftype(in->row, column), group);
        for (int i = 0; i < group; i++) {
            if (in->slots[column] == SLOT_STREAM)
                put_element(array, streams[i].bytes, sizeof streams[i].bytes);
            else if (in->slots[column] == SLOT_POSITION)
                put_int64_element(array, position + i);
            else
                put_element(array, value, length);
        }
    }
    send_statement(f, tables[table].name, in->arrays, in->n_columns);
}

/* Sends what is queued and waits for all of it; the head, if it was among it. */
static int64_t synchronize(bare *f)
{
    int64_t head = 0;
    bool synced = false;

    if (PQpipelineSync(f->connection) != 1)
        die("PostgreSQL: %s", PQerrorMessage(f->connection));
    while (!synced) {
        PGresult *answer = PQgetResult(f->connection);
        if (answer == NULL)
            continue; /* between two statements */
        switch (PQresultStatus(answer)) {
        case PGRES_COMMAND_OK:
            break;
        case PGRES_TUPLES_OK:
            head = get_int64(PQgetvalue(answer, 0, 0));
            break;
        case PGRES_PIPELINE_SYNC:
            synced = true;
            break;
        default:
            die("PostgreSQL: %s", PQresultErrorMessage(answer));
        }
        PQclear(answer);
    }
    return head;
}

static void insert_group(bare *f, int group, ku_id *streams, buffer *count)
{
    for (int i = 0; i < group; i++)
        streams[i] = id_new(clock_now(&(clock_source){0}));
    const uint64_t wire = htobe64((uint64_t)group);
    count->len = 0;
    buffer_add(count, &wire, sizeof wire);

    send_statement(f, "begin", NULL, 0);
    for (size_t i = 0; i < EVENTS_TABLE; i++)
        send_insert(f, i, group, streams, 0);
    send_statement(f, "head", count, 1);
    const int64_t head = synchronize(f);
    send_insert(f, EVENTS_TABLE, group, streams, head - group + 1);
    send_statement(f, "commit", NULL, 0);
    (void)synchronize(f);
    f->n += group;
}

void postgres_floor_create(bench *b, int group, result *ret_result, histogram *ret_latencies)
{
    static bare f;
    buffer count = {0};
    ku_id *streams = calloc((size_t)group, sizeof *streams);
    assert(streams != NULL);

    open_bare(b, group, &f);
    const uint64_t start = now_ns(), cpu = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    const uint64_t until = start + (uint64_t)(b->seconds * 1e9);
    for (uint64_t now = start; now < until;) {
        const uint64_t before = now;
        insert_group(&f, group, streams, &count);
        now = now_ns();
        histogram_add(ret_latencies, now - before);
    }
    ret_result->per_second = (double)f.n / seconds_since(start);
    ret_result->cpu_us = (double)(cpu_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1e3 / (double)f.n;
    close_bare(&f);
    buffer_done(&count);
    free(streams);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void load_stream(PGconn *connection, ku_id stream)
{
    const char *values[] = {
        (const char *)bench_user.tenant.bytes,
        (const char *)stream.bytes,
    };
    const int lengths[] = {sizeof stream.bytes, sizeof stream.bytes};
    const int formats[] = {BINARY, BINARY};
    PGresult *answer = PQexecPrepared(connection, "load", 2, values, lengths, formats, BINARY);

    if (PQntuples(answer) == 0)
        die("a stream is missing: %s", PQerrorMessage(connection));
    pg_expect(connection, answer, PGRES_TUPLES_OK);
}

uint64_t postgres_floor_load(const bench *b, const char *url, const ku_id *streams, int count)
{
    PGconn *connection = open_writer(url);
    histogram *latencies = calloc(1, sizeof *latencies);
    assert(latencies != NULL);

    pg_prepare(connection, "load",
        "SELECT version, type, event_version, created_at, created_by, payload, metadata "
        "FROM ku_events WHERE tenant_id = $1::uuid AND stream_id = $2::uuid ORDER BY version");
    const uint64_t until = now_ns() + (uint64_t)(b->seconds * 2e8);
    for (int i = 0; now_ns() < until; i = (i + 1) % count) {
        const uint64_t start = now_ns();
        load_stream(connection, streams[i]);
        histogram_add(latencies, now_ns() - start);
    }
    const uint64_t p50 = histogram_at(latencies, 0.5);
    free(latencies);
    PQfinish(connection);
    return p50;
}

/* ---- projecting ------------------------------------------------------------------------------ */

typedef struct revenue {
    int64_t invoices, cents;
} revenue;

/* One batch into `sums`; returns how many events it had. */
static int64_t read_payments(PGconn *connection, int64_t *after, revenue *sums)
{
    const uint64_t wire = htobe64((uint64_t)*after);
    const char *values[] = {(const char *)bench_user.tenant.bytes, (const char *)&wire};
    const int lengths[] = {sizeof bench_user.tenant.bytes, sizeof wire};
    const int formats[] = {BINARY, BINARY};
    PGresult *answer = PQexecPrepared(connection, "batch", 2, values, lengths, formats, BINARY);
    const int count = PQntuples(answer);

    for (int i = 0; i < count; i++) {
        char customer[32];
        (void)snprintf(
            customer, sizeof customer, "%.*s", PQgetlength(answer, i, 1), PQgetvalue(answer, i, 1));
        const long number = strtol(customer + strlen("Customer "), NULL, 10);
        if (number < 0 || number >= CUSTOMERS)
            die("a payment of somebody else");
        sums[number].invoices++;
        sums[number].cents += get_int64(PQgetvalue(answer, i, 2));
        *after = get_int64(PQgetvalue(answer, i, 0));
    }
    pg_expect(connection, answer, PGRES_TUPLES_OK);
    return count;
}

/* The sums of a batch and the cursor, sent with BEGIN before and COMMIT behind. */
static void write_sums(bare *f, buffer arrays[3], int64_t after, const revenue *sums)
{
    int customers = 0;
    buffer position = {0};

    for (int i = 0; i < CUSTOMERS; i++)
        customers += sums[i].invoices > 0;
    begin_array(&arrays[0], OID_TEXT, customers);
    begin_array(&arrays[1], OID_INT8, customers);
    begin_array(&arrays[2], OID_INT8, customers);
    for (int i = 0; i < CUSTOMERS; i++) {
        char name[32];
        if (sums[i].invoices == 0)
            continue;
        prepare_customer(i, name);
        put_element(&arrays[0], name, (int)strlen(name));
        put_int64_element(&arrays[1], sums[i].invoices);
        put_int64_element(&arrays[2], sums[i].cents);
    }
    const uint64_t wire = htobe64((uint64_t)after);
    buffer_add(&position, &wire, sizeof wire);
    send_statement(f, "begin", NULL, 0);
    send_statement(f, "move", &position, 1);
    send_statement(f, "add", arrays, 3);
    send_statement(f, "commit", NULL, 0);
    (void)synchronize(f);
    buffer_done(&position);
}

static void prepare_project(PGconn *connection)
{
    postgres_ask(connection,
        "CREATE TABLE floor_revenue(tenant_id uuid, customer text COLLATE \"C\", "
        "paid_invoices bigint NOT NULL, total_cents bigint NOT NULL, "
        "PRIMARY KEY (tenant_id, customer));"
        "CREATE TABLE floor_cursor(position bigint NOT NULL); INSERT INTO floor_cursor VALUES (0)",
        NULL, 0);
    pg_prepare(connection, "begin", "BEGIN");
    pg_prepare(connection, "commit", "COMMIT");
    pg_prepare(connection, "batch",
        "SELECT position, payload::json ->> 'customer', (payload::json ->> 'amountCents')::bigint "
        "FROM ku_events WHERE tenant_id = $1::uuid AND lane = 0 AND position > $2::bigint "
        "AND type = 'showcase:event:invoice-paid' ORDER BY position LIMIT 1000");
    pg_prepare(connection, "add",
        "INSERT INTO floor_revenue AS r SELECT '00000000-0000-0000-0000-000000000000', * "
        "FROM unnest($1::text[], $2::bigint[], $3::bigint[]) "
        "ON CONFLICT (tenant_id, customer) DO UPDATE SET "
        "paid_invoices = r.paid_invoices + excluded.paid_invoices, "
        "total_cents = r.total_cents + excluded.total_cents");
    pg_prepare(connection, "move", "UPDATE floor_cursor SET position = $1::bigint");
}

double postgres_floor_project(const char *url)
{
    bare f = {.connection = open_writer(url)};
    buffer arrays[3] = {{0}};
    int64_t total = 0, count, after = 0;

    prepare_project(f.connection);
    const uint64_t start = now_ns();
    do {
        revenue sums[CUSTOMERS] = {{0}};
        count = read_payments(f.connection, &after, sums);
        if (PQenterPipelineMode(f.connection) != 1)
            die("no pipeline: %s", PQerrorMessage(f.connection));
        write_sums(&f, arrays, after, sums);
        if (PQexitPipelineMode(f.connection) != 1)
            die("the pipeline does not end: %s", PQerrorMessage(f.connection));
        total += count;
    } while (count == EVENTS_PER_BATCH);
    const double rate = (double)total / seconds_since(start);
    for (size_t i = 0; i < KU_COUNT(arrays); i++)
        buffer_done(&arrays[i]);
    PQfinish(f.connection);
    return rate;
}
