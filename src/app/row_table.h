/*
 * Read tables as the application knows them: shape, columns, and the statements composed from both.
 *
 * An entity's row is the library's columns (id, version, inserted_at …) followed by the entity's
 * own struct; row_table_of_entity makes one shape of the two, so that everything else treats the
 * rows of entities and of projections alike.
 */
#ifndef KU_APP_ROW_TABLE_H
#define KU_APP_ROW_TABLE_H

#include "db/db.h"
#include "kumiko/entity.h"
#include "shape/shape.h"

/* The library's columns of an entity's row (behaviour §5). */
typedef struct entity_base {
    ku_id id;
    ku_id tenant_id;
    int64_t version;
    ku_time inserted_at;
    ku_optional_time modified_at;
    ku_str inserted_by_id;
    ku_optional_str modified_by_id;
    bool is_deleted;
    ku_optional_time deleted_at;
    ku_optional_str deleted_by_id;
} entity_base;

typedef struct row_table {
    const ku_table *table; /* the registered one; NULL: an entity's */
    const ku_entity *entity;
    ku_str name;
    ku_shape row; /* the whole row, key fields anywhere */
    int key[8];   /* indexes of the key's fields */
    size_t n_key;
    int tenant_field; /* index of `tenant_id` in an entity's row, which is no column of its own; -1
                       */
    int *columns;     /* fields that are columns, in the table's order: the key's first */
    size_t n_columns;
    db_table table_there; /* as the database has it: tenant_id, then the columns */
    db_table_statements sql;
    int place; /* among the tables of the registry: the order in which rows are locked */
    struct row_table *next;
} row_table;

enum { ROW_KEY_MAX = 8 };

/* Makes the table and its statements; problems are lines added to `problems`. */
row_table *row_table_of(arena *a, const ku_table *table, db_catalog *statements, buffer *problems);
row_table *row_table_of_entity(arena *a, const ku_entity *entity, db_catalog *statements,
    size_t *ret_n_base, size_t *ret_row_offset, buffer *problems);

/* Creates or completes the table in the database; or only says what is missing. */
ku_status row_table_ensure(const row_table *t, db *d, ku_error *ret_error);
ku_status row_table_check(const row_table *t, db *d, ku_error *ret_error);

/* A field's value for the database; JSON and such is made in the arena. */
db_value row_bind(arena *a, const ku_field *field, const void *row);
/* Fills a field from a column of the present row; text is copied into `memory`. */
ku_status row_read_field(ku_scope *scope, arena *memory, const db_rows *rows, int column,
    const ku_field *field, void *row);
/* Fills a whole row from columns in the order of row_table_columns. */
ku_status row_read(
    ku_scope *scope, arena *memory, const row_table *t, const db_rows *rows, void *row);
/* `c1, c2, …`: all columns but tenant_id, in the table's order. */
void row_table_columns(buffer *b, const row_table *t);
/* A field that is a column of its own. */
bool row_is_column(const row_table *t, size_t field);

#endif
