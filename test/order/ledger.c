/*
 * The ledger reads all invoices of the database in one statement, as lines of text, and compares
 * them with its own.  What read models should be is folded from the events by SQL, independent of
 * the projections' code.
 */
#include "order/ledger.h"

#include "event-sourcing/invoicing.h"
#include "support/http_token.h"
#include "support/process.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { INVOICES_MAX = 200000 };

struct ledger {
    pthread_mutex_t lock;
    int tenants, count;
    invoice invoices[INVOICES_MAX];
};

ledger *ledger_new(int tenants)
{
    ledger *l = calloc(1, sizeof *l);

    assert_non_null(l);
    l->tenants = tenants;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void ledger_free(ledger *l)
{
    pthread_mutex_destroy(&l->lock);
    free(l);
}

invoice *ledger_invoice(ledger *l)
{
    pthread_mutex_lock(&l->lock);
    invoice *i = l->count < INVOICES_MAX ? &l->invoices[l->count] : NULL;
    if (i != NULL) {
        i->number = l->count++;
        i->tenant = i->number % l->tenants;
        (void)snprintf(i->customer, sizeof i->customer, "c-%d", i->number);
    }
    pthread_mutex_unlock(&l->lock);
    if (i == NULL)
        abort(); /* a thread cannot fail a test */
    return i;
}

/* ---- steps ----------------------------------------------------------------------------------- */

int64_t ledger_cents(const invoice *i)
{
    return 100 + i->number;
}

const char *ledger_type(step s)
{
    static const char *const types[STEPS] = {"showcase:write:invoice:create",
        "showcase:write:invoice:approve", "showcase:write:invoice:pay"};
    return types[s];
}

const char *ledger_payload(const invoice *i, step s, char ret_text[200])
{
    const long long cents = (long long)ledger_cents(i);

    if (s == STEP_CREATE)
        (void)snprintf(ret_text, 200, "{\"customer\":\"%s\"}", i->customer);
    else if (s == STEP_APPROVE)
        (void)snprintf(ret_text, 200, "{\"id\":\"%s\",\"amountCents\":%lld,\"approvedBy\":\"cfo\"}",
            i->id, cents);
    else
        (void)snprintf(ret_text, 200, "{\"id\":\"%s\",\"amountCents\":%lld}", i->id, cents);
    return ret_text;
}

void ledger_note(invoice *i, step s, int http_status, const char *body)
{
    static const char id_member[] = "\"id\":\"";

    if (http_status == 200) {
        i->outcomes[s] = OUTCOME_ACKNOWLEDGED;
        const char *id = strstr(body, id_member);
        if (i->id[0] == '\0' && id != NULL)
            (void)snprintf(i->id, sizeof i->id, "%.36s", id + strlen(id_member));
    } else if (strstr(body, "\"reason\":\"outcome_unknown\"") != NULL) {
        i->outcomes[s] = OUTCOME_UNKNOWN;
    } else {
        i->outcomes[s] = OUTCOME_REFUSED;
    }
}

static ku_user caller(const invoice *i)
{
    static const ku_str roles[] = {KU_STR_INIT("Admin")};
    ku_user user = {.id = KU_STR(TEST_USER), .roles = roles, .n_roles = KU_COUNT(roles)};

    (void)ku_id_parse(KU_STR(TEST_TENANT), &user.tenant);
    user.tenant.bytes[0] = (uint8_t)i->tenant;
    return user;
}

heard ledger_write(ku_app *app, invoice *i, step s, const char *request_id)
{
    char payload[200];
    ku_response response;
    const ku_request request = {
        .size = sizeof request,
        .type = ku_str_from(ledger_type(s)),
        .payload = ku_str_from(ledger_payload(i, s, payload)),
        .request_id = request_id != NULL ? ku_str_from(request_id) : (ku_str){0},
        .user = caller(i),
    };

    heard h = {.status = ku_write(app, &request, &response)};
    h.http_status = response.http_status;
    (void)snprintf(h.text, sizeof h.text, "%s", response.body.ptr);
    ledger_note(i, s, response.http_status, response.body.ptr);
    ku_response_free(&response);
    return h;
}

static void drop_line(void *context, int level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

ku_app *ledger_open(const char *url, bool dispatcher)
{
    static const ku_feature *const features[] = {&showcase_feature, NULL};
    ku_error error;
    ku_app *app = NULL;

    if (ku_app_open(KU_OPTIONS(ku_app_options, .url = url, .features = features,
                        .dispatcher = dispatcher, .without_rate_limits = true, .log = drop_line),
            &app, &error) != KU_OK)
        fail_msg("%s", error.message);
    return app;
}

/* ---- what is there --------------------------------------------------------------------------- */

#define CREATED "'showcase-invoice.created'"
#define APPROVED "'showcase:event:invoice-approved'"
#define PAID "'showcase:event:invoice-paid'"

typedef struct counts {
    int steps[STEPS];
} counts;

static void read_counts(const test_database *database, counts *found, int n)
{
    char *text = test_database_text(database,
        "WITH invoices AS (SELECT tenant_id, stream_id, payload::json ->> 'customer' AS customer "
        "FROM ku_events WHERE type = " CREATED ") "
        "SELECT string_agg(concat_ws(' ', number, created, approved, paid), E'\\n') FROM ("
        "SELECT substr(customer, 3) AS number, "
        "count(*) FILTER (WHERE e.type = " CREATED ") AS created, "
        "count(*) FILTER (WHERE e.type = " APPROVED ") AS approved, "
        "count(*) FILTER (WHERE e.type = " PAID ") AS paid "
        "FROM invoices JOIN ku_events e USING (tenant_id, stream_id) GROUP BY customer) c");

    assert_non_null(text);
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;) {
        int number;
        counts c;
        if (sscanf(line, "%d %d %d %d", &number, &c.steps[0], &c.steps[1], &c.steps[2]) == 4) {
            assert_in_range(number, 0, n - 1);
            found[number] = c;
        }
    }
    free(text);
}

static bool agrees(outcome told, int found)
{
    if (told == OUTCOME_ACKNOWLEDGED)
        return found == 1;
    return told == OUTCOME_UNKNOWN ? found <= 1 : found == 0;
}

void ledger_assert_kept(const ledger *l, const test_database *database)
{
    static const char *const told[] = {"not sent", "acknowledged", "refused", "unknown"};
    static const char *const steps[] = {"create", "approve", "pay"};
    counts *found = calloc((size_t)l->count + 1, sizeof *found);
    int wrong = 0;

    assert_non_null(found);
    read_counts(database, found, l->count);
    for (int i = 0; i < l->count; i++) {
        for (step s = 0; s < STEPS; s++) {
            const outcome was = l->invoices[i].outcomes[s];
            if (agrees(was, found[i].steps[s]))
                continue;
            wrong++;
            print_error("%s %s: %s, and is there %d times\n", l->invoices[i].customer, steps[s],
                told[was], found[i].steps[s]);
        }
    }
    free(found);
    assert_int_equal(wrong, 0);
}

/* Rows that are in only one of the two. */
#define DIFFERENCE(a, b)                                                                           \
    "SELECT count(*) FROM ((SELECT * FROM " a " EXCEPT ALL SELECT * FROM " b                       \
    ") UNION ALL (SELECT * FROM " b " EXCEPT ALL SELECT * FROM " a ")) d"

static const char detail_difference[] =
    "WITH folded AS (SELECT tenant_id, stream_id, "
    "max(payload::json ->> 'customer') FILTER (WHERE type = " CREATED ") AS customer, "
    "CASE WHEN bool_or(type = " PAID ") THEN 'paid' WHEN bool_or(type = " APPROVED
    ") THEN 'approved' ELSE 'draft' END AS status, "
    "coalesce(max((payload::json ->> 'amountCents')::bigint) "
    "FILTER (WHERE type = " APPROVED "), 0) AS cents FROM ku_events GROUP BY 1, 2), "
    "kept AS (SELECT tenant_id, invoice_id, customer, status, amount_cents "
    "FROM read_showcase_invoice_detail) " DIFFERENCE("folded", "kept");

static const char revenue_difference[] =
    "WITH folded AS (SELECT tenant_id, payload::json ->> 'customer' AS customer, "
    "count(*) AS paid, sum((payload::json ->> 'amountCents')::bigint)::bigint AS cents "
    "FROM ku_events WHERE type = " PAID " GROUP BY 1, 2), "
    "kept AS (SELECT tenant_id, customer, paid_invoices, total_cents "
    "FROM read_showcase_customer_revenue) " DIFFERENCE("folded", "kept");

void ledger_assert_models(const test_database *database, int wait_s)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

    assert_int_equal(test_database_int(database, detail_difference), 0);
    for (int tries = 50 * wait_s; tries > 0 && test_database_int(database, revenue_difference) != 0;
         tries--)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(test_database_int(database, revenue_difference), 0);
}

void ledger_assert_whole(const test_database *database)
{
    static const char *const argv[] = {TEST_BIN_DIR "/showcase", "check", NULL};
    char url[1100], *output = NULL;
    const char *const env[] = {url, NULL};

    (void)snprintf(url, sizeof url, "KUMIKO_DATABASE_URL=%s", database->url);
    const int exit_code = process_run(argv, env, database->folder, &output);
    if (exit_code != 0)
        print_error("%s\n", output);
    free(output);
    assert_int_equal(exit_code, 0);
}

int64_t ledger_events(const test_database *database)
{
    return test_database_int(database, "SELECT count(*) FROM ku_events");
}
