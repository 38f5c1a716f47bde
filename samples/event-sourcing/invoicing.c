/*
 * Invoices: draft, approved, paid; archived when nobody needs them any more.
 *
 * The feature is one constant, at the bottom of this file; everything above it is what that
 * constant points at.  Read it in this order: what happens (events), what it adds up to (the entity
 * and its fold), what is kept ready to be read (projections), who may ask for what (handlers).
 *
 * Four habits are worth copying:
 *
 *  - A handler decides from the stream, never from a read model: load, check the rule, append.  The
 *    append expects the version that was loaded, so two deciders cannot both be right.
 *  - An event carries what its readers need.  `invoice-paid` names the customer although the
 * invoice knows it; otherwise the revenue table would depend on another table and on its timing.
 *  - A payload that has changed its shape gets a new version and a migration.  What is stored is
 *    never rewritten, and no other code knows that there was an older version.
 *  - A write that may be repeated is a write that cannot be done twice: paying a paid invoice again
 *    is answered with success and appends nothing.
 */
#include "invoicing.h"

#include "directory.h"

#include <inttypes.h>
#include <time.h>

static const char *const invoice_statuses[] = {"missing", "draft", "approved", "paid", NULL};

/* ---- events: what happens -------------------------------------------------------------------- */

/* The entity's own `created` is among them, so that the fold below is one exhaustive switch. */
enum invoice_event {
    CREATED = KU_CREATED,
    APPROVED = 1,
    PAID,
    ACKNOWLEDGED,
};

/*
 * Version 1 of invoice-approved had {"amount": "25.00"}.  Decimal text becomes whole cents; exact
 * arithmetic, because 1.15 * 100 is 114.99999999999999 in floating point.
 */
static ku_status amount_to_cents(ku_scope *scope, ku_json *object, const char *name)
{
    ku_decimal amount;
    if (!ku_json_decimal(ku_json_get(object, name), &amount))
        return ku_fail(scope, KU_INTERNAL, NULL, "the amount of an approval is not a number");

    /* Somebody approved a fraction of a cent: round it half up, as it was rounded on paper. */
    for (; amount.scale > 3; amount.scale--)
        amount.units /= 10;
    if (amount.scale == 3)
        amount = (ku_decimal){(amount.units + 5) / 10, 2};

    ku_decimal cents;
    if (!ku_decimal_rescale(amount, 2, &cents))
        return ku_fail(scope, KU_INTERNAL, NULL, "the amount of an approval is too large");
    ku_json_set_int(scope, object, name, cents.units);
    return KU_OK;
}

/* Version 1 of invoice-acknowledged had only the id: the name is looked up when it is read. */
static ku_status acknowledged_v1_to_v2(ku_scope *scope, ku_json *payload)
{
    ku_str approver_id, name;
    if (!ku_json_text(ku_json_get(payload, "approverId"), &approver_id))
        return ku_fail(scope, KU_INTERNAL, NULL, "an acknowledgement does not say whose it is");
    ku_status status = approver_display_name(scope, approver_id, &name);
    if (status == KU_OK)
        ku_json_set_text(scope, payload, "approverDisplayName", name);
    return status;
}

static const ku_field invoice_approved_fields[] = {
    KU_FIELD(invoice_approved, amount_cents, .about = "Gross, in cents."),
    KU_FIELD(invoice_approved, approved_by),
};
static const ku_field invoice_paid_fields[] = {
    KU_FIELD(invoice_paid, amount_cents, .about = "Gross, in cents."),
    KU_FIELD(invoice_paid, customer, .about = "Empty in payments stored by version 1."),
};
static const ku_field invoice_acknowledged_fields[] = {
    KU_FIELD(invoice_acknowledged, approver_id),
    KU_FIELD(invoice_acknowledged, approver_display_name),
};

