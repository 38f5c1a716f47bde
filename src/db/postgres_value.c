/*
 * PostgreSQL: values, in and out.
 *
 * Everything goes over the wire in binary form, as the type that the server gave to the bind or the
 * column: so no statement needs to say more than the server knows already.  Instants are
 * microseconds since 2000 there; INT64_MAX and INT64_MIN are the infinities in both counts.
 *
 * The binds of one row are scalars: a text is not copied, libpq copies it when it is sent.  The
 * binds of many rows are one array per column, encoded one behind the other into a buffer that the
 * connection keeps.
 */
#include "db/postgres.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* pg_type.dat; they never change */
enum {
    TYPE_BOOL = 16,
    TYPE_BYTEA = 17,
    TYPE_NAME = 19,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_OID = 26,
    TYPE_JSON = 114,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_UNKNOWN = 705,
    TYPE_VARCHAR = 1043,
    TYPE_TIMESTAMPTZ = 1184,
    TYPE_UUID = 2950,
    TYPE_JSONB = 3802,
};

static const struct {
    Oid array, element;
} array_types[] = {
    {1000, TYPE_BOOL       },
    {1001, TYPE_BYTEA      },
    {1005, TYPE_INT2       },
    {1007, TYPE_INT4       },
    {1009, TYPE_TEXT       },
    {1015, TYPE_VARCHAR    },
    {1016, TYPE_INT8       },
    {1022, TYPE_FLOAT8     },
    {1185, TYPE_TIMESTAMPTZ},
    {199,  TYPE_JSON       },
    {2951, TYPE_UUID       },
    {3807, TYPE_JSONB      },
};

static const int64_t epoch_us = INT64_C(946684800000000); /* 2000 in microseconds since 1970 */

/* ---- numbers on the wire --------------------------------------------------------------------- */

static void put_16(char *place, int16_t value)
{
    uint16_t wire = htobe16((uint16_t)value);
    memcpy(place, &wire, sizeof(wire));
}

static void put_32(char *place, int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);
    memcpy(place, &wire, sizeof(wire));
}

static void put_64(char *place, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);
    memcpy(place, &wire, sizeof(wire));
}

static int16_t get_16(const char *place)
{
    uint16_t wire;
    memcpy(&wire, place, sizeof(wire));
    return (int16_t)be16toh(wire);
}

static int32_t get_32(const char *place)
{
    uint32_t wire;
    memcpy(&wire, place, sizeof(wire));
    return (int32_t)be32toh(wire);
}

static int64_t get_64(const char *place)
{
    uint64_t wire;
    memcpy(&wire, place, sizeof(wire));
    return (int64_t)be64toh(wire);
}

/* Instants so close to the ends that they have no number there become the infinities. */
static int64_t time_to_wire(int64_t unix_us)
{
    if (unix_us == INT64_MAX || unix_us < INT64_MIN + epoch_us)
        return unix_us == INT64_MAX ? INT64_MAX : INT64_MIN;
    return unix_us - epoch_us;
}

static int64_t time_from_wire(int64_t wire)
{
    if (wire == INT64_MIN || wire == INT64_MAX)
        return wire;
    return wire > INT64_MAX - epoch_us ? INT64_MAX : wire + epoch_us;
}

/* ---- binds ----------------------------------------------------------------------------------- */

static bool is_text(Oid type)
{
    return type == TYPE_TEXT || type == TYPE_VARCHAR || type == TYPE_JSON || type == TYPE_NAME ||
           type == TYPE_BYTEA || type == TYPE_UNKNOWN;
}

/* Bytes of an integer of that type on the wire, written to `place`; 0: it does not fit. */
static int encode_integer(Oid type, int64_t value, char *place)
{
    switch (type) {
    case TYPE_INT8:
        put_64(place, value);
        return 8;
    case TYPE_TIMESTAMPTZ:
        put_64(place, time_to_wire(value));
        return 8;
    case TYPE_INT4:
        put_32(place, (int32_t)value);
        return value >= INT32_MIN && value <= INT32_MAX ? 4 : 0;
    case TYPE_INT2:
        put_16(place, (int16_t)value);
        return value >= INT16_MIN && value <= INT16_MAX ? 2 : 0;
    case TYPE_OID:
        put_32(place, (int32_t)(uint32_t)value);
        return value >= 0 && value <= (int64_t)UINT32_MAX ? 4 : 0;
    case TYPE_BOOL:
        *place = value != 0;
        return 1;
    case TYPE_FLOAT8: {
        double number = (double)value;
        int64_t bits;
        memcpy(&bits, &number, sizeof(bits));
        put_64(place, bits);
        return 8;
    }
    default:
        return 0;
    }
}

