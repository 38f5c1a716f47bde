/*
 * Events between features: pubsubOrders says that an order was placed, pubsubInbox listens.  All
 * the two share is the event.
 */
#include "sample/recipes.h"

/* ---- the one that says it -------------------------------------------------------------------- */

typedef struct pubsub_order_row {
    ku_str customer;
} pubsub_order_row;
static const ku_field pubsub_order_row_fields[] = {
    KU_FIELD(pubsub_order_row, customer, .length = KU_BETWEEN(1, 100)),
};

static const ku_field order_placed_fields[] = {KU_FIELD(order_placed, customer)};

const ku_event_type order_placed_event = {
    .name = "order-placed",
    .version = 1,
    .tag = 1,
    .payload = KU_SHAPE(order_placed),
};

static const ku_entity pubsub_order_entity = {
    .name = "pubsub-order",
    .row = KU_SHAPE(pubsub_order_row),
    .events = KU_LIST(ku_event_type, &order_placed_event),
};

/* Two events of one write, on one stream. */
static ku_status place(ku_scope *scope, const void *input, ku_reply *reply)
{
    const pubsub_order_row *in = input;
    ku_id id;
    ku_status status = ku_entity_create(scope, &pubsub_order_entity, (ku_id){{0}}, in, reply, &id);
    if (status == KU_OK)
        status = KU_APPEND(scope, id, order_placed, .customer = in->customer);
    return status;
}

static const ku_handler order_writes[] = {
    {.name = "order:place", KU_SHAPE(pubsub_order_row), KU_ROLES("Admin"), place},
    KU_END
};

const ku_feature pubsub_orders_feature = {
    .abi = KU_ABI_VERSION,
    .name = "pubsubOrders",
    .entities = KU_LIST(ku_entity, &pubsub_order_entity),
    .writes = order_writes,
};

/* ---- the one that listens -------------------------------------------------------------------- */

typedef struct inbox {
    ku_str box;
    ku_str customers; /* in the order in which they arrived */
    int64_t deliveries;
} inbox;
static const ku_field inbox_fields[] = {
    KU_FIELD(inbox, box, .flags = KU_KEY),
    KU_FIELD(inbox, customers),
    KU_FIELD(inbox, deliveries),
};
static const ku_table inbox_table = {.name = "read_pubsub_inbox", .row = KU_SHAPE(inbox)};

static ku_status inbox_placed(ku_scope *scope, const ku_event *event)
{
    inbox row = {.box = KU_STR("all")};
    const ku_str customer = KU_PAYLOAD(event, order_placed)->customer;
    ku_status status = ku_row_get(scope, &inbox_table, &row);
    if (status != KU_OK && status != KU_NOT_FOUND)
        return status;
    row.customers = ku_format(scope, "%" KU_PRI "%s%" KU_PRI, KU_FMT(row.customers),
        row.deliveries > 0 ? "," : "", KU_FMT(customer));
    row.deliveries++;
    return ku_row_put(scope, &inbox_table, &row);
}

static const ku_on inbox_on[] = {KU_ON(order_placed, inbox_placed), KU_END};

static const ku_multi_stream_projection inbox_projection = {
    .name = "inbox",
    .table = &inbox_table,
    .on = inbox_on,
};

static ku_status list(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &inbox_table, reply);
}

static const ku_handler inbox_queries[] = {
    {.name = "inbox:list", .access = KU_ROLES("Admin"), .run = list},
    KU_END
};

const ku_feature pubsub_inbox_feature = {
    .abi = KU_ABI_VERSION,
    .name = "pubsubInbox",
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &inbox_projection),
    .queries = inbox_queries,
};
