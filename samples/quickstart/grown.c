/*
 * Lending books, a year later: loans have a length, and somebody wants to know who reads most.
 *
 * What version 1 of this program has stored is read by this one as if it had always been like that.
 */
#include <kumiko.h>

/* ---- events: what happens -------------------------------------------------------------------- */

enum book_event { BOUGHT = 1, LENT, RETURNED };

typedef struct book_bought {
    ku_str title;
} book_bought;
static const ku_field book_bought_fields[] = {KU_FIELD(book_bought, title)};

typedef struct book_lent {
    ku_str borrower;
    int64_t days;
} book_lent;
static const ku_field book_lent_fields[] = {
    KU_FIELD(book_lent, borrower),
    KU_FIELD(book_lent, days, .value = KU_BETWEEN(1, 90)),
};

static const ku_event_type book_bought_event = {
    .name = "book-bought", .version = 1, .tag = BOUGHT, .payload = KU_SHAPE(book_bought)};
static const ku_event_type book_lent_event = {
    .name = "book-lent",
    .version = 2,
    .tag = LENT,
    .payload = KU_SHAPE(book_lent),
    .migrations = KU_MIGRATIONS({
        .from = 1,
        .steps = KU_STEPS(KU_RENAME("reader", "borrower"), KU_DEFAULT("days", "14")),
    }),
};
static const ku_event_type book_returned_event = {
    .name = "book-returned", .version = 1, .tag = RETURNED};

/* ---- the entity: what they add up to --------------------------------------------------------- */

typedef struct book {
    ku_str title;
    ku_optional_str borrower; /* who has it */
    ku_optional_time due_at;
    int64_t loans;
} book;
static const ku_field book_fields[] = {
    KU_FIELD(book, title),
    KU_FIELD(book, borrower, .flags = KU_NULLABLE),
    KU_FIELD(book, due_at, .flags = KU_NULLABLE),
    KU_FIELD(book, loans),
};
static const ku_shape book_shape = KU_SHAPE(book);

/* No default branch: the compiler names the event that somebody forgot. */
static void book_evolve(void *state, const ku_event *event)
{
    book *folded = state;

    switch ((enum book_event)event->type->tag) {
    case BOUGHT:
        folded->title = KU_PAYLOAD(event, book_bought)->title;
        break;
    case LENT: {
        const book_lent *lent = KU_PAYLOAD(event, book_lent);
        const ku_time due_at = {event->at.unix_us + lent->days * 24 * 3600 * 1000000};
        folded->borrower = (ku_optional_str){true, lent->borrower};
        folded->due_at = (ku_optional_time){true, due_at};
        folded->loans++;
        break;
    }
    case RETURNED:
        folded->borrower = (ku_optional_str){0};
        folded->due_at = (ku_optional_time){0};
        break;
    }
}

static const ku_entity book_entity = {
    .name = "book",
    .state = KU_SHAPE(book),
    .state_version = 2,
    .evolve = book_evolve,
    .events = KU_LIST(ku_event_type, &book_bought_event, &book_lent_event, &book_returned_event),
};

/* ---- read model: who reads most, a moment later ---------------------------------------------- */

typedef struct borrower {
    ku_str name;
    int64_t loans;
    int64_t days;
} borrower;
static const ku_field borrower_fields[] = {
    KU_FIELD(borrower, name, .flags = KU_KEY),
    KU_FIELD(borrower, loans, .flags = KU_SUM),
    KU_FIELD(borrower, days, .flags = KU_SUM),
};
static const ku_table borrower_table = {.name = "read_borrowers", .row = KU_SHAPE(borrower)};

/* Adding is safe: the cursor moves in the same transaction, so each loan counts exactly once. */
static ku_status borrower_lent(ku_scope *scope, const ku_event *event)
{
    const book_lent *lent = KU_PAYLOAD(event, book_lent);
    const borrower row = {.name = lent->borrower, .loans = 1, .days = lent->days};

    return ku_row_add(scope, &borrower_table, &row);
}

static const ku_on borrowers_on[] = {KU_ON(book_lent, borrower_lent), KU_END};
static const ku_multi_stream_projection borrowers_projection = {
    .name = "borrowers",
    .table = &borrower_table,
    .on = borrowers_on,
};

/* ---- writes: load, check a rule, say what happened ------------------------------------------- */