const ku_event_type invoice_approved_event = {
    .name = "invoice-approved",
    .version = 2,
    .tag = APPROVED,
    .payload = KU_SHAPE(invoice_approved),
    .migrations = KU_MIGRATIONS({
        .from = 1,
        .steps = KU_STEPS(
            KU_RENAME("amount", "amountCents"), KU_CONVERT("amountCents", amount_to_cents)),
    }),
    .about = "Somebody has approved the amount; it may be paid now.",
};
const ku_event_type invoice_paid_event = {
    .name = "invoice-paid",
    .version = 2,
    .tag = PAID,
    .payload = KU_SHAPE(invoice_paid),
    .migrations = KU_MIGRATIONS({
        .from = 1,
        .steps = KU_STEPS(KU_DEFAULT("customer", "\"\"")),
    }),
    .about = "The approved amount has arrived.",
};
const ku_event_type invoice_acknowledged_event = {
    .name = "invoice-acknowledged",
    .version = 2,
    .tag = ACKNOWLEDGED,
    .payload = KU_SHAPE(invoice_acknowledged),
    .migrations = KU_MIGRATIONS({.from = 1, .apply = acknowledged_v1_to_v2}),
    .about = "An approver has taken note.",
};

/* ---- the entity: what it adds up to ---------------------------------------------------------- */

static const ku_field invoice_row_fields[] = {
    KU_FIELD(invoice_row, customer),
    KU_FIELD(invoice_row, status, .names = invoice_statuses),
};

typedef struct invoice {
    ku_optional_str customer;
    enum invoice_status status;
    int64_t amount_cents;
    ku_optional_str approved_by;
    bool paid;
} invoice;

static const ku_field invoice_fields[] = {
    KU_FIELD(invoice, customer, .flags = KU_NULLABLE),
    KU_FIELD(invoice, status, .names = invoice_statuses),
    KU_FIELD(invoice, amount_cents),
    KU_FIELD(invoice, approved_by, .flags = KU_NULLABLE),
    KU_FIELD(invoice, paid),
};
static const ku_shape invoice_shape = KU_SHAPE(invoice);

/* No default branch: the compiler names the event that somebody forgot. */
static void invoice_evolve(void *state, const ku_event *event)
{
    invoice *folded = state;

    switch ((enum invoice_event)event->type->tag) {
    case CREATED: {
        const invoice_row *row = KU_CHANGE(event)->row;
        folded->customer = (ku_optional_str){true, row->customer};
        folded->status = row->status;
        break;
    }
    case APPROVED: {
        const invoice_approved *approved = KU_PAYLOAD(event, invoice_approved);
        folded->status = INVOICE_APPROVED;
        folded->amount_cents = approved->amount_cents;
        folded->approved_by = (ku_optional_str){true, approved->approved_by};
        break;
    }
    case PAID:
        folded->status = INVOICE_PAID;
        folded->paid = true;
        break;
    case ACKNOWLEDGED: /* history: it changes nothing that an invoice decides on */
        break;
    }
}

const ku_entity invoice_entity = {
    .name = "showcase-invoice",
    .about = "A bill to a customer.",
    .row = KU_SHAPE(invoice_row),
    .state = KU_SHAPE(invoice),
    .state_version = 1,
    .evolve = invoice_evolve,
    .snapshot_every = 100,
    .events = KU_LIST(
        ku_event_type, &invoice_approved_event, &invoice_paid_event, &invoice_acknowledged_event),
};

/* ---- read model: one row per invoice, in the write's transaction ----------------------------- */

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
    .name = "read_showcase_invoice_detail",
    .row = KU_SHAPE(invoice_detail),
};

static ku_status detail_created(ku_scope *scope, const ku_event *event)
{
    const invoice_row *created = KU_CHANGE(event)->row;
    const invoice_detail row = {
        .invoice_id = event->stream,
        .customer = created->customer,
        .status = created->status,
    };
    return ku_row_put(scope, &invoice_detail_table, &row);
}

static ku_status detail_approved(ku_scope *scope, const ku_event *event)
{
    const invoice_detail row = {
        .invoice_id = event->stream,
        .status = INVOICE_APPROVED,
        .amount_cents = KU_PAYLOAD(event, invoice_approved)->amount_cents,
    };
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
    .name = "invoice-detail",
    .table = &invoice_detail_table,
    .on = invoice_detail_on,
    .about = "An invoice as it is now.",
};

