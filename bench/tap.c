/*
 * What a program says to PostgreSQL, counted from outside.
 *
 * One thread forwards whatever comes, in both directions, and reads the heads of the messages on
 * their way to the server: an Execute or a Query is a statement.  Answers may be held back for a
 * while.  Then the time that a command takes says how many round trips it waits for, whatever else
 * is on the wire: a COMMIT of a transaction that has only read may be under way while its answer
 * interests nobody.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WIRES_MAX = 128, CHUNK = 1 << 16, HEAD = 5, NOWHERE = -1 };

/* An answer that is held back. */
typedef struct chunk {
    struct chunk *next;
    uint64_t due_ns;
    size_t length;
    char bytes[];
} chunk;

typedef struct wire {
    int client, server; /* NOWHERE: the place is free */
    bool greeted;       /* the first message, which has no type, has passed */
    char head[HEAD];
    size_t n_head;
    size_t body_left;
    chunk *first, **last;
} wire;

struct tap {
    pthread_t thread;
    int listener, stop;
    char host[256], port[16];
    atomic_uint_fast64_t delay_ns;
    atomic_int_fast64_t statements, bytes;
    wire wires[WIRES_MAX]; /* the thread's own */
};

/* ---- ends ------------------------------------------------------------------------------------ */

static int connect_unix(const tap *t)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int length =
        snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.%s", t->host, t->port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (length >= (int)sizeof address.sun_path || fd < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        die("%s: %s", address.sun_path, strerror(errno));
    return fd;
}

static int connect_server(const tap *t)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const int on = 1;
    struct addrinfo *found = NULL;

    if (t->host[0] == '/')
        return connect_unix(t);
    if (getaddrinfo(t->host, t->port, &hints, &found) != 0)
        die("%s:%s is unknown", t->host, t->port);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        die("%s:%s: %s", t->host, t->port, strerror(errno));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    freeaddrinfo(found);
    return fd;
}

static void accept_wire(tap *t)
{
    const int on = 1;
    int fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (size_t i = 0; i < WIRES_MAX; i++) {
        wire *w = &t->wires[i];
        if (w->client != NOWHERE)
            continue;
        *w = (wire){.client = fd, .server = connect_server(t)};
        w->last = &w->first;
        return;
    }
    die("more than %d connections", WIRES_MAX);
}

static void cut(wire *w)
{
    (void)close(w->client);
    (void)close(w->server);
    while (w->first != NULL) {
        chunk *c = w->first;
        w->first = c->next;
        free(c);
    }
    *w = (wire){.client = NOWHERE, .server = NOWHERE};
}

static bool send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

/* ---- to the server --------------------------------------------------------------------------- */

static void read_head(tap *t, wire *w)
{
    uint32_t length;
    const bool typed = w->greeted;

    memcpy(&length, w->head + (typed ? 1 : 0), sizeof length);
    length = ntohl(length);
    assert(length >= sizeof length);
    w->body_left = length - sizeof length;
    if (typed && (w->head[0] == 'E' || w->head[0] == 'Q'))
        atomic_fetch_add(&t->statements, 1);
    w->greeted = true;
    w->n_head = 0;
}

static void count_messages(tap *t, wire *w, const char *bytes, size_t length)
{
    while (length > 0) {
        if (w->body_left > 0) {
            const size_t n = length < w->body_left ? length : w->body_left;
            w->body_left -= n;
            bytes += n;
            length -= n;
            continue;
        }
        w->head[w->n_head++] = *bytes++;
        length--;
        if (w->n_head == (w->greeted ? HEAD : HEAD - 1))
            read_head(t, w);
    }
}

static bool forward_question(tap *t, wire *w)
{
    static char bytes[CHUNK];
    const ssize_t n = recv(w->client, bytes, sizeof bytes, 0);

    if (n <= 0)
        return false;
    count_messages(t, w, bytes, (size_t)n);
    atomic_fetch_add(&t->bytes, n);
    return send_all(w->server, bytes, (size_t)n);
}

/* ---- from the server ------------------------------------------------------------------------- */

static bool take_answer(tap *t, wire *w)
{
    static char bytes[CHUNK];
    const ssize_t n = recv(w->server, bytes, sizeof bytes, 0);

    if (n <= 0)
        return false;
    atomic_fetch_add(&t->bytes, n);
    const uint64_t delay_ns = atomic_load(&t->delay_ns);
    if (delay_ns == 0 && w->first == NULL)
        return send_all(w->client, bytes, (size_t)n);
    chunk *c = malloc(sizeof *c + (size_t)n);
    assert(c != NULL);
    *c = (chunk){.due_ns = now_ns() + delay_ns, .length = (size_t)n};
    memcpy(c->bytes, bytes, (size_t)n);
    *w->last = c;
    w->last = &c->next;
    return true;
}

