/*
 * Event sourcing inside a program of one's own: no server, no HTTP, one file.
 *
 *     $ embedded stock.db
 *     {"isSuccess":true,"data":null}
 *     {"isSuccess":true,"data":null}
 *     {"data":[{"tenantId":"…","sku":"bolt","quantity":100},{"tenantId":"…","sku":"nut",…}]}
 *
 * Run it again: the events are still there, and the stock has doubled.
 */
#include "kumiko.h"

#include <stdio.h>

/* Goods arrive: an event.  Summed up by article they are the stock: a row.  One struct is both. */
typedef struct goods {
    ku_str sku;
    int64_t quantity;
} goods;
static const ku_field goods_fields[] = {
    KU_FIELD(goods, sku, .flags = KU_KEY, .length = KU_BETWEEN(1, 40)),
    KU_FIELD(goods, quantity, .flags = KU_SUM, .value = KU_AT_LEAST(1)),
};
static const ku_event_type goods_event = {
    .name = "goods-received", .version = 1, .tag = 1, .payload = KU_SHAPE(goods)};
static const ku_entity delivery_entity = {
    .name = "delivery", .events = KU_LIST(ku_event_type, &goods_event)};

/* The stock follows the events of all deliveries; each counts exactly once. */
static const ku_table stock_table = {.name = "read_stock", .row = KU_SHAPE(goods)};
static ku_status stock_received(ku_scope *scope, const ku_event *event)
{
    return ku_row_add(scope, &stock_table, KU_PAYLOAD(event, goods));
}
static const ku_on stock_on[] = {KU_ON(goods, stock_received), KU_END};
static const ku_multi_stream_projection stock_projection = {
    .name = "stock", .table = &stock_table, .on = stock_on};

/* What may be asked for. */
static ku_status receive_goods(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)reply;
    const ku_append append = {.stream = ku_new_id(scope), .type = &goods_event, .payload = input};
    return ku_append_event(scope, &append, NULL);
}
static ku_status list_stock(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &stock_table, reply);
}
static const ku_handler writes[] = {
    {.name = "receive", KU_SHAPE(goods), KU_OPEN_TO_ALL, receive_goods},
    KU_END
};
static const ku_handler queries[] = {
    {.name = "list", .access = KU_OPEN_TO_ALL, .run = list_stock},
    KU_END
};
static const ku_feature warehouse = {.abi = KU_ABI_VERSION,
    .name = "warehouse",
    .entities = KU_LIST(ku_entity, &delivery_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &stock_projection),
    .writes = writes,
    .queries = queries};

/* A request is what HTTP would carry, and so is its answer; a write is on disk when it returns. */
static bool call(ku_app *app, bool write, const char *type, const char *payload)
{
    ku_request request = {.size = sizeof request, .user = {.id = KU_STR("clerk")}};
    (void)ku_id_parse(KU_STR("00000000-0000-4000-8000-000000000001"), &request.user.tenant);
    request.type = ku_str_from(type);
    request.payload = ku_str_from(payload);
    ku_response response;
    ku_status status = (write ? ku_write : ku_query)(app, &request, &response);
    (void)printf("%s\n", response.body.ptr);
    ku_response_free(&response);
    return status == KU_OK;
}

int main(int argc, char **argv)
{
    static ku_error error;
    char url[512];
    (void)snprintf(url, sizeof url, "sqlite:%s", argc > 1 ? argv[1] : "stock.db");
    const ku_app_options options = {
        .size = sizeof options, .url = url, .features = KU_LIST(ku_feature, &warehouse)};
    ku_app *app = NULL;
    ku_dispatch_result result;
    bool done = ku_app_open(&options, &app, &error) == KU_OK &&
                call(app, true, "warehouse:write:receive", "{\"sku\":\"bolt\",\"quantity\":100}") &&
                call(app, true, "warehouse:write:receive", "{\"sku\":\"nut\",\"quantity\":40}") &&
                ku_dispatch_once(app, &result, &error) == KU_OK &&
                call(app, false, "warehouse:query:list", "{}");
    if (!done)
        (void)fprintf(stderr, "%s\n", error.message);
    ku_app_close(app);
    return done ? 0 : 1;
}