/* ---- read model: revenue per customer, a moment later ---------------------------------------- */

typedef struct customer_revenue {
    ku_str customer;
    int64_t paid_invoices;
    int64_t total_cents;
} customer_revenue;

static const ku_field customer_revenue_fields[] = {
    KU_FIELD(customer_revenue, customer, .flags = KU_KEY),
    KU_FIELD(customer_revenue, paid_invoices, .flags = KU_SUM),
    KU_FIELD(customer_revenue, total_cents, .flags = KU_SUM),
};

static const ku_table customer_revenue_table = {
    .name = "read_showcase_customer_revenue",
    .row = KU_SHAPE(customer_revenue),
};

/*
 * Payments of version 1 do not name their customer.  It stands in the same stream, in front of the
 * payment, so the answer is the same today and after a rebuild in ten years.  A payment of an
 * invoice that was never created has no customer and earns nobody anything.
 */
static ku_status customer_of_old_payment(
    ku_scope *scope, const ku_event *event, ku_str *ret_customer)
{
    const ku_load_options up_to_the_payment = {
        .at_version = KU_VERSION(event->version),
        .include_archived = true,
    };
    invoice paid;
    ku_status status =
        ku_load_aggregate(scope, &invoice_entity, event->stream, &up_to_the_payment, &paid);
    if (status == KU_OK)
        *ret_customer = paid.customer.value;
    return status;
}

/* Adding is safe: the cursor moves in the same transaction, so each payment counts exactly once. */
static ku_status revenue_paid(ku_scope *scope, const ku_event *event)
{
    const invoice_paid *paid = KU_PAYLOAD(event, invoice_paid);
    ku_str customer = paid->customer;

    if (customer.len == 0) {
        ku_status status = customer_of_old_payment(scope, event, &customer);
        if (status != KU_OK || customer.len == 0)
            return status;
    }
    const customer_revenue row = {
        .customer = customer,
        .paid_invoices = 1,
        .total_cents = paid->amount_cents,
    };
    return ku_row_add(scope, &customer_revenue_table, &row);
}

static const ku_on customer_revenue_on[] = {
    KU_ON(invoice_paid, revenue_paid),
    KU_END,
};

static const ku_multi_stream_projection customer_revenue_projection = {
    .name = "customer-revenue",
    .table = &customer_revenue_table,
    .on = customer_revenue_on,
    .about = "What each customer has paid.",
};

/* ---- writes: load, check a rule, say what happened ------------------------------------------- */

typedef struct id_input {
    ku_id id;
} id_input;
static const ku_field id_input_fields[] = {KU_FIELD(id_input, id)};
static const ku_shape id_shape = KU_SHAPE(id_input);

static ku_status reply_id(ku_scope *scope, ku_id id, ku_reply *reply)
{
    const id_input answer = {id};
    return ku_reply_value(scope, &id_shape, &answer, reply);
}

static ku_status refuse_status(
    ku_scope *scope, const invoice *current, enum invoice_status target, const char *const *allowed)
{
    return ku_invalid_transition(scope, ku_str_from(invoice_statuses[current->status]),
        ku_str_from(invoice_statuses[target]), allowed);
}

typedef struct create_input {
    ku_str customer;
} create_input;
static const ku_field create_input_fields[] = {
    KU_FIELD(create_input, customer, .length = KU_BETWEEN(1, 200)),
};

static ku_status create(ku_scope *scope, const void *input, ku_reply *reply)
{
    const create_input *in = input;
    const invoice_row row = {.customer = in->customer, .status = INVOICE_DRAFT};
    return ku_entity_create(scope, &invoice_entity, (ku_id){{0}}, &row, reply, NULL);
}

