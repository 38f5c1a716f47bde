/*
 * The showcase as it was in its first year: the program that left the history of `make demo`.
 *
 * An approval held its amount as decimal text then, and a payment did not say whose it was: both
 * events were of version 1.  This program writes a year of invoices and is not needed again.  The
 * showcase of today opens the same file, reads the same events as its own versions (the migrations
 * stand in ../invoicing.c), and rewrites none of them.
 *
 *     $ showcase-first-year sqlite:demo.db
 *     52 invoices of 2025 are in sqlite:demo.db
 */
#include "kumiko.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- events and tables: as they were --------------------------------------------------------- */

enum invoice_status { INVOICE_MISSING, INVOICE_DRAFT, INVOICE_APPROVED, INVOICE_PAID };
static const char *const invoice_statuses[] = {"missing", "draft", "approved", "paid", NULL};

typedef struct invoice_approved {
    ku_decimal amount; /* version 2 counts cents */
    ku_str approved_by;
} invoice_approved;
static const ku_field invoice_approved_fields[] = {
    KU_FIELD(invoice_approved, amount, .scale = 2),
    KU_FIELD(invoice_approved, approved_by),
};
static const ku_event_type invoice_approved_event = {
    .name = "invoice-approved", .version = 1, .tag = 1, .payload = KU_SHAPE(invoice_approved)};

typedef struct invoice_paid {
    int64_t amount_cents; /* version 2 adds the customer */
} invoice_paid;
static const ku_field invoice_paid_fields[] = {KU_FIELD(invoice_paid, amount_cents)};
static const ku_event_type invoice_paid_event = {
    .name = "invoice-paid", .version = 1, .tag = 2, .payload = KU_SHAPE(invoice_paid)};

typedef struct invoice_row {
    ku_str customer;
    enum invoice_status status;
} invoice_row;
static const ku_field invoice_row_fields[] = {
    KU_FIELD(invoice_row, customer),
    KU_FIELD(invoice_row, status, .names = invoice_statuses),
};
static const ku_entity invoice_entity = {
    .name = "showcase-invoice",
    .row = KU_SHAPE(invoice_row),
    .events = KU_LIST(ku_event_type, &invoice_approved_event, &invoice_paid_event),
};

typedef struct invoice_detail {
    ku_id invoice_id;
    ku_str customer;
    enum invoice_status status;
    int64_t amount_cents;
} invoice_detail;
static const ku_field invoice_detail_fields[] = {
    KU_FIELD(invoice_detail, invoice_id, .flags = KU_KEY),
    KU_FIELD(invoice_detail, customer),
    KU_FIELD(invoice_detail, status, .names = invoice_statuses),
    KU_FIELD(invoice_detail, amount_cents),
};
static const ku_table invoice_detail_table = {
    .name = "read_showcase_invoice_detail", .row = KU_SHAPE(invoice_detail)};

static ku_status detail_created(ku_scope *scope, const ku_event *event)
{
    const invoice_row *created = KU_CHANGE(event)->row;
    const invoice_detail row = {
        .invoice_id = event->stream, .customer = created->customer, .status = created->status};
    return ku_row_put(scope, &invoice_detail_table, &row);
}

static ku_status detail_approved(ku_scope *scope, const ku_event *event)
{
    ku_decimal cents;
    if (!ku_decimal_rescale(KU_PAYLOAD(event, invoice_approved)->amount, 2, &cents))
        return ku_fail(scope, KU_INTERNAL, NULL, "an amount is not in cents");
    const invoice_detail row = {
        .invoice_id = event->stream, .status = INVOICE_APPROVED, .amount_cents = cents.units};
    return ku_row_set(scope, &invoice_detail_table, KU_COLUMNS("status", "amount_cents"), &row);
}

static ku_status detail_paid(ku_scope *scope, const ku_event *event)
{
    const invoice_detail row = {.invoice_id = event->stream, .status = INVOICE_PAID};
    return ku_row_set(scope, &invoice_detail_table, KU_COLUMNS("status"), &row);
}

static const ku_on invoice_detail_on[] = {
    KU_ON_ENTITY(&invoice_entity, KU_CREATED, detail_created),
    KU_ON(invoice_approved, detail_approved),
    KU_ON(invoice_paid, detail_paid),
    KU_END,
};
static const ku_projection invoice_detail_projection = {
    .name = "invoice-detail", .table = &invoice_detail_table, .on = invoice_detail_on};