static bool give_answers(wire *w, uint64_t now)
{
    while (w->first != NULL && w->first->due_ns <= now) {
        chunk *c = w->first;
        const bool sent = send_all(w->client, c->bytes, c->length);
        w->first = c->next;
        if (w->first == NULL)
            w->last = &w->first;
        free(c);
        if (!sent)
            return false;
    }
    return true;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static int time_to_next(const tap *t)
{
    uint64_t next = UINT64_MAX;
    const uint64_t now = now_ns();

    for (size_t i = 0; i < WIRES_MAX; i++)
        if (t->wires[i].first != NULL && t->wires[i].first->due_ns < next)
            next = t->wires[i].first->due_ns;
    if (next == UINT64_MAX)
        return -1;
    return next <= now ? 0 : (int)((next - now + 999999) / 1000000);
}

static void *forward(void *context)
{
    tap *t = context;
    struct pollfd polled[2 + 2 * WIRES_MAX];

    for (;;) {
        polled[0] = (struct pollfd){.fd = t->stop, .events = POLLIN};
        polled[1] = (struct pollfd){.fd = t->listener, .events = POLLIN};
        for (size_t i = 0; i < WIRES_MAX; i++) {
            polled[2 + 2 * i] = (struct pollfd){.fd = t->wires[i].client, .events = POLLIN};
            polled[3 + 2 * i] = (struct pollfd){.fd = t->wires[i].server, .events = POLLIN};
        }
        (void)poll(polled, KU_COUNT(polled), time_to_next(t));
        if (polled[0].revents != 0)
            return NULL;
        const uint64_t now = now_ns();
        for (size_t i = 0; i < WIRES_MAX; i++) {
            wire *w = &t->wires[i];
            if (w->client == NOWHERE)
                continue;
            if ((polled[2 + 2 * i].revents != 0 && !forward_question(t, w)) ||
                (polled[3 + 2 * i].revents != 0 && !take_answer(t, w)) || !give_answers(w, now))
                cut(w);
        }
        if (polled[1].revents != 0)
            accept_wire(t);
    }
}

/* ---- the tap --------------------------------------------------------------------------------- */

/* Where the URL leads; of several hosts the first. */
static void find_server(tap *t, const char *url)
{
    char *error = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &error);

    if (options == NULL)
        die("%s: %s", url, error);
    (void)snprintf(t->host, sizeof t->host, "127.0.0.1");
    (void)snprintf(t->port, sizeof t->port, "5432");
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val == NULL || o->val[0] == '\0')
            continue;
        if (strcmp(o->keyword, "host") == 0)
            (void)snprintf(t->host, sizeof t->host, "%.*s", (int)strcspn(o->val, ","), o->val);
        if (strcmp(o->keyword, "port") == 0)
            (void)snprintf(t->port, sizeof t->port, "%.*s", (int)strcspn(o->val, ","), o->val);
    }
    PQconninfoFree(options);
}

static int listen_somewhere(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, WIRES_MAX) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("tap: %s", strerror(errno));
    *ret_port = ntohs(address.sin_port);
    return fd;
}

tap *tap_open(const char *url, char **ret_url)
{
    int port = 0;
    tap *t = calloc(1, sizeof *t);
    assert(t != NULL);

    find_server(t, url);
    for (size_t i = 0; i < WIRES_MAX; i++)
        t->wires[i].client = t->wires[i].server = NOWHERE;
    t->listener = listen_somewhere(&port);
    t->stop = eventfd(0, EFD_CLOEXEC);
    int failed = pthread_create(&t->thread, NULL, forward, t);
    assert(t->stop >= 0 && failed == 0);
    /* In libpq's URIs what comes later is what counts. */
    if (asprintf(ret_url, "%s%chost=127.0.0.1&port=%d&sslmode=disable&gssencmode=disable", url,
            strchr(url, '?') != NULL ? '&' : '?', port) < 0)
        die("out of memory");
    return t;
}

void tap_hold_back(tap *t, int milliseconds)
{
    atomic_store(&t->delay_ns, (uint64_t)milliseconds * 1000000);
}

tap_counts tap_read(tap *t)
{
    return (tap_counts){
        .statements = atomic_load(&t->statements),
        .bytes = atomic_load(&t->bytes),
    };
}

void tap_close(tap *t)
{
    const uint64_t one = 1;

    if (write(t->stop, &one, sizeof one) != (ssize_t)sizeof one)
        die("tap: %s", strerror(errno));
    (void)pthread_join(t->thread, NULL);
    for (size_t i = 0; i < WIRES_MAX; i++)
        if (t->wires[i].client != NOWHERE)
            cut(&t->wires[i]);
    (void)close(t->listener);
    (void)close(t->stop);
    free(t);
}