typedef struct approve_input {
    ku_id id;
    int64_t amount_cents;
    ku_str approved_by;
    ku_optional_str geo_region;
    ku_optional_str ab_test_bucket;
} approve_input;
static const ku_field approve_input_fields[] = {
    KU_FIELD(approve_input, id),
    KU_FIELD(approve_input, amount_cents, .value = KU_AT_LEAST(1), .about = "Gross, in cents."),
    KU_FIELD(approve_input, approved_by),
    KU_FIELD(approve_input, geo_region, .about = "Kept as a header of the event."),
    KU_FIELD(approve_input, ab_test_bucket, .about = "Kept as a header of the event."),
};

/* Where a request came from is no fact about an invoice: it goes into the event's headers. */
static ku_status approve(ku_scope *scope, const void *input, ku_reply *reply)
{
    const approve_input *in = input;
    invoice current;

    ku_status status = ku_load_aggregate(scope, &invoice_entity, in->id, NULL, &current);
    if (status != KU_OK)
        return status;
    if (current.status != INVOICE_DRAFT)
        return refuse_status(scope, &current, INVOICE_APPROVED,
            current.status == INVOICE_APPROVED ? KU_NAMES("paid") : NULL);

    ku_header headers[2];
    size_t n_headers = 0;
    if (in->geo_region.set)
        headers[n_headers++] =
            (ku_header){.name = KU_STR("geoRegion"), .text = in->geo_region.value};
    if (in->ab_test_bucket.set)
        headers[n_headers++] =
            (ku_header){.name = KU_STR("abTestBucket"), .text = in->ab_test_bucket.value};

    const invoice_approved approved = {in->amount_cents, in->approved_by};
    const ku_append append = {
        .stream = in->id,
        .type = &invoice_approved_event,
        .payload = &approved,
        .headers = headers,
        .n_headers = n_headers,
    };
    status = ku_append_event(scope, &append, NULL);
    return status == KU_OK ? reply_id(scope, in->id, reply) : status;
}

typedef struct pay_input {
    ku_id id;
    int64_t amount_cents;
} pay_input;
static const ku_field pay_input_fields[] = {
    KU_FIELD(pay_input, id),
    KU_FIELD(pay_input, amount_cents, .value = KU_AT_LEAST(1), .about = "Gross, in cents."),
};

static ku_status pay(ku_scope *scope, const void *input, ku_reply *reply)
{
    const pay_input *in = input;
    invoice current;

    ku_status status = ku_load_aggregate(scope, &invoice_entity, in->id, NULL, &current);
    if (status != KU_OK)
        return status;
    if (current.status == INVOICE_DRAFT)
        return refuse_status(scope, &current, INVOICE_PAID, KU_NAMES("approved"));
    if (in->amount_cents != current.amount_cents)
        return ku_refuse(scope, "wrong_amount",
            "the invoice is for %" PRId64 " cents, not %" PRId64, current.amount_cents,
            in->amount_cents);

    if (!current.paid) {
        status = KU_APPEND(scope, in->id, invoice_paid, .amount_cents = in->amount_cents,
            .customer = current.customer.value);
        if (status != KU_OK)
            return status;
    }
    return reply_id(scope, in->id, reply);
}

typedef struct acknowledge_input {
    ku_id id;
    ku_str approver_id;
} acknowledge_input;
static const ku_field acknowledge_input_fields[] = {
    KU_FIELD(acknowledge_input, id),
    KU_FIELD(acknowledge_input, approver_id, .length = KU_BETWEEN(1, 100)),
};

static ku_status acknowledge(ku_scope *scope, const void *input, ku_reply *reply)
{
    const acknowledge_input *in = input;
    invoice current;
    ku_str name;

    ku_status status = ku_load_aggregate(scope, &invoice_entity, in->id, NULL, &current);
    if (status == KU_OK)
        status = approver_display_name(scope, in->approver_id, &name);
    if (status == KU_OK)
        status = KU_APPEND(scope, in->id, invoice_acknowledged, .approver_id = in->approver_id,
            .approver_display_name = name);
    return status == KU_OK ? reply_id(scope, in->id, reply) : status;
}

