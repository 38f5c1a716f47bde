/*
 * PostgreSQL: connecting, once and again.
 *
 * libpq reads the URL, so everything it knows works: several hosts, target_session_attrs, TLS,
 * passwords from elsewhere.  What the URL does not say about giving up is said here: a host that
 * does not answer within five seconds is passed over, and a network that swallows what is sent is
 * noticed by TCP, within ten seconds where something is on its way and thirty where nothing is.
 *
 * A session gets its settings in the same round trip as its first statements.  Writers' statements
 * are all by key, so theirs forbid the plans that are only good for many rows, and keep the one
 * that is made first.
 *
 * A connection that was lost is made again by the next transaction, with a pause between attempts
 * that doubles, for about five seconds in all.
 */
#include "db/postgres.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VERSION_MIN = 150000 };

typedef struct default_setting {
    const char *keyword, *value;
} default_setting;

static const default_setting defaults[] = {
    {"connect_timeout",           "5"     },
    {"keepalives_idle",           "10"    },
    {"keepalives_interval",       "5"     },
    {"keepalives_count",          "4"     },
    {"tcp_user_timeout",          "10000" },
    {"fallback_application_name", "kumiko"},
    {"client_encoding",           "UTF8"  },
};

/* ---- the URL --------------------------------------------------------------------------------- */

/* libpq quotes what it does not understand, and that may be the password. */
static ku_status refuse_url(char *words, ku_error *ret_error)
{
    static const char harmless[] = "invalid URI query parameter";

    if (words != NULL && strncmp(words, harmless, strlen(harmless)) != 0)
        words[strcspn(words, ":\"")] = '\0';
    else if (words != NULL)
        words[strcspn(words, "\n")] = '\0';
    (void)error_set(ret_error, KU_INVALID, "the URL of the database cannot be read: %s",
        words != NULL ? words : "out of memory");
    PQfreemem(words);
    return KU_INVALID;
}

ku_status postgres_read_url(postgres_db *p, const char *url, ku_error *ret_error)
{
    char *words = NULL;
    size_t n_given = 0, n = 0;

    p->options = PQconninfoParse(url, &words);
    if (p->options == NULL)
        return refuse_url(words, ret_error);
    for (const PQconninfoOption *option = p->options; option->keyword != NULL; option++)
        n_given++;
    p->keywords = mem_zero(n_given + KU_COUNT(defaults) + 1, sizeof(*p->keywords));
    p->settings = mem_zero(n_given + KU_COUNT(defaults) + 1, sizeof(*p->settings));
    for (size_t i = 0; i < KU_COUNT(defaults); i++) { /* of two settings the last one counts */
        p->keywords[n] = defaults[i].keyword;
        p->settings[n++] = defaults[i].value;
    }
    for (const PQconninfoOption *option = p->options; option->keyword != NULL; option++) {
        if (option->val == NULL)
            continue;
        p->keywords[n] = option->keyword;
        p->settings[n++] = option->val;
    }
    return KU_OK;
}

void postgres_free_options(postgres_db *p)
{
    PQconninfoFree(p->options);
    free((void *)p->keywords);
    free((void *)p->settings);
}

/* ---- the session ----------------------------------------------------------------------------- */

#define SET_FOR_ALL                                                                                \
    "SELECT current_schema()::text, set_config('jit', 'off', false),"                              \
    " set_config('idle_in_transaction_session_timeout', '3s', false),"                             \
    " set_config('lock_timeout', '2s', false),"                                                    \
    " set_config('statement_timeout', '10s', false)"

static const char *const session_texts[] = {
    [DB_WRITER] = SET_FOR_ALL ", set_config('default_transaction_isolation', 'read committed',"
                              " false),"
                              " set_config('enable_seqscan', 'off', false),"
                              " set_config('enable_hashjoin', 'off', false),"
                              " set_config('enable_mergejoin', 'off', false),"
                              " set_config('enable_material', 'off', false),"
                              " set_config('plan_cache_mode', 'force_generic_plan', false)",
    [DB_READER] = SET_FOR_ALL ", set_config('default_transaction_isolation', 'repeatable read',"
                              " false),"
                              " set_config('default_transaction_read_only', 'on', false)",
};

static const char no_limit[] = "SET statement_timeout = 0";

/* Notices are for people at a terminal; but a FATAL one is why the connection ends. */
static void receive_notice(void *context, const PGresult *notice)
{
    postgres_db *p = context;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *words = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(notice, PG_DIAG_SQLSTATE);

    if (severity == NULL || (strcmp(severity, "FATAL") != 0 && strcmp(severity, "PANIC") != 0))
        return;
    p->closing = true;
    snprintf(p->farewell, sizeof(p->farewell), "%s (%s)", words != NULL ? words : "",
        sqlstate != NULL ? sqlstate : "");
}

