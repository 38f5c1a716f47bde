/*
 * What callers of the showcase were told about their invoices, and whether the database agrees.
 *
 * Each invoice has a customer of its own, by which it is found again even if nobody knows its id,
 * and three steps: create, approve, pay.  A step that was acknowledged is there once; one that was
 * refused is not there; one whose outcome nobody knows may be there, once.
 *
 *     invoice *i = ledger_invoice(l);
 *     heard h = ledger_write(app, i, STEP_CREATE, NULL);
 *     …
 *     ledger_assert_kept(l, database);
 */
#ifndef TEST_ORDER_LEDGER_H
#define TEST_ORDER_LEDGER_H

#include "kumiko.h"
#include "support/database.h"

typedef enum step { STEP_CREATE, STEP_APPROVE, STEP_PAY, STEPS } step;

typedef enum outcome {
    OUTCOME_NONE,         /* it was never sent */
    OUTCOME_ACKNOWLEDGED, /* 200 */
    OUTCOME_REFUSED,      /* 503: nothing of it is there */
    OUTCOME_UNKNOWN,      /* 503, reason `outcome_unknown`; or no answer at all */
} outcome;

typedef struct invoice {
    int number, tenant;
    char customer[32];
    char id[40]; /* once it is known */
    outcome outcomes[STEPS];
} invoice;

typedef struct ledger ledger;

/* Invoices of so many tenants, one after the other. */
ledger *ledger_new(int tenants);
void ledger_free(ledger *l);
/* A new invoice; thread-safe, and it stays where it is. */
invoice *ledger_invoice(ledger *l);

/* The payload of a step, e.g. {"customer":"c-17"}; the id is known unless it is the first. */
const char *ledger_payload(const invoice *i, step s, char ret_text[200]);
const char *ledger_type(step s);
int64_t ledger_cents(const invoice *i);
/* Notes what an answer to a step said, and the invoice's id if it is new. */
void ledger_note(invoice *i, step s, int http_status, const char *body);

/* What a caller in the process was told. */
typedef struct heard {
    ku_status status;
    int http_status;
    char text[300]; /* the beginning of the answer's body */
} heard;
/* One attempt at a step, noted; `request_id` may be NULL.  Thread-safe. */
heard ledger_write(ku_app *app, invoice *i, step s, const char *request_id);

/* The showcase over a database, without limits on payments. */
ku_app *ledger_open(const char *url, bool dispatcher);

/* Every step of every invoice is as its caller was told. */
void ledger_assert_kept(const ledger *l, const test_database *database);
/* Every read model is what the events add up to; the dispatcher has so many seconds to get there.
 */
void ledger_assert_models(const test_database *database, int wait_s);
/* The log's integrity: versions and positions without gaps, nothing orphaned. */
void ledger_assert_whole(const test_database *database);
/* How many steps there are in the database. */
int64_t ledger_events(const test_database *database);

#endif