/* The same for any value but text, and for NULL; `place` has room for 16 bytes. */
static int encode_plain(Oid type, const db_value *value, char *place)
{
    if (value->kind == DB_INT)
        return encode_integer(type, value->integer, place);
    if (value->kind == DB_ID && (type == TYPE_UUID || type == TYPE_BYTEA)) {
        memcpy(place, value->id.bytes, sizeof(value->id.bytes));
        return sizeof(value->id.bytes);
    }
    if (value->kind == DB_DOUBLE && type == TYPE_FLOAT8) {
        int64_t bits;
        memcpy(&bits, &value->number, sizeof(bits));
        put_64(place, bits);
        return 8;
    }
    return 0;
}

static void grow_binds(postgres_binds *binds, size_t n)
{
    if (n <= binds->capacity)
        return;
    binds->capacity = n < 32 ? 32 : 2 * n;
    binds->values = mem_grow((void *)binds->values, binds->capacity * sizeof(*binds->values));
    binds->lengths = mem_grow(binds->lengths, binds->capacity * sizeof(*binds->lengths));
    binds->formats = mem_grow(binds->formats, binds->capacity * sizeof(*binds->formats));
    binds->offsets = mem_grow(binds->offsets, binds->capacity * sizeof(*binds->offsets));
    for (size_t i = 0; i < binds->capacity; i++)
        binds->formats[i] = 1;
}

void postgres_binds_done(postgres_binds *binds)
{
    buffer_done(&binds->bytes);
    free((void *)binds->values);
    free(binds->lengths);
    free(binds->formats);
    free(binds->offsets);
    *binds = (postgres_binds){0};
}

static ku_status refuse_bind(
    postgres_db *p, const postgres_statement *statement, size_t index, const db_value *value)
{
    static const char *const kinds[] = {
        [DB_NULL] = "NULL",
        [DB_INT] = "an integer",
        [DB_DOUBLE] = "a double",
        [DB_TEXT] = "a text",
        [DB_ID] = "an id",
    };

    return postgres_fail(p, KU_INTERNAL, false,
        "statement %s: bind $%zu is of the server's type %u, which %s does not fit",
        statement->name, index + 1, (unsigned)statement->types[index], kinds[value->kind]);
}