static ku_status archive(ku_scope *scope, const void *input, ku_reply *reply)
{
    const id_input *in = input;
    ku_status status =
        ku_archive_stream(scope, &invoice_entity, in->id, KU_STR("archived by request"));
    return status == KU_OK ? reply_id(scope, in->id, reply) : status;
}

typedef struct snapshot_taken {
    ku_id id;
    int64_t snapshot_version;
} snapshot_taken;
static const ku_field snapshot_taken_fields[] = {
    KU_FIELD(snapshot_taken, id),
    KU_FIELD(snapshot_taken, snapshot_version),
};
static const ku_shape snapshot_taken_shape = KU_SHAPE(snapshot_taken);

static ku_status take_snapshot(ku_scope *scope, const void *input, ku_reply *reply)
{
    const id_input *in = input;
    snapshot_taken taken = {.id = in->id};
    ku_status status =
        ku_snapshot_aggregate(scope, &invoice_entity, in->id, &taken.snapshot_version);
    return status == KU_OK ? ku_reply_value(scope, &snapshot_taken_shape, &taken, reply) : status;
}

/* ---- queries --------------------------------------------------------------------------------- */

typedef struct state_input {
    ku_id id;
    ku_optional_time as_of;
    ku_optional_int64 at_version;
} state_input;
static const ku_field state_input_fields[] = {
    KU_FIELD(state_input, id),
    KU_FIELD(state_input, as_of, .about = "As it was at that time."),
    KU_FIELD(
        state_input, at_version, .value = KU_AT_LEAST(1), .about = "As it was at that version."),
};

/* From the events alone: what was true then.  A stranger's id looks like one that never was. */
static ku_status state(ku_scope *scope, const void *input, ku_reply *reply)
{
    const state_input *in = input;
    const ku_load_options options = {
        .as_of = in->as_of,
        .at_version = in->at_version,
        .without_snapshot = true,
        .missing_ok = true,
    };
    invoice folded;
    ku_status status = ku_load_aggregate(scope, &invoice_entity, in->id, &options, &folded);
    return status == KU_OK ? ku_reply_value(scope, &invoice_shape, &folded, reply) : status;
}

typedef struct fast_state_answer {
    invoice state;
    int64_t version;
    bool snapshot_hit;
} fast_state_answer;
static const ku_field fast_state_answer_fields[] = {
    KU_NESTED(fast_state_answer, state, &invoice_shape),
    KU_FIELD(fast_state_answer, version),
    KU_FIELD(fast_state_answer, snapshot_hit),
};
static const ku_shape fast_state_answer_shape = KU_SHAPE(fast_state_answer);

/* The same state from the latest snapshot and what came after it. */
static ku_status fast_state(ku_scope *scope, const void *input, ku_reply *reply)
{
    const id_input *in = input;
    fast_state_answer answer = {.version = 0};
    const ku_load_options options = {
        .missing_ok = true,
        .ret_version = &answer.version,
        .ret_snapshot_hit = &answer.snapshot_hit,
    };
    ku_status status = ku_load_aggregate(scope, &invoice_entity, in->id, &options, &answer.state);
    return status == KU_OK ? ku_reply_value(scope, &fast_state_answer_shape, &answer, reply)
                           : status;
}

/* From the read model: no event is touched.  No row is `null`. */
static ku_status detail(ku_scope *scope, const void *input, ku_reply *reply)
{
    const id_input *in = input;
    invoice_detail row = {.invoice_id = in->id};
    ku_status status = ku_row_get(scope, &invoice_detail_table, &row);
    if (status == KU_NOT_FOUND)
        return ku_reply_json(scope, KU_STR("null"), reply);
    return status == KU_OK ? ku_reply_value(scope, &invoice_detail_table.row, &row, reply) : status;
}

static ku_status revenue(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &customer_revenue_table, reply);
}

typedef struct export_input {
    int64_t chunks;
} export_input;
static const ku_field export_input_fields[] = {
    KU_FIELD(export_input, chunks, .value = KU_BETWEEN(1, 1000)),
};
typedef struct export_answer {
    int64_t processed;
} export_answer;
static const ku_field export_answer_fields[] = {KU_FIELD(export_answer, processed)};
static const ku_shape export_answer_shape = KU_SHAPE(export_answer);