/* Where rings are heard: notifications are the database's, a bell is the schema's. */
static void name_channel(postgres_db *p, const char *schema)
{
    snprintf(
        p->channel, sizeof(p->channel), "kumiko_%016" PRIx64, hash_text(0, ku_str_from(schema)));
}

static ku_status send_session(postgres_db *p, PGresult **ret_answer)
{
    static const char *const controls[][2] = {
        {"begin",    "BEGIN"   },
        {"commit",   "COMMIT"  },
        {"rollback", "ROLLBACK"},
    };
    const postgres_flight settings = {.kind = FLIGHT_STATEMENT, .answer = ret_answer};

    const postgres_flight control = {.kind = FLIGHT_CONTROL};

    ku_status status = postgres_send_text(p, session_texts[p->role], settings);
    if (status == KU_OK && p->patient)
        status = postgres_send_text(p, no_limit, control);
    for (size_t i = 0; i < KU_COUNT(controls) && status == KU_OK; i++)
        status = postgres_send_control(p, controls[i][0], controls[i][1]);
    return status == KU_OK ? postgres_settle(p) : status;
}

/* Brings a fresh connection into the state that everything else takes for granted. */
static ku_status set_up_session(postgres_db *p)
{
    PGresult *answer = NULL;
    const char *encoding = PQparameterStatus(p->connection, "server_encoding");

    if (encoding == NULL || strcmp(encoding, "UTF8") != 0)
        return postgres_fail(p, KU_INVALID, false, "database '%s': its encoding is %s, not UTF8",
            PQdb(p->connection), encoding != NULL ? encoding : "not known");
    if (PQserverVersion(p->connection) < VERSION_MIN)
        return postgres_fail(p, KU_INVALID, false, "the server is PostgreSQL %d: it has to be 15",
            PQserverVersion(p->connection) / 10000);
    (void)PQsetNoticeReceiver(p->connection, receive_notice, p);
    if (PQsetnonblocking(p->connection, 1) != 0 || PQenterPipelineMode(p->connection) == 0)
        return postgres_fail(
            p, KU_UNAVAILABLE, true, "cannot connect: %s", PQerrorMessage(p->connection));
    ku_status status = send_session(p, &answer);
    if (status == KU_OK && PQgetisnull(answer, 0, 0))
        status = postgres_fail(p, KU_NOT_FOUND, false,
            "database '%s': there is no schema that its search_path names", PQdb(p->connection));
    if (status == KU_OK)
        name_channel(p, PQgetvalue(answer, 0, 0));
    PQclear(answer);
    return status;
}

ku_status postgres_connect(postgres_db *p)
{
    char words[400];

    p->connection = PQconnectdbParams(p->keywords, p->settings, 0);
    if (PQstatus(p->connection) != CONNECTION_OK) {
        postgres_copy_words(words, sizeof(words), PQerrorMessage(p->connection));
        PQfinish(p->connection);
        p->connection = NULL;
        return postgres_fail(p, KU_UNAVAILABLE, true, "%s", words);
    }
    p->heard_us = clock_monotonic_us();
    ku_status status = set_up_session(p);
    if (status != KU_OK && p->connection != NULL)
        postgres_lose(p, "");
    return status;
}

ku_status postgres_be_patient(db *d)
{
    postgres_db *p = (postgres_db *)d;
    const postgres_flight control = {.kind = FLIGHT_CONTROL};

    p->patient = true;
    ku_status status = postgres_ready(p);
    if (status == KU_OK)
        status = postgres_send_text(p, no_limit, control);
    return status == KU_OK ? postgres_settle(p) : status;
}

ku_status postgres_reconnect(postgres_db *p)
{
    int64_t begun_us = clock_monotonic_us(), pause_us = POSTGRES_BACKOFF_US;

    for (;;) {
        p->failed = KU_OK;
        ku_status status = postgres_connect(p);
        int64_t rest_us = begun_us + POSTGRES_RECONNECT_US - clock_monotonic_us();
        if (status == KU_OK || !p->base.may_retry || rest_us < pause_us)
            return status;
        const struct timespec pause = {
            .tv_sec = pause_us / 1000000, .tv_nsec = pause_us % 1000000 * 1000};
        (void)nanosleep(&pause, NULL);
        pause_us *= 2;
    }
}