typedef struct id_input {
    ku_id id;
} id_input;
static const ku_field id_input_fields[] = {KU_FIELD(id_input, id)};
static const ku_shape id_shape = KU_SHAPE(id_input);

typedef struct buy_input {
    ku_str title;
} buy_input;
static const ku_field buy_input_fields[] = {
    KU_FIELD(buy_input, title, .length = KU_BETWEEN(1, 200)),
};

static ku_status buy(ku_scope *scope, const void *input, ku_reply *reply)
{
    const buy_input *in = input;
    const id_input answer = {ku_new_id(scope)};

    ku_status status = KU_APPEND(scope, answer.id, book_bought, .title = in->title);
    return status == KU_OK ? ku_reply_value(scope, &id_shape, &answer, reply) : status;
}

typedef struct lend_input {
    ku_id id;
    ku_str borrower;
    ku_optional_int64 days;
} lend_input;
static const ku_field lend_input_fields[] = {
    KU_FIELD(lend_input, id),
    KU_FIELD(lend_input, borrower, .length = KU_BETWEEN(1, 100)),
    KU_FIELD(lend_input, days, .value = KU_BETWEEN(1, 90), .about = "14 if it is left out."),
};

static ku_status lend(ku_scope *scope, const void *input, ku_reply *reply)
{
    const lend_input *in = input;
    book current;
    (void)reply;

    ku_status status = ku_load_aggregate(scope, &book_entity, in->id, NULL, &current);
    if (status != KU_OK)
        return status;
    if (current.borrower.set)
        return ku_refuse(
            scope, "already_lent", "%" KU_PRI " has it", KU_FMT(current.borrower.value));
    return KU_APPEND(scope, in->id, book_lent, .borrower = in->borrower,
        .days = in->days.set ? in->days.value : 14);
}

static ku_status give_back(ku_scope *scope, const void *input, ku_reply *reply)
{
    const id_input *in = input;
    const ku_append returned = {.stream = in->id, .type = &book_returned_event};
    book current;
    (void)reply;

    ku_status status = ku_load_aggregate(scope, &book_entity, in->id, NULL, &current);
    if (status != KU_OK)
        return status;
    if (!current.borrower.set)
        return ku_refuse(scope, "not_lent", "nobody has it");
    return ku_append_event(scope, &returned, NULL);
}

/* ---- queries --------------------------------------------------------------------------------- */

typedef struct state_input {
    ku_id id;
    ku_optional_int64 at_version;
} state_input;
static const ku_field state_input_fields[] = {
    KU_FIELD(state_input, id),
    KU_FIELD(state_input, at_version, .value = KU_AT_LEAST(1)),
};

static ku_status state(ku_scope *scope, const void *input, ku_reply *reply)
{
    const state_input *in = input;
    const ku_load_options options = {.at_version = in->at_version};
    book folded;

    ku_status status = ku_load_aggregate(scope, &book_entity, in->id, &options, &folded);
    return status == KU_OK ? ku_reply_value(scope, &book_shape, &folded, reply) : status;
}

static ku_status list_borrowers(ku_scope *scope, const void *input, ku_reply *reply)
{
    (void)input;
    return ku_reply_table(scope, &borrower_table, reply);
}

/* ---- the feature: all of it in one constant -------------------------------------------------- */

static const ku_handler writes[] = {
    {.name = "book:buy",    KU_SHAPE(buy_input),  KU_ROLES("Librarian"), buy      },
    {.name = "book:lend",   KU_SHAPE(lend_input), KU_ROLES("Librarian"), lend     },
    {.name = "book:return", KU_SHAPE(id_input),   KU_ROLES("Librarian"), give_back},
    KU_END,
};
static const ku_handler queries[] = {
    {.name = "book:state",    KU_SHAPE(state_input), KU_OPEN_TO_ALL, state         },
    {.name = "borrower:list", {0},                   KU_OPEN_TO_ALL, list_borrowers},
    KU_END,
};

static const ku_feature lending = {
    .abi = KU_ABI_VERSION,
    .name = "lending",
    .entities = KU_LIST(ku_entity, &book_entity),
    .multi_stream_projections = KU_LIST(ku_multi_stream_projection, &borrowers_projection),
    .writes = writes,
    .queries = queries,
};

int main(int argc, char **argv)
{
    return ku_main(argc, argv, KU_LIST(ku_feature, &lending));
}
