/*
 * The application: features over a database, with or without HTTP.
 *
 *     ku_app *app;
 *     ku_error error;
 *     if (ku_app_open(KU_OPTIONS(ku_app_options, .url = "sqlite:shop.db",
 *             .features = KU_LIST(ku_feature, &invoicing)), &app, &error) != KU_OK)
 *         …
 */
#ifndef KUMIKO_APP_H
#define KUMIKO_APP_H

#include "kumiko/feature.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ku_app ku_app;

typedef struct ku_app_options {
    size_t size;
    const char *url; /* `sqlite:PATH` (NULL: kumiko.db), `sqlite::memory:`, `postgresql://…` */
    const ku_feature *const *features;    /* NULL-terminated; must outlive the application */
    int readers;                          /* query threads; 0: 2 */
    bool dispatcher;                      /* run async projections in the background */
    bool read_only;                       /* no writer; beside a running server */
    const char *const *disabled_features; /* answer 403 `feature_disabled`; NULL-terminated */
    const char *docs_url;                 /* prefix of `docsUrl` in errors; NULL: none */
    bool production;                      /* hide causes; only check PostgreSQL's tables, below */
    bool without_rate_limits;             /* for load tests */
    void (*log)(void *context, int level, const char *line); /* NULL: stderr; any thread */
    void *log_context;
    ku_time (*clock)(void *context); /* NULL: the system's; any thread */
    void *clock_context;
    int writers; /* write connections; 0: 1 on SQLite, which has one, and 2 on PostgreSQL */
} ku_app_options;

/*
 * Opens the database, creates what is missing in it, checks the features and starts the threads.
 * In production tables on PostgreSQL are not created: `kumiko schema apply` does that, and what it
 * has not done is KU_NOT_FOUND.  On failure error->message lists everything that is wrong, a line
 * each.  Not from two threads at once for one file.
 */
KU_API ku_status ku_app_open(const ku_app_options *options, ku_app **ret_app, ku_error *ret_error);
/* Finishes what is queued, stops the threads, closes.  NULL is fine. */
KU_API void ku_app_close(ku_app *app);

/* ---- requests -------------------------------------------------------------------------------- */

typedef struct ku_user {
    ku_id tenant;
    ku_str id;
    const ku_str *roles;
    size_t n_roles;
} ku_user;

typedef struct ku_request {
    size_t size;
    ku_str type;    /* qualified name: `showcase:write:invoice:create` */
    ku_str payload; /* JSON text; empty: `{}` */
    ku_user user;
    ku_str request_id; /* idempotency: the same id and payload again is answered from the store */
    ku_str trace_id;   /* X-Request-ID; empty: made up */
    ku_str correlation_id; /* empty: the trace id */
    ku_str address;        /* of the client, for rate limits; may be empty */
    int64_t timeout_ms;    /* 0: none */
} ku_request;

typedef struct ku_response {
    int http_status;
    ku_str body; /* JSON as on the wire (behaviour §1, §2); NUL-terminated behind the view */
    void *owner_;
} ku_response;

/*
 * Runs a write or a query to its end and waits for it; the write is on disk when this returns.
 * Returns the outcome's status; the response is filled in either case and freed by the caller.
 * Thread-safe; many callers at once share commits.
 */
KU_API ku_status ku_write(ku_app *app, const ku_request *request, ku_response *ret_response);
KU_API ku_status ku_query(ku_app *app, const ku_request *request, ku_response *ret_response);
KU_API void ku_response_free(ku_response *response);

/* ---- dispatching ----------------------------------------------------------------------------- */

typedef struct ku_dispatch_result {
    int64_t processed; /* events given to projections */
    int64_t failed;    /* attempts that failed */
} ku_dispatch_result;

/*
 * Brings every async projection up to date and returns: tests, batch programs (§6.4 runOnce).  What
 * the projections append is dispatched, too.  A failing event ends its lane's turn; it is retried
 * at the next call.  Not while the background dispatcher runs (KU_REFUSED).
 *
 * Where several processes share the database (PostgreSQL) this one takes what nobody has at that
 * moment; what another process is at work on is left to it, and not waited for.
 */
KU_API ku_status ku_dispatch_once(ku_app *app, ku_dispatch_result *ret_result, ku_error *ret_error);

typedef struct ku_consumer_info {
    char name[128];          /* `showcase:projection:customer-revenue` */
    char status[16];         /* idle, backoff, halted */
    int64_t position;        /* events behind the cursor, all lanes */
    int64_t high_water_mark; /* events in all lanes */
    int64_t lag;             /* events still to be looked at */
    int64_t lanes;           /* (tenant, lane) pairs */
    int attempts;            /* of the worst lane */
    char last_error[512];
    ku_time updated_at;
} ku_consumer_info;

typedef struct ku_projection_info {
    char name[128];
    char status[16];  /* never-rebuilt (behaviour §0) */
    int64_t position; /* lastProcessedEventId: 0 while never rebuilt */
    int64_t high_water_mark;
    int64_t lag; /* 0: inline */
    char table[64];
} ku_projection_info;

/*
 * Progress and lag (§6.5), for one tenant or, with a nil id, over all.  The array is freed with
 * free() by the caller; *ret_count entries.  Thread-safe.
 */
KU_API ku_status ku_consumer_progress(ku_app *app, ku_id tenant, ku_consumer_info **ret_infos,
    size_t *ret_count, ku_error *ret_error);
KU_API ku_status ku_projection_progress(ku_app *app, ku_id tenant, ku_projection_info **ret_infos,
    size_t *ret_count, ku_error *ret_error);

/* ---- describing ------------------------------------------------------------------------------ */

typedef enum ku_format_kind {
    KU_DESCRIBE_TEXT,
    KU_DESCRIBE_JSON,
    KU_DESCRIBE_OPENAPI
} ku_format_kind;
/*
 * Prints features back: events with versions and schemas, routes, roles, tables.  free() the text.
 */
KU_API ku_status ku_describe(
    const ku_feature *const *features, ku_format_kind format, char **ret_text, ku_error *ret_error);

/* ---- programs -------------------------------------------------------------------------------- */

/*
 * A whole program: serve, token, describe, events, inspect, consumers, projections, tenants,
 * schema, check.  Returns the exit code.  `kumiko --help` lists them; `features` may be NULL (then
 * --feature loads them).
 */
KU_API int ku_main(int argc, char **argv, const ku_feature *const *features);

/* The library's version, e.g. "0.1.0"; static storage. */
KU_API const char *ku_version(void);

#ifdef __cplusplus
}
#endif
#endif