/* ---- the one thing it could do --------------------------------------------------------------- */

typedef struct enter_input {
    ku_str customer;
    ku_decimal amount;
    bool paid;
} enter_input;
static const ku_field enter_input_fields[] = {
    KU_FIELD(enter_input, customer),
    KU_FIELD(enter_input, amount, .scale = 2),
    KU_FIELD(enter_input, paid),
};

/* The whole life of an invoice in one transaction, as it was typed in from paper. */
static ku_status enter(ku_scope *scope, const void *input, ku_reply *reply)
{
    const enter_input *in = input;
    const invoice_row row = {.customer = in->customer, .status = INVOICE_DRAFT};
    ku_decimal cents;
    ku_id id;

    if (!ku_decimal_rescale(in->amount, 2, &cents))
        return ku_refuse(scope, "wrong_amount", "an amount has at most two decimal places");
    ku_status status = ku_entity_create(scope, &invoice_entity, (ku_id){{0}}, &row, reply, &id);
    if (status == KU_OK)
        status = KU_APPEND(
            scope, id, invoice_approved, .amount = in->amount, .approved_by = KU_STR("legacy-cfo"));
    if (status == KU_OK && in->paid)
        status = KU_APPEND(scope, id, invoice_paid, .amount_cents = cents.units);
    return status;
}

static const ku_handler writes[] = {
    {.name = "invoice:enter",
     .input = KU_SHAPE(enter_input),
     .access = KU_OPEN_TO_ALL,
     .run = enter},
    KU_END,
};
static const ku_feature first_year_feature = {
    .abi = KU_ABI_VERSION,
    .name = "showcase",
    .entities = KU_LIST(ku_entity, &invoice_entity),
    .projections = KU_LIST(ku_projection, &invoice_detail_projection),
    .writes = writes,
};

/* ---- a year ---------------------------------------------------------------------------------- */

enum { WEEKS = 52 };

static const int64_t week_us = 7 * 24 * 3600 * INT64_C(1000000);

/* The time is what this program says it is: an invoice a week, from the first Monday of the year.
 */
static ku_time year_clock(void *context)
{
    const ku_time *now = context;
    return *now;
}

static ku_status enter_week(ku_app *app, int week)
{
    static const char *const customers[] = {"Initech", "Umbrella", "Hooli", "Wonka"};
    char payload[128], amount[24];
    ku_request request = {.size = sizeof request, .user = {.id = KU_STR("first-year")}};
    ku_response response;

    /* The first is the one of the tour: 15.50, and nobody has paid it. */
    ku_decimal_format((ku_decimal){1550 + week * 725, 2}, amount);
    (void)snprintf(payload, sizeof payload, "{\"customer\":\"%s\",\"amount\":\"%s\",\"paid\":%s}",
        customers[(size_t)week % KU_COUNT(customers)], amount, week % 5 == 0 ? "false" : "true");
    request.type = KU_STR("showcase:write:invoice:enter");
    request.payload = ku_str_from(payload);
    (void)ku_id_parse(KU_STR("00000000-0000-4000-8000-000000000001"), &request.user.tenant);

    ku_status status = ku_write(app, &request, &response);
    if (status != KU_OK)
        (void)fprintf(stderr, "%s\n%s\n", payload, response.body.ptr);
    ku_response_free(&response);
    return status;
}

int main(int argc, char **argv)
{
    static ku_error error;
    ku_time now = {0};
    ku_app *app = NULL;

    if (argc != 2) {
        (void)fprintf(stderr, "Usage: showcase-first-year sqlite:FILE\n");
        return EXIT_FAILURE;
    }
    (void)ku_time_parse(KU_STR("2025-01-06T09:00:00Z"), &now);
    const ku_app_options options = {
        .size = sizeof options,
        .url = argv[1],
        .features = KU_LIST(ku_feature, &first_year_feature),
        .clock = year_clock,
        .clock_context = &now,
    };
    if (ku_app_open(&options, &app, &error) != KU_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return EXIT_FAILURE;
    }
    int entered = 0;
    for (; entered < WEEKS && enter_week(app, entered) == KU_OK; entered++)
        now.unix_us += week_us;
    ku_app_close(app);
    if (entered < WEEKS)
        return EXIT_FAILURE;
    (void)printf("%d invoices of 2025 are in %s\n", entered, argv[1]);
    return EXIT_SUCCESS;
}
