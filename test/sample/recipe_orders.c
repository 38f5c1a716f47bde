/*
 * Orders: a refusal of every kind, each in the words a client can act on.
 */
#include "sample/recipes.h"

enum order_status { PLACED, PAID, CANCELLED };
static const char *const statuses[] = {"placed", "paid", "cancelled", NULL};

typedef struct order_row {
    ku_str owner;
    int64_t total_cents;
    enum order_status status;
} order_row;

static const ku_field order_row_fields[] = {
    KU_FIELD(order_row, owner),
    KU_FIELD(order_row, total_cents),
    KU_FIELD(order_row, status, .names = statuses),
};

static const ku_transition status_moves[] = {
    {"placed", KU_NAMES("paid", "cancelled")},
    {NULL,        NULL                   },
};
static const ku_transitions order_transitions[] = {
    {"status", status_moves},
    {NULL,     NULL        }
};

static const ku_entity order_entity = {
    .name = "order",
    .row = KU_SHAPE(order_row),
    .transitions = order_transitions,
};

typedef struct place_input {
    int64_t total_cents;
} place_input;
static const ku_field place_input_fields[] = {
    KU_FIELD(place_input, total_cents, .value = KU_AT_LEAST(1)),
};

static ku_status place(ku_scope *scope, const void *input, ku_reply *reply)
{
    const place_input *in = input;
    const order_row row = {ku_scope_user(scope), in->total_cents, PLACED};
    return ku_entity_create(scope, &order_entity, (ku_id){{0}}, &row, reply, NULL);
}

typedef struct order_id {
    ku_id id;
} order_id;
static const ku_field order_id_fields[] = {KU_FIELD(order_id, id)};

/* The order, if it is there and the caller's own. */
static ku_status own_order(ku_scope *scope, ku_id id, order_row *ret_order)
{
    order_row order;
    ku_status status = ku_entity_get(scope, &order_entity, id, &order);
    if (status != KU_OK)
        return status;
    if (!ku_str_equal(order.owner, ku_scope_user(scope))) {
        status = ku_fail(scope, KU_DENIED, "not_yours", "the order is somebody else's");
        ku_detail_id(scope, "orderId", id);
        return status;
    }
    *ret_order = order;
    return KU_OK;
}

static ku_status move_to(ku_scope *scope, ku_id id, enum order_status target, ku_reply *reply)
{
    int64_t version;
    const order_row row = {.status = target};
    ku_status status = ku_stream_version(scope, id, &version);
    if (status != KU_OK)
        return status;
    return ku_entity_update(scope, &order_entity, id, version, KU_COLUMNS("status"), &row, reply);
}

/* A cancelled order is not paid: the table of moves says so. */
static ku_status pay(ku_scope *scope, const void *input, ku_reply *reply)
{
    const order_id *in = input;
    order_row order;
    ku_status status = own_order(scope, in->id, &order);
    return status == KU_OK ? move_to(scope, in->id, PAID, reply) : status;
}

static ku_status cancel(ku_scope *scope, const void *input, ku_reply *reply)
{
    const order_id *in = input;
    order_row order;
    ku_status status = own_order(scope, in->id, &order);
    if (status != KU_OK)
        return status;
    if (order.status == CANCELLED)
        return ku_refuse(scope, "already_cancelled", "the order is cancelled already");
    if (order.status == PAID)
        return ku_fail(scope, KU_CONFLICT, "refund_required", "a paid order needs a refund first");
    return move_to(scope, in->id, CANCELLED, reply);
}

/* A predicate instead of roles. */
static bool is_no_guest(const ku_scope *scope)
{
    return !ku_scope_has_role(scope, "Guest");
}

static const ku_handler writes[] = {
    {.name = "order:place",  KU_SHAPE(place_input), {.allow = is_no_guest}, place },
    {.name = "order:pay",    KU_SHAPE(order_id),    {.allow = is_no_guest}, pay   },
    {.name = "order:cancel", KU_SHAPE(order_id),    {.allow = is_no_guest}, cancel},
    KU_END
};

const ku_feature orders_feature = {
    .abi = KU_ABI_VERSION,
    .name = "orders",
    .entities = KU_LIST(ku_entity, &order_entity),
    .writes = writes,
};
