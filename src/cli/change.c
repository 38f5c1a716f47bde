/* Changes by operators, the implementation. */
#include "cli/change.h"

#include "base/clock.h"
#include "base/error.h"
#include "store/log.h"

ku_status cli_change(db *d, ku_status (*run)(ku_scope *scope, const void *context),
    const void *context, ku_error *ret_error)
{
    ku_scope scope = {0};

    ku_status status = log_schema_begin(d, ret_error);
    if (status != KU_OK)
        return status;
    scope_init(&scope);
    scope.db = d;
    scope.now = clock_now(&(clock_source){0});
    status = run(&scope, context);
    if (status == KU_OK && (status = db_commit(d)) != KU_OK)
        status = scope_fail(&scope, status, "%s", db_error(d));
    if (status != KU_OK) {
        db_rollback(d);
        (void)error_set(ret_error, status, "%" KU_PRI, KU_FMT(ku_error_message(&scope)));
    }
    scope_done(&scope);
    return status;
}
