/*
 * The consumers that a database knows, whether or not a program still has them.
 */
#include "store/log.h"

#include "db/sql.h"

#include <string.h>

ku_status log_consumers(ku_scope *scope, ku_str **ret_names, size_t *ret_count)
{
    ku_str *names = NULL;
    size_t count = 0, capacity = 0;
    db_rows rows = {0};
    bool more = false;

    ku_status status = db_query(scope->db, SQL_CONSUMERS_ALL, NULL, 0, &rows);
    while (status == KU_OK && (status = db_next(&rows, &more)) == KU_OK && more) {
        if (count == capacity) {
            capacity = capacity == 0 ? 16 : 2 * capacity;
            ku_str *grown = arena_alloc(&scope->arena, capacity * sizeof(*grown));
            if (count > 0)
                memcpy(grown, names, count * sizeof(*grown));
            names = grown;
        }
        names[count++] = ku_copy(scope, db_column_text(&rows, 0));
    }
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(scope, status, "cannot list the consumers: %s", db_error(scope->db));
    *ret_names = names;
    *ret_count = count;
    return KU_OK;
}
