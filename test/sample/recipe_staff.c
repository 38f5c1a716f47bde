/*
 * Staff: what an entity can say about its fields without code.  The e-mail address is unique, the
 * status moves along a table, the salary is for the eyes and the hands of human resources, the
 * level has a value of its own if nobody gives one.
 */
#include "sample/recipes.h"

enum employee_status { APPLIED, HIRED, LEFT };
static const char *const statuses[] = {"applied", "hired", "left", NULL};

typedef struct employee_row {
    ku_str email;
    ku_str name;
    enum employee_status status;
    int64_t level;
    ku_optional_int64 salary_cents;
} employee_row;

static const ku_field employee_row_fields[] = {
    KU_FIELD(employee_row, email, .length = KU_BETWEEN(3, 200)),
    KU_FIELD(employee_row, name, .length = KU_BETWEEN(1, 100)),
    KU_FIELD(employee_row, status, .names = statuses, .initial = "\"applied\""),
    KU_FIELD(employee_row, level, .value = KU_BETWEEN(1, 9), .initial = "1"),
    KU_FIELD(employee_row, salary_cents, .flags = KU_NULLABLE, .value = KU_AT_LEAST(0),
        .read_roles = KU_NAMES("HR"), .write_roles = KU_NAMES("HR")),
};

static const ku_unique employee_unique[] = {{KU_COLUMNS("email")}, KU_END};

static const ku_transition status_moves[] = {
    {"applied", KU_NAMES("hired", "left")},
    {"hired",         KU_NAMES("left")                  },
    {NULL,         NULL   },
};
static const ku_transitions employee_transitions[] = {
    {"status", status_moves},
    {NULL,     NULL        }
};

static const ku_entity employee_entity = {
    .name = "employee",
    .row = KU_SHAPE(employee_row),
    .unique = employee_unique,
    .transitions = employee_transitions,
};

#define STAFF KU_ROLES("User", "HR", "Admin")

/* clang-format off */
static const ku_handler writes[] = {
    {.name = "employee:create", .access = STAFF, .entity = &employee_entity, .verb = KU_VERB_CREATE},
    {.name = "employee:update", .access = STAFF, .entity = &employee_entity, .verb = KU_VERB_UPDATE},
    {.name = "employee:delete", .access = STAFF, .entity = &employee_entity, .verb = KU_VERB_DELETE},
    {.name = "employee:restore", .access = STAFF, .entity = &employee_entity,
        .verb = KU_VERB_RESTORE},
    KU_END,
};

static const ku_handler queries[] = {
    {.name = "employee:detail", .access = STAFF, .entity = &employee_entity, .verb = KU_VERB_DETAIL},
    {.name = "employee:list", .access = STAFF, .entity = &employee_entity, .verb = KU_VERB_LIST},
    KU_END,
};
/* clang-format on */

const ku_feature staff_feature = {
    .abi = KU_ABI_VERSION,
    .name = "staff",
    .entities = KU_LIST(ku_entity, &employee_entity),
    .writes = writes,
    .queries = queries,
};
