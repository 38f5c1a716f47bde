/*
 * The proxy's thread polls the listener and both sockets of every connection.  Bytes are gathered
 * until a message is whole (a type byte and a length, except for the first packet of a program,
 * which has no type), looked at, and put into the other side's outgoing buffer.
 *
 * COMMIT is recognised wherever it may stand: as a simple query, or as a prepared statement that
 * was parsed long ago.  So the proxy remembers for each statement's name what its text does, and
 * for each portal which statement it was bound to.
 *
 * A cut connection is half-closed on both sides, which see its end; what the program still sends is
 * read, looked at and dropped until it closes its side.  So the proxy knows whether COMMIT
 * had left the program, and with that whether the program can know what became of it.
 */
#include "support/pg_proxy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 200, STATEMENTS_MAX = 512, NAME_MAX_ = 64, READ_BYTES = 65536 };
enum { SSL_REQUEST = 80877103, GSS_REQUEST = 80877104 };

typedef enum text_kind { TEXT_OTHER, TEXT_WRITES, TEXT_COMMIT, TEXT_ROLLBACK } text_kind;

typedef struct bytes {
    char *data;
    size_t len, capacity;
} bytes;

/* What a statement's or a portal's name stands for. */
typedef struct named {
    char name[NAME_MAX_];
    text_kind kind;
} named;

typedef struct names {
    named entries[STATEMENTS_MAX];
    size_t count;
} names;

typedef struct connection {
    int program, server; /* -1: closed */
    bytes from_program, from_server;
    bytes to_program, to_server;
    bool started; /* the first packet has gone by */
    bool cut;
    bool wrote;     /* in the transaction that is under way */
    bool committed; /* its COMMIT was sent and not answered */
    names statements, portals;
    struct connection *next;
} connection;

struct pg_proxy {
    int listener, port, server_port;
    int wake[2];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* owned by the thread */
    connection *connections;
    /* guarded by lock */
    pg_cut cut;
    int64_t left; /* until the cut */
    pg_proxy_seen seen;
    bool cut_all, refuse, stop;
    int64_t asked, answered; /* looks: the thread has gone round since it was asked */
    int ending;              /* connections that were cut and that the server has not left yet */
};

/* ---- bytes ----------------------------------------------------------------------------------- */

static void append(bytes *b, const char *data, size_t len)
{
    if (b->capacity - b->len < len) {
        b->capacity = 2 * (b->capacity + len);
        b->data = realloc(b->data, b->capacity);
        assert(b->data != NULL);
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void drop_front(bytes *b, size_t len)
{
    b->len -= len;
    if (b->len > 0)
        memmove(b->data, b->data + len, b->len);
}

static uint32_t word(const char *data)
{
    uint32_t value;
    memcpy(&value, data, sizeof value);
    return ntohl(value);
}

/* ---- what statements do ---------------------------------------------------------------------- */

static text_kind kind_of(const char *text)
{
    text += strspn(text, " \n\t");
    if (strncasecmp(text, "COMMIT", 6) == 0)
        return TEXT_COMMIT;
    if (strncasecmp(text, "ROLLBACK", 8) == 0)
        return TEXT_ROLLBACK;
    return strcasestr(text, "INSERT INTO") != NULL || strcasestr(text, "UPDATE ku_") != NULL ||
                   strcasestr(text, "UPDATE \"") != NULL || strcasestr(text, "DELETE FROM") != NULL
               ? TEXT_WRITES
               : TEXT_OTHER;
}

static void remember(names *n, const char *name, text_kind kind)
{
    named *entry = NULL;

    for (size_t i = 0; i < n->count && entry == NULL; i++)
        entry = strcmp(n->entries[i].name, name) == 0 ? &n->entries[i] : NULL;
    if (entry == NULL) {
        assert(n->count < STATEMENTS_MAX && strlen(name) < NAME_MAX_);
        entry = &n->entries[n->count++];
        strcpy(entry->name, name);
    }
    entry->kind = kind;
}

static text_kind recall(const names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->entries[i].name, name) == 0)
            return n->entries[i].kind;
    }
    return TEXT_OTHER;
}

