/*
 * PostgreSQL: the bell.
 *
 * Ringing is a notification, which takes a lock of the whole database when it commits; that is why
 * it has a connection of its own and is no part of a transaction that writes.  A channel is named
 * after the schema, because notifications are heard in all of a database.
 */
#include "db/postgres.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>

/* Runs a command by its text, waiting for it. */
static ku_status run_text(postgres_db *p, const char *sql)
{
    const postgres_flight flight = {.kind = FLIGHT_CONTROL};

    ku_status status = postgres_send_text(p, sql, flight);
    return status == KU_OK ? postgres_settle(p) : status;
}

ku_status postgres_bell_listen(db *d)
{
    postgres_db *p = (postgres_db *)d;
    char sql[96];

    ku_status status = postgres_ready(p);
    if (status != KU_OK)
        return status;
    snprintf(sql, sizeof(sql), "LISTEN %s", p->channel);
    return run_text(p, sql);
}

ku_status postgres_bell_ring(db *d)
{
    postgres_db *p = (postgres_db *)d;
    char sql[96];

    ku_status status = postgres_ready(p);
    if (status != KU_OK)
        return status;
    snprintf(sql, sizeof(sql), "NOTIFY %s", p->channel);
    return run_text(p, sql);
}

/* Has another process rung?  What this one has rung comes back, too. */
static bool take_rings(postgres_db *p)
{
    bool rung = false;
    PGnotify *ring;

    while ((ring = PQnotifies(p->connection)) != NULL) {
        rung = rung || ring->be_pid != PQbackendPID(p->connection);
        PQfreemem(ring);
    }
    return rung;
}

ku_status postgres_bell_wait(db *d, int descriptor, int timeout_ms, bool *ret_rung)
{
    postgres_db *p = (postgres_db *)d;
    int64_t deadline_us = clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    struct pollfd places[2] = {
        {.events = POLLIN },
        { .events = POLLIN, .fd = descriptor}
    };

    *ret_rung = false;
    for (;;) {
        if (p->connection == NULL || !postgres_listen(p)) {
            p->failed = KU_OK;
            return postgres_fail(p, KU_UNAVAILABLE, true, "the bell's connection was lost");
        }
        *ret_rung = take_rings(p);
        if (*ret_rung)
            return KU_OK;
        int64_t rest_us = deadline_us - clock_monotonic_us();
        if (timeout_ms >= 0 && rest_us <= 0)
            return KU_OK;
        places[0].fd = PQsocket(p->connection);
        (void)poll(places, 2, timeout_ms < 0 ? -1 : (int)((rest_us + 999) / 1000));
        if (places[1].revents != 0)
            return KU_OK;
    }
}
