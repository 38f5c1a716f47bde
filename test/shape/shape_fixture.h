/*
 * Structs with a field of every kind, for the tests of shapes.
 */
#ifndef TEST_SHAPE_FIXTURE_H
#define TEST_SHAPE_FIXTURE_H

#include "shape/shape.h"

enum colour { RED, GREEN, BLUE };

typedef struct line {
    ku_str sku;
    int64_t quantity;
} line;

typedef struct address {
    ku_str street;
    ku_optional_str zip_code;
} address;

typedef struct order {
    bool express;
    int64_t amount_cents;
    double weight;
    ku_str customer;
    ku_id id;
    ku_time due_at;
    ku_decimal price;
    ku_raw extra;
    int colour;
    ku_list lines;
    ku_list tags;
    address home;
} order;

typedef struct options {
    ku_optional_bool flag;
    ku_optional_int64 number;
    ku_optional_double ratio;
    ku_optional_str text;
    ku_optional_id id;
    ku_optional_time at;
    ku_optional_decimal money;
    ku_optional_raw raw;
    ku_optional_enum colour;
    ku_optional_list list;
} options;

static const char *const colour_names[] = {"red", "green", "blue", NULL};

static const ku_field line_fields[] = {
    KU_FIELD(line, sku, .length = KU_AT_LEAST(1)),
    KU_FIELD(line, quantity, .value = KU_BETWEEN(1, 99)),
};
static const ku_shape line_shape = KU_SHAPE(line);

static const ku_field address_fields[] = {
    KU_FIELD(address, street),
    KU_FIELD(address, zip_code, .json = "ZIP", .flags = KU_NULLABLE),
};
static const ku_shape address_shape = KU_SHAPE(address);

static const ku_field order_fields[] = {
    KU_FIELD(order, express),
    KU_FIELD(order, amount_cents, .value = KU_AT_LEAST(1), .about = "Gross, in cents."),
    KU_FIELD(order, weight, .value = KU_BETWEEN(0, 1000)),
    KU_FIELD(order, customer, .length = KU_BETWEEN(1, 5)),
    KU_FIELD(order, id),
    KU_FIELD(order, due_at),
    KU_FIELD(order, price, .scale = 2, .value = KU_AT_MOST(1000)),
    KU_FIELD(order, extra),
    KU_FIELD(order, colour, .names = colour_names),
    KU_FIELD(order, lines, .of = &line_shape, .length = KU_BETWEEN(1, 3)),
    KU_FIELD(order, tags, .items = KU_KIND_TEXT, .length = KU_AT_MOST(2)),
    KU_NESTED(order, home, &address_shape, .about = "Where it goes."),
};
static const ku_shape order_shape = KU_SHAPE(order);

static const ku_field options_fields[] = {
    KU_FIELD(options, flag, .flags = KU_NULLABLE),
    KU_FIELD(options, number, .flags = KU_NULLABLE),
    KU_FIELD(options, ratio, .flags = KU_NULLABLE),
    KU_FIELD(options, text, .flags = KU_NULLABLE),
    KU_FIELD(options, id, .flags = KU_NULLABLE),
    KU_FIELD(options, at, .flags = KU_NULLABLE),
    KU_FIELD(options, money, .scale = 3, .flags = KU_NULLABLE),
    KU_FIELD(options, raw, .flags = KU_NULLABLE),
    KU_FIELD(options, colour, .names = colour_names, .flags = KU_NULLABLE),
    KU_FIELD(options, list, .items = KU_KIND_INT, .flags = KU_NULLABLE),
};
static const ku_shape options_shape = KU_SHAPE(options);

#define ORDER_ID "01a20975-37a7-75ba-a4ee-c413be86dc57"
#define ORDER_TEXT                                                                                 \
    "{\"express\":true,\"amountCents\":2500,\"weight\":1.5,\"customer\":\"Acme\",\"id\":"          \
    "\"" ORDER_ID "\",\"dueAt\":\"2026-11-23T17:30:06.627Z\",\"price\":\"12.50\","                 \
    "\"extra\":{\"a\":[1.10,null]},\"colour\":\"green\",\"lines\":[{\"sku\":\"x\",\"quantity\":1}" \
    ","                                                                                            \
    "{\"sku\":\"y\",\"quantity\":2}],\"tags\":[\"new\"],\"home\":{\"street\":\"Main\",\"ZIP\":"    \
    "\"1\"}}"
#define OPTIONS_TEXT                                                                               \
    "{\"flag\":false,\"number\":0,\"ratio\":0,\"text\":\"\",\"id\":"                               \
    "\"00000000-0000-0000-0000-000000000000\",\"at\":\"1970-01-01T00:00:00.000Z\",\"money\":"      \
    "\"0.000\",\"raw\":[],\"colour\":\"red\",\"list\":[]}"

#endif
