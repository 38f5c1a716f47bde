/*
 * The server: a socket, a loop, and the way back from the application's threads.
 *
 * One thread does everything that has to do with HTTP.  libmicrohttpd keeps the connections and is
 * driven from outside: it lends us its epoll descriptor, we wait for that one and for our own
 * wake-up descriptor, and let it run when there is something to do.
 *
 * Calls come back on the threads that finished them.  They are pushed on a list without a lock; the
 * loop takes the whole list at once.  Only a loop that sleeps is woken: it says so in `asleep`
 * before it looks at the list for the last time, a finisher looks at `asleep` after it has pushed,
 * so one of them sees the other.  A commit that answers sixty calls costs one wake-up, or none.
 *
 * Stopping: the socket is closed, what is under way is answered, everything new on connections that
 * are still open is refused with 503, every answer closes its connection.  When the last request is
 * done, or the time is up, the loop ends.  Calls that the application still has are waited for when
 * the server is closed: they are memory of ours.
 *
 * At rest the loop sleeps without a timer, or, while clients keep connections open, with the timer
 * of the first that will have been silent for too long.
 */
#include "http/server.h"
#include "base/error.h"
#include "base/limits.h"
#include "http/state.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    CONNECTION_MEMORY_BYTES = 16 << 10, /* headers with a token of LIMIT_TOKEN_BYTES fit */
    CONNECTION_IDLE_S = 75,
    DRAIN_S = 40,
    FAREWELL_US = 1000000, /* to tell those whose requests are given up */
    OTHER_DESCRIPTORS = 128,
};

/* ---- connections ----------------------------------------------------------------------------- */

static void describe_peer(const struct sockaddr *address, peer *ret_peer)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    if (address->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &v4->sin_addr, ret_peer->text, sizeof ret_peer->text);
    else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        (void)inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, ret_peer->text, sizeof ret_peer->text);
    else
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, ret_peer->text, sizeof ret_peer->text);
    (void)address_key_parse(ret_peer->text, &ret_peer->key);
}

static void connection_changed(void *context, struct MHD_Connection *connection,
    void **socket_context, enum MHD_ConnectionNotificationCode how)
{
    (void)context;
    if (how == MHD_CONNECTION_NOTIFY_CLOSED) {
        free(*socket_context);
        *socket_context = NULL;
        return;
    }
    peer *other = mem_zero(1, sizeof *other);
    describe_peer(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
        other);
    *socket_context = other;
}

/* Paths are compared as they were sent: no route has a character that needs escaping. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* As many connections as there may be, and as the process may have descriptors. */
static unsigned connection_limit(void)
{
    const rlim_t wanted = LIMIT_CONNECTIONS + OTHER_DESCRIPTORS;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return LIMIT_CONNECTIONS;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted)
        return LIMIT_CONNECTIONS;
    return limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? (unsigned)limit.rlim_cur - OTHER_DESCRIPTORS
                                                  : OTHER_DESCRIPTORS;
}

static bool start_daemon(server *s)
{
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
        NULL, request_continue, s, MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_CONNECTION_LIMIT, connection_limit(), MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)CONNECTION_IDLE_S, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
        leave_escaped, NULL, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, request_completed, s, MHD_OPTION_END);
    if (s->daemon == NULL)
        return false;
    s->daemon_fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void copy_settings(server *s, const server_options *options)
{
    s->body_bytes_max = options->body_bytes_max > 0 ? options->body_bytes_max : LIMIT_BODY_BYTES;
    s->trust_proxy = options->trust_proxy;
    s->drain_timeout_s = options->drain_timeout_s > 0 ? options->drain_timeout_s : DRAIN_S;
    const char *issuer = options->issuer != NULL ? options->issuer : "kumiko";
    s->issuer = arena_copy(&s->memory, ku_str_from(issuer));
    if (options->origins == NULL)
        return;
    size_t count = 0;
    while (options->origins[count] != NULL)
        count++;
    s->origins = arena_alloc(&s->memory, (count + 1) * sizeof *s->origins);
    for (size_t i = 0; i < count; i++)
        s->origins[i] = arena_copy(&s->memory, ku_str_from(options->origins[i])).ptr;
}

static ku_status fail(server *s, ku_error *ret_error, const char *what)
{
    (void)error_set(ret_error, KU_UNAVAILABLE, "%s: %s", what, strerror(errno));
    server_close(s);
    return KU_UNAVAILABLE;
}

ku_status server_open(
    ku_app *app, const server_options *given, server **ret_server, ku_error *ret_error)
{
    server_options options = {0};
    memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);

    server *s = mem_zero(1, sizeof *s);
    s->app = app;
    s->listen_fd = s->wake_fd = -1;
    s->started_us = clock_monotonic_us();
    copy_settings(s, &options);
    ku_status status = token_keys_new(options.keys, options.n_keys, &s->keys, ret_error);
    if (status == KU_OK)
        status = listen_open(options.listen != NULL ? options.listen : "127.0.0.1:8080",
            &s->listen_fd, s->address, ret_error);
    if (status != KU_OK) {
        server_close(s);
        return status;
    }
    s->principals = principal_cache_new(s->keys, s->issuer, LIMIT_CACHED_TOKENS);
    if (options.rate_limit_per_address > 0)
        s->address_limit = address_limit_new(options.rate_limit_per_address, LIMIT_RATE_BUCKETS);
    pages_open(s, &options);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0)
        return fail(s, ret_error, "no descriptor to wake the server with");
    if (!start_daemon(s))
        return fail(s, ret_error, "the server cannot start");
    *ret_server = s;
    return KU_OK;
}