ku_status postgres_encode(
    postgres_db *p, const postgres_statement *statement, const db_value *binds, size_t n_binds)
{
    postgres_binds *b = &p->binds;

    assert(statement->n_binds == n_binds);
    grow_binds(b, n_binds);
    b->bytes.len = 0;
    char *place = buffer_reserve(&b->bytes, 16 * n_binds + 1);
    for (size_t i = 0; i < n_binds; i++) {
        const db_value *value = &binds[i];
        Oid type = statement->types[i];
        b->values[i] = place;
        if (value->kind == DB_NULL) {
            b->values[i] = NULL;
            b->lengths[i] = 0;
        } else if (value->kind == DB_TEXT && is_text(type)) {
            b->values[i] = value->text.ptr != NULL ? value->text.ptr : "";
            b->lengths[i] = (int)value->text.len;
        } else {
            b->lengths[i] = encode_plain(type, value, place);
            if (b->lengths[i] == 0)
                return refuse_bind(p, statement, i, value);
            place += 16;
        }
    }
    return KU_OK;
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static Oid element_of(Oid array)
{
    for (size_t i = 0; i < KU_COUNT(array_types); i++)
        if (array_types[i].array == array)
            return array_types[i].element;
    return InvalidOid;
}

/* One element: its length and its bytes.  False: it does not fit the type. */
static bool add_element(buffer *b, Oid type, const db_value *value)
{
    if (value->kind == DB_TEXT) {
        size_t version = type == TYPE_JSONB ? 1 : 0;
        if (!is_text(type) && version == 0)
            return false;
        char *place = buffer_reserve(b, 5 + value->text.len);
        put_32(place, (int32_t)(version + value->text.len));
        place[4] = 1;
        if (value->text.len > 0)
            memcpy(place + 4 + version, value->text.ptr, value->text.len);
        b->len += 4 + version + value->text.len;
        return true;
    }
    char *place = buffer_reserve(b, 4 + 16);
    if (value->kind == DB_NULL) {
        put_32(place, -1);
        b->len += 4;
        return true;
    }
    int length = encode_plain(type, value, place + 4);
    put_32(place, length);
    b->len += 4 + (size_t)length;
    return length > 0;
}

ku_status postgres_encode_many(postgres_db *p, const postgres_statement *statement,
    const db_value *values, size_t n_columns, size_t n_rows)
{
    enum { HEADER_BYTES = 20 };
    postgres_binds *b = &p->binds;

    assert(statement->n_binds == n_columns);
    grow_binds(b, n_columns);
    b->bytes.len = 0;
    for (size_t column = 0; column < n_columns; column++) {
        Oid type = element_of(statement->types[column]);
        if (type == InvalidOid)
            return postgres_fail(p, KU_INTERNAL, false,
                "statement %s: bind $%zu is of the server's type %u, and that is no array",
                statement->name, column + 1, (unsigned)statement->types[column]);
        size_t offset = b->bytes.len;
        bool any_null = false;
        (void)buffer_reserve(&b->bytes, HEADER_BYTES + n_rows * 12);
        b->bytes.len += HEADER_BYTES;
        for (size_t row = 0; row < n_rows; row++) {
            const db_value *value = &values[row * n_columns + column];
            any_null = any_null || value->kind == DB_NULL;
            if (!add_element(&b->bytes, type, value))
                return refuse_bind(p, statement, column, value);
        }
        char *header = b->bytes.ptr + offset;
        put_32(header, 1); /* dimensions */
        put_32(header + 4, any_null ? 1 : 0);
        put_32(header + 8, (int32_t)type);
        put_32(header + 12, (int32_t)n_rows);
        put_32(header + 16, 1); /* the first one's number */
        b->offsets[column] = offset;
        b->lengths[column] = (int)(b->bytes.len - offset);
    }
    for (size_t column = 0; column < n_columns; column++)
        b->values[column] = b->bytes.ptr + b->offsets[column];
    return KU_OK;
}

/* ---- columns --------------------------------------------------------------------------------- */

/* The column's bytes in the present row; NULL: there are none. */
static const char *column_bytes(const db_rows *rows, int column, Oid *ret_type)
{
    const PGresult *result = rows->statement;

    assert(column >= 0 && column < PQnfields(result));
    if (rows->slot < 0 || PQgetisnull(result, rows->slot, column))
        return NULL;
    *ret_type = PQftype(result, column);
    return PQgetvalue(result, rows->slot, column);
}

bool postgres_is_null(const db_rows *rows, int column)
{
    Oid type;
    return column_bytes(rows, column, &type) == NULL;
}

static double get_double(const char *bytes)
{
    int64_t bits = get_64(bytes);
    double number;

    memcpy(&number, &bits, sizeof(number));
    return number;
}

int64_t postgres_column_int(const db_rows *rows, int column)
{
    Oid type = InvalidOid;
    const char *bytes = column_bytes(rows, column, &type);

    if (bytes == NULL)
        return 0;
    switch (type) {
    case TYPE_BOOL:
        return *bytes != 0;
    case TYPE_INT2:
        return get_16(bytes);
    case TYPE_INT4:
        return get_32(bytes);
    case TYPE_OID:
        return (uint32_t)get_32(bytes);
    case TYPE_TIMESTAMPTZ:
        return time_from_wire(get_64(bytes));
    default:
        assert(type == TYPE_INT8); /* sum() gives a numeric: cast it */
        return get_64(bytes);
    }
}

double postgres_column_double(const db_rows *rows, int column)
{
    Oid type = InvalidOid;
    const char *bytes = column_bytes(rows, column, &type);

    if (bytes == NULL)
        return 0.0;
    if (type == TYPE_FLOAT8)
        return get_double(bytes);
    if (type == TYPE_FLOAT4) {
        int32_t bits = get_32(bytes);
        float number;
        memcpy(&number, &bits, sizeof(number));
        return (double)number;
    }
    return (double)postgres_column_int(rows, column);
}

ku_str postgres_column_text(const db_rows *rows, int column)
{
    Oid type = InvalidOid;
    const char *bytes = column_bytes(rows, column, &type);

    if (bytes == NULL)
        return (ku_str){0};
    size_t length = (size_t)PQgetlength(rows->statement, rows->slot, column);
    if (type == TYPE_JSONB) /* behind the version of its format */
        return (ku_str){bytes + 1, length - 1};
    assert(is_text(type));
    return (ku_str){bytes, length};
}

ku_id postgres_column_id(const db_rows *rows, int column)
{
    ku_id id = {{0}};
    Oid type = InvalidOid;
    const char *bytes = column_bytes(rows, column, &type);

    if (bytes != NULL && PQgetlength(rows->statement, rows->slot, column) == (int)sizeof(id.bytes))
        memcpy(id.bytes, bytes, sizeof(id.bytes));
    return id;
}