/* What this message of a program makes the server do; texts in messages end with a NUL. */
static text_kind look_at_request(connection *c, char type, const char *body)
{
    switch (type) {
    case 'Q':
        return kind_of(body);
    case 'P': /* statement, text */
        remember(&c->statements, body, kind_of(body + strlen(body) + 1));
        return TEXT_OTHER;
    case 'B': /* portal, statement */
        remember(&c->portals, body, recall(&c->statements, body + strlen(body) + 1));
        return TEXT_OTHER;
    case 'E': /* portal */
        return recall(&c->portals, body);
    default:
        return TEXT_OTHER;
    }
}

/* ---- cutting --------------------------------------------------------------------------------- */

static bool deliver(int fd, bytes *from)
{
    while (from->len > 0) {
        ssize_t sent = send(fd, from->data, from->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0)
            drop_front(from, (size_t)sent);
        else if (errno != EINTR)
            return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    return true;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* What came before the cut is delivered.  Under the lock. */
static void cut_connection(pg_proxy *p, connection *c)
{
    c->cut = true;
    (void)deliver(c->program, &c->to_program);
    (void)deliver(c->server, &c->to_server);
    (void)shutdown(c->program, SHUT_WR);
    (void)shutdown(c->server, SHUT_WR);
    p->cut = PG_CUT_NOTHING;
    p->ending++;
    p->seen.cut = true;
    p->seen.wrote = c->wrote || c->committed;
    p->seen.in_doubt = c->committed;
}

/* Counts a message; true: it is the one at which the connection is cut.  Under the lock. */
static bool is_the_one(pg_proxy *p, pg_cut cut)
{
    return p->cut == cut && --p->left == 0;
}

/* A message of the program; false: it is not to be forwarded. */
static bool take_request(pg_proxy *p, connection *c, char type, const char *body)
{
    text_kind kind = look_at_request(c, type, body);
    bool commits = kind == TEXT_COMMIT && c->wrote;

    pthread_mutex_lock(&p->lock);
    if (!c->cut) {
        p->seen.messages++;
        if (is_the_one(p, PG_CUT_AT_MESSAGE) || (commits && is_the_one(p, PG_CUT_BEFORE_COMMIT)))
            cut_connection(p, c);
    }
    if (kind == TEXT_WRITES)
        c->wrote = true;
    if (commits) {
        c->committed = true;
        p->seen.commits++;
    }
    if (c->cut) {
        p->seen.wrote |= c->wrote || c->committed;
        p->seen.in_doubt |= c->committed;
    } else if (kind == TEXT_COMMIT || kind == TEXT_ROLLBACK) {
        c->wrote = false;
    }
    bool forward = !c->cut;
    pthread_mutex_unlock(&p->lock);
    return forward;
}

/* A message of the server. */
static bool take_answer(pg_proxy *p, connection *c, char type, const char *body)
{
    /* A transaction that had failed answers COMMIT with ROLLBACK. */
    bool ended = type == 'C' && (strcmp(body, "COMMIT") == 0 || strcmp(body, "ROLLBACK") == 0);

    pthread_mutex_lock(&p->lock);
    p->seen.messages++;
    if (is_the_one(p, PG_CUT_AT_MESSAGE) ||
        (ended && c->committed && *body == 'C' && is_the_one(p, PG_CUT_AFTER_COMMIT)))
        cut_connection(p, c);
    else if (ended)
        c->committed = false;
    bool forward = !c->cut;
    pthread_mutex_unlock(&p->lock);
    return forward;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* The program's first packets: a wish for encryption is declined, a cancellation passed on. */
static size_t take_first(connection *c)
{
    bytes *b = &c->from_program;

    if (b->len < 8 || b->len < word(b->data))
        return 0;
    size_t len = word(b->data);
    uint32_t code = word(b->data + 4);
    if (code == SSL_REQUEST || code == GSS_REQUEST) {
        append(&c->to_program, "N", 1);
        return len;
    }
    append(&c->to_server, b->data, len);
    c->started = true;
    return len;
}

/* Cuts whole messages off the front. */
static void take_messages(pg_proxy *p, connection *c, bool of_program)
{
    bytes *from = of_program ? &c->from_program : &c->from_server;
    size_t used = 0;

    while (of_program && !c->started) {
        size_t len = take_first(c);
        if (len == 0)
            return;
        drop_front(from, len);
    }
    while (from->len - used >= 5) {
        const char *message = from->data + used;
        size_t len = 1 + (size_t)word(message + 1);
        if (from->len - used < len)
            break;
        bool forward = of_program ? take_request(p, c, message[0], message + 5)
                                  : take_answer(p, c, message[0], message + 5);
        if (forward)
            append(of_program ? &c->to_server : &c->to_program, message, len);
        used += len;
        if (c->cut && !of_program)
            break;
    }
    drop_front(from, used);
}

/* Reads what has arrived; false: the stream has ended. */
static bool receive(int fd, bytes *into)
{
    char part[READ_BYTES];

    for (;;) {
        ssize_t got = recv(fd, part, sizeof part, MSG_DONTWAIT);
        if (got > 0)
            append(into, part, (size_t)got);
        else if (got < 0 && errno == EINTR)
            continue;
        else
            return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

static void set_no_delay(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static void accept_connection(pg_proxy *p)
{
    const struct sockaddr_in address = loopback(p->server_port);
    int program = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);

    if (program < 0)
        return;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(server >= 0);
    pthread_mutex_lock(&p->lock);
    bool refuse = p->refuse;
    p->seen.connections++;
    pthread_mutex_unlock(&p->lock);
    if (refuse || connect(server, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(program);
        (void)close(server);
        return;
    }
    set_no_delay(program);
    set_no_delay(server);
    connection *c = calloc(1, sizeof *c);
    assert(c != NULL);
    c->program = program;
    c->server = server;
    c->next = p->connections;
    p->connections = c;
}

static void free_connection(connection *c)
{
    close_fd(&c->program);
    close_fd(&c->server);
    free(c->from_program.data);
    free(c->from_server.data);
    free(c->to_program.data);
    free(c->to_server.data);
    free(c);
}

/* The server works through what had reached it, and ends; the program ends when it likes. */
static bool serve_cut(pg_proxy *p, connection *c, bool program_is_there, bool server_is_there)
{
    c->from_server.len = 0;
    if (!program_is_there)
        close_fd(&c->program);
    if (!server_is_there && c->server >= 0) {
        close_fd(&c->server);
        pthread_mutex_lock(&p->lock);
        p->ending--;
        pthread_mutex_unlock(&p->lock);
    }
    return c->program >= 0 || c->server >= 0;
}

/* Moves what there is to move; false: the connection is over. */
static bool serve(pg_proxy *p, connection *c)
{
    bool program_is_there = c->program >= 0 && receive(c->program, &c->from_program);
    take_messages(p, c, true);
    bool server_is_there = c->server >= 0 && receive(c->server, &c->from_server);
    if (!c->cut)
        take_messages(p, c, false);
    if (c->cut)
        return serve_cut(p, c, program_is_there, server_is_there);
    server_is_there = deliver(c->server, &c->to_server) && server_is_there;
    program_is_there = deliver(c->program, &c->to_program) && program_is_there;
    return program_is_there && server_is_there;
}

static void serve_all(pg_proxy *p)
{
    pthread_mutex_lock(&p->lock);
    for (connection *c = p->connections; p->cut_all && c != NULL; c = c->next) {
        if (!c->cut)
            cut_connection(p, c);
    }
    p->cut_all = false;
    pthread_mutex_unlock(&p->lock);

    connection **link = &p->connections;
    while (*link != NULL) {
        connection *c = *link;
        if (serve(p, c)) {
            link = &c->next;
        } else {
            *link = c->next;
            free_connection(c);
        }
    }
}

static void wait_for_something(pg_proxy *p)
{
    struct pollfd wanted[2 + 2 * CONNECTIONS_MAX] = {
        {.fd = p->listener, .events = POLLIN},
        {.fd = p->wake[0],  .events = POLLIN},
    };
    nfds_t n = 2;
    char rung[64];

    for (const connection *c = p->connections; c != NULL; c = c->next) {
        assert(n + 2 <= sizeof wanted / sizeof wanted[0]);
        wanted[n++] = (struct pollfd){
            .fd = c->program, .events = (short)(POLLIN | (c->to_program.len > 0 ? POLLOUT : 0))};
        wanted[n++] = (struct pollfd){.fd = c->server, /* -1 is ignored */
            .events = (short)(POLLIN | (c->to_server.len > 0 ? POLLOUT : 0))};
    }
    (void)poll(wanted, n, -1);
    while (read(p->wake[0], rung, sizeof rung) > 0)
        continue;
    if ((wanted[0].revents & POLLIN) != 0)
        accept_connection(p);
}

static void *run(void *context)
{
    pg_proxy *p = context;
    bool stop = false;

    while (!stop) {
        wait_for_something(p);
        pthread_mutex_lock(&p->lock);
        int64_t asked = p->asked;
        pthread_mutex_unlock(&p->lock);
        serve_all(p);
        pthread_mutex_lock(&p->lock);
        p->answered = asked;
        pthread_cond_broadcast(&p->changed);
        stop = p->stop;
        pthread_mutex_unlock(&p->lock);
    }
    while (p->connections != NULL) {
        connection *c = p->connections;
        p->connections = c->next;
        free_connection(c);
    }
    return NULL;
}

/* ---- the test's side ------------------------------------------------------------------------- */

pg_proxy *pg_proxy_open(int server_port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    pg_proxy *p = calloc(1, sizeof *p);

    assert(p != NULL);
    p->server_port = server_port;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = bind(p->listener, (const struct sockaddr *)&address, len) != 0 ||
                 listen(p->listener, 64) != 0 ||
                 getsockname(p->listener, (struct sockaddr *)&address, &len) != 0 ||
                 pipe2(p->wake, O_CLOEXEC | O_NONBLOCK) != 0;
    assert(!failed);
    p->port = ntohs(address.sin_port);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    failed = pthread_create(&p->thread, NULL, run, p);
    assert(!failed);
    return p;
}

static void wake(pg_proxy *p)
{
    ssize_t written = write(p->wake[1], "", 1);
    (void)written; /* a full pipe wakes as well */
}

void pg_proxy_close(pg_proxy *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_mutex_unlock(&p->lock);
    wake(p);
    pthread_join(p->thread, NULL);
    (void)close(p->listener);
    (void)close(p->wake[0]);
    (void)close(p->wake[1]);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* Where the port stands: behind the colon of the host. */
static const char *find_port(const char *url)
{
    const char *host = strchr(url, '@');
    assert(host != NULL);
    const char *port = strchr(host, ':');
    assert(port != NULL);
    return port + 1;
}

int pg_proxy_port_of(const char *url)
{
    return atoi(find_port(url));
}

void pg_proxy_url(const pg_proxy *p, const char *url, size_t size, char *ret_url)
{
    const char *host = strchr(url, '@') + 1;
    const char *port = find_port(url);
    const char *rest = port + strspn(port, "0123456789");
    int len = snprintf(ret_url, size, "%.*s127.0.0.1:%d%s", (int)(host - url), url, p->port, rest);
    assert(len > 0 && (size_t)len < size);
    (void)len;
}

void pg_proxy_arm(pg_proxy *p, pg_cut cut, int64_t n)
{
    pthread_mutex_lock(&p->lock);
    p->cut = cut;
    p->left = n;
    p->seen = (pg_proxy_seen){0};
    pthread_mutex_unlock(&p->lock);
}

void pg_proxy_look(pg_proxy *p, pg_proxy_seen *ret_seen)
{
    pthread_mutex_lock(&p->lock);
    int64_t asked = ++p->asked;
    wake(p);
    while (p->answered < asked || p->ending > 0)
        pthread_cond_wait(&p->changed, &p->lock);
    *ret_seen = p->seen;
    pthread_mutex_unlock(&p->lock);
}

void pg_proxy_cut_all(pg_proxy *p)
{
    pthread_mutex_lock(&p->lock);
    p->cut_all = true;
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

void pg_proxy_refuse(pg_proxy *p, bool refuse)
{
    pthread_mutex_lock(&p->lock);
    p->refuse = refuse;
    pthread_mutex_unlock(&p->lock);
}