const char *server_address(const server *s)
{
    return s->address;
}

/* ---- the way back ---------------------------------------------------------------------------- */

static void wake(server *s)
{
    const uint64_t one = 1;
    ssize_t written = write(s->wake_fd, &one, sizeof one);
    (void)written; /* it fails only if so many wake-ups are pending that one more changes nothing */
}

void server_take_back(app_call *call)
{
    server *s = ((request *)call->transport)->server;
    (void)atomic_fetch_add(&s->finishing, 1);
    app_call *head = atomic_load(&s->finished);
    do {
        call->next = head;
    } while (!atomic_compare_exchange_weak(&s->finished, &head, call));
    /* From here on the call may be gone; `finishing` keeps the server. */
    if (atomic_load(&s->asleep) && atomic_exchange(&s->asleep, false))
        wake(s);
    (void)atomic_fetch_sub(&s->finishing, 1);
}

void server_stop(server *s)
{
    const int saved_errno = errno;
    atomic_store(&s->stopping, true);
    wake(s);
    errno = saved_errno;
}

/* Answers what has come back, first finished first. */
static void take_finished(server *s)
{
    app_call *newest = atomic_exchange(&s->finished, NULL), *oldest = NULL;
    while (newest != NULL) {
        app_call *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        app_call *next = oldest->next;
        request_finished(oldest->transport);
        oldest = next;
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Blocks until there is something to do, at most so long (-1: as long as it takes). */
static void sleep_until_needed(server *s, int timeout_ms)
{
    struct pollfd watched[2] = {
        {.fd = s->wake_fd,   .events = POLLIN},
        {.fd = s->daemon_fd, .events = POLLIN},
    };
    atomic_store(&s->asleep, true);
    const bool needed = atomic_load(&s->finished) != NULL;
    if (!needed)
        (void)poll(watched, s->daemon != NULL ? 2 : 1, timeout_ms);
    atomic_store(&s->asleep, false);
    if (!needed && (watched[0].revents & POLLIN) != 0) {
        uint64_t count;
        ssize_t got = read(s->wake_fd, &count, sizeof count);
        (void)got;
    }
}

/* One turn: what came back, what arrived, then sleep if there is nothing left to do. */
static void turn(server *s, int64_t deadline_us)
{
    take_finished(s);
    (void)MHD_run(s->daemon);
    int64_t timeout_ms = -1;
    MHD_UNSIGNED_LONG_LONG daemon_ms;
    if (MHD_get_timeout(s->daemon, &daemon_ms) == MHD_YES) {
        if (daemon_ms == 0)
            return;
        timeout_ms = daemon_ms < INT32_MAX ? (int64_t)daemon_ms : INT32_MAX;
    }
    if (deadline_us > 0) {
        int64_t left_ms = (deadline_us - clock_monotonic_us() + 999) / 1000;
        if (left_ms <= 0)
            return;
        if (timeout_ms < 0 || left_ms < timeout_ms)
            timeout_ms = left_ms;
    }
    if (s->draining ? s->n_requests > 0 : !atomic_load(&s->stopping))
        sleep_until_needed(s, (int)timeout_ms);
}

static bool anyone_to_tell(const server *s)
{
    for (const request *r = s->newest; r != NULL; r = r->older) {
        if (r->connection != NULL && r->phase != REQUEST_RECEIVING)
            return true;
    }
    return false;
}

static void drain(server *s)
{
    s->draining = true;
    int fd = MHD_quiesce_daemon(s->daemon);
    assert(fd == s->listen_fd);
    close(fd);
    s->listen_fd = -1;

    int64_t deadline_us = clock_monotonic_us() + (int64_t)s->drain_timeout_s * 1000000;
    while (s->n_requests > 0 && clock_monotonic_us() < deadline_us)
        turn(s, deadline_us);
    for (request *r = s->newest; r != NULL; r = r->older)
        request_abandon(r);
    deadline_us = clock_monotonic_us() + FAREWELL_US;
    while (anyone_to_tell(s) && clock_monotonic_us() < deadline_us)
        turn(s, deadline_us);
}

ku_status server_run(server *s)
{
    assert(s->daemon != NULL && !s->draining);
    while (!atomic_load(&s->stopping))
        turn(s, 0);
    drain(s);
    return KU_OK;
}

void server_close(server *s)
{
    if (s == NULL)
        return;
    if (s->daemon != NULL) {
        assert(s->n_submitted == 0 || s->draining); /* server_run has returned */
        MHD_stop_daemon(s->daemon); /* closes the socket it listens on, if it still does */
        s->daemon = NULL;
        s->listen_fd = -1;
    }
    while (s->n_submitted > 0) {
        sleep_until_needed(s, -1);
        take_finished(s);
    }
    while (atomic_load(&s->finishing) > 0)
        (void)sched_yield();
    request_free_all(s);
    pages_close(s);
    principal_cache_free(s->principals);
    address_limit_free(s->address_limit);
    token_keys_free(s->keys);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    arena_done(&s->memory);
    free(s);
}