/* A long query asks between its chunks whether anybody is still waiting for the answer. */
static ku_status slow_export(ku_scope *scope, const void *input, ku_reply *reply)
{
    const export_input *in = input;
    const struct timespec chunk_time = {.tv_nsec = 10 * 1000 * 1000};
    export_answer answer = {0};

    while (answer.processed < in->chunks) {
        if (ku_scope_cancelled(scope))
            return ku_fail(scope, KU_CANCELLED, NULL,
                "cancelled after %" PRId64 " of %" PRId64 " chunks", answer.processed, in->chunks);
        (void)nanosleep(&chunk_time, NULL);
        answer.processed++;
    }
    return ku_reply_value(scope, &export_answer_shape, &answer, reply);
}

/* ---- the feature ----------------------------------------------------------------------------- */

#define ADMIN KU_ROLES("Admin")

/* clang-format off */
static const ku_handler writes[] = {
    {.name = "invoice:create", .input = KU_SHAPE(create_input), .access = ADMIN, .run = create,
        .about = "Starts a draft."},
    {.name = "invoice:approve", .input = KU_SHAPE(approve_input), .access = ADMIN, .run = approve,
        .about = "Fixes the amount of a draft."},
    {.name = "invoice:pay", .input = KU_SHAPE(pay_input), .access = ADMIN, .run = pay,
        .rate_limit = {.per = KU_PER_USER, .limit = 5, .window_s = 60}, .retries = 3,
        .about = "Pays the approved amount.  Repeating it is harmless."},
    {.name = "invoice:acknowledge", .input = KU_SHAPE(acknowledge_input), .access = ADMIN,
        .run = acknowledge, .about = "Notes that an approver has seen the invoice."},
    {.name = "invoice:archive", .input = KU_SHAPE(id_input), .access = ADMIN, .run = archive,
        .about = "Closes the stream and hides it; its events stay."},
    {.name = "invoice:take-snapshot", .input = KU_SHAPE(id_input), .access = ADMIN,
        .run = take_snapshot, .about = "Keeps the folded state, so that loading starts from there."},
    {.name = "approver:create", .access = ADMIN, .entity = &approver_entity,
        .verb = KU_VERB_CREATE},
    {.name = "approver:update", .access = ADMIN, .entity = &approver_entity,
        .verb = KU_VERB_UPDATE},
    KU_END,
};

static const ku_handler queries[] = {
    {.name = "invoice:state", .input = KU_SHAPE(state_input), .access = KU_OPEN_TO_ALL,
        .run = state, .about = "An invoice folded from its events, now or at any point in time."},
    {.name = "invoice:fast-state", .input = KU_SHAPE(id_input), .access = KU_OPEN_TO_ALL,
        .run = fast_state, .about = "The same from a snapshot and the events after it."},
    {.name = "invoice:detail", .input = KU_SHAPE(id_input), .access = KU_OPEN_TO_ALL,
        .run = detail, .about = "The row that is kept with each write."},
    {.name = "revenue:list", .access = KU_OPEN_TO_ALL, .run = revenue,
        .about = "What each customer has paid."},
    {.name = "approver:list", .access = KU_OPEN_TO_ALL, .entity = &approver_entity,
        .verb = KU_VERB_LIST},
    {.name = "ops:slow-export", .input = KU_SHAPE(export_input), .access = ADMIN,
        .run = slow_export, .about = "Takes 10 ms per chunk and stops when nobody listens."},
    KU_END,
};
/* clang-format on */

const ku_feature showcase_feature = {
    .abi = KU_ABI_VERSION,
    .name = "showcase",
    .about = "Invoices from draft to paid, and what each customer has brought in.",
    .entities = KU_LIST(ku_entity, &invoice_entity, &approver_entity),
    .projections =
        KU_LIST(ku_projection, &invoice_detail_projection, &approver_directory_projection),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &customer_revenue_projection),
    .writes = writes,
    .queries = queries,
};
