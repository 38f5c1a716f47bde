/*
 * The bell, the implementation.
 *
 * The thread sleeps in db_bell_wait, on its socket and on an eventfd through which this process
 * wakes it: once per ring, however many commits ask for it.
 */
#include "dispatch/bell.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    RING_EVERY_US = 5000,
    RECONNECT_MS_FIRST = 100,
    RECONNECT_MS_MAX = 3200,
};

struct bell {
    ku_app *app;
    void (*heard)(void *context); /* NULL: only rings */
    void *context;
    pthread_t thread;
    int wake; /* eventfd: one of the next two was set */
    atomic_bool pending, stopping;

    /* owned by the thread */
    db *d; /* NULL: not connected */
    int64_t rung_us;
    int reconnect_ms; /* 0: the last attempt was a success */
};

/* ---- the connection -------------------------------------------------------------------------- */

static void lose(bell *b, ku_status status, const char *cause)
{
    if (b->reconnect_ms == 0) /* once per outage */
        log_cause(&b->app->log, LOG_WARN_, "bell lost, looking by the clock meanwhile",
            ku_status_code(status), cause);
    b->reconnect_ms = b->reconnect_ms == 0 ? RECONNECT_MS_FIRST : b->reconnect_ms * 2;
    if (b->reconnect_ms > RECONNECT_MS_MAX)
        b->reconnect_ms = RECONNECT_MS_MAX;
    db_close(b->d);
    b->d = NULL;
}

static void connect_bell(bell *b)
{
    ku_error error = {0};

    ku_status status = db_open(b->app->url, DB_WRITER, b->app->registry.statements, &b->d, &error);
    if (status != KU_OK) {
        lose(b, status, error.message);
        return;
    }
    if (b->heard != NULL) {
        status = db_bell_listen(b->d);
        if (status != KU_OK) {
            lose(b, status, db_error(b->d));
            return;
        }
        b->heard(b->context); /* it may have been rung while nobody listened */
    }
    b->reconnect_ms = 0;
}

/* Sleeps without a connection. */
static void sleep_unconnected(const bell *b, int timeout_ms)
{
    struct pollfd wake = {.fd = b->wake, .events = POLLIN};

    (void)poll(&wake, 1, timeout_ms);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static ku_status ring(bell *b)
{
    atomic_store(&b->pending, false); /* before: a commit from now on asks for the next */
    ku_status status = db_bell_ring(b->d);
    if (status != KU_OK)
        atomic_store(&b->pending, true);
    b->rung_us = clock_monotonic_us();
    return status;
}

/* Rings if it is time to, otherwise sleeps until something happens. */
static void listen_or_ring(bell *b)
{
    int timeout_ms = -1;
    bool rung = false;

    if (atomic_load(&b->pending)) {
        int64_t rest_us = b->rung_us + RING_EVERY_US - clock_monotonic_us();
        if (rest_us <= 0) {
            ku_status status = ring(b);
            if (status != KU_OK)
                lose(b, status, db_error(b->d));
            return;
        }
        timeout_ms = (int)((rest_us + 999) / 1000);
    }
    ku_status status = db_bell_wait(b->d, b->wake, timeout_ms, &rung);
    if (status != KU_OK)
        lose(b, status, db_error(b->d));
    else if (rung && b->heard != NULL)
        b->heard(b->context);
}

static void *bell_main(void *context)
{
    bell *b = context;
    eventfd_t count;

    while (!atomic_load(&b->stopping)) {
        if (b->d != NULL) {
            listen_or_ring(b);
        } else {
            if (b->heard == NULL && !atomic_load(&b->pending))
                sleep_unconnected(b, -1);
            else if (b->reconnect_ms > 0)
                sleep_unconnected(b, b->reconnect_ms);
            if (b->heard != NULL || atomic_load(&b->pending))
                connect_bell(b);
        }
        (void)eventfd_read(b->wake, &count);
    }
    if (b->d != NULL && atomic_load(&b->pending))
        (void)ring(b);
    return NULL;
}

bell *bell_open(ku_app *app, void (*heard)(void *context), void *context)
{
    bell *b = mem_zero(1, sizeof(*b));

    b->app = app;
    b->heard = heard;
    b->context = context;
    b->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int failed = b->wake < 0 ? errno : pthread_create(&b->thread, NULL, bell_main, b);
    assert(failed == 0);
    (void)failed;
    return b;
}

void bell_ring(bell *b)
{
    if (!atomic_exchange(&b->pending, true))
        (void)eventfd_write(b->wake, 1);
}

void bell_close(bell *b)
{
    if (b == NULL)
        return;
    atomic_store(&b->stopping, true);
    (void)eventfd_write(b->wake, 1);
    (void)pthread_join(b->thread, NULL);
    db_close(b->d);
    (void)close(b->wake);
    free(b);
}
