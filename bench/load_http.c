/*
 * The load generator: one thread, one epoll, keep-alive connections that each have one request
 * under way.
 *
 * It shares the machine with the server, so it does as little as it can: requests are made before
 * the clock starts (only an id is patched in), an answer is looked at for its status, its length
 * and, where a step needs it, its id.  The first tenth of the time warms up and is not counted.
 */
#include "bench.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ID_LENGTH = 36, ANSWER_HEAD = 4096, EVENTS_PER_WAIT = 128 };

typedef struct step_text {
    char *text; /* the connection's own copy */
    size_t length;
    size_t id_at;
} step_text;

typedef struct connection {
    int fd;
    size_t step; /* 0: the first request, n: steps[n - 1] */
    step_text *steps;
    uint64_t sent_at;
    size_t received; /* of this answer */
    size_t expected; /* 0: its head is not there yet */
    char head[ANSWER_HEAD];
} connection;

typedef struct generator {
    const load_plan *plan;
    size_t *first_lengths;
    size_t next_first;
    int epoll;
    int in_flight;
    bool stopping;
    histogram latencies;
} generator;

static void send_next(generator *g, connection *c)
{
    const char *text;
    size_t length;

    if (c->step == 0) {
        text = g->plan->first[g->next_first];
        length = g->first_lengths[g->next_first];
        g->next_first = g->next_first + 1 < g->plan->n_first ? g->next_first + 1 : 0;
    } else {
        text = c->steps[c->step - 1].text;
        length = c->steps[c->step - 1].length;
    }
    c->received = 0;
    c->expected = 0;
    c->sent_at = now_ns();
    if (send(c->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length)
        die("send: %s", strerror(errno));
    g->in_flight++;
}

/* Head and body together; 0: not known yet. */
static size_t length_of_answer(const connection *c)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *end = memmem(c->head, c->received, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    const size_t head_length = (size_t)(end - c->head) + 4;
    const char *found = memmem(c->head, head_length, name, sizeof name - 1);
    if (found == NULL || memcmp(c->head, "HTTP/1.1 200", 12) != 0)
        die("the server answered: %.*s", (int)c->received, c->head);
    return head_length + strtoul(found + sizeof name - 1, NULL, 10);
}

/* Puts the id of what was just created into the requests that follow. */
static void patch_steps(const generator *g, connection *c)
{
    static const char before[] = "\"id\":\"";
    const size_t kept = c->received < ANSWER_HEAD ? c->received : ANSWER_HEAD;
    const char *found = memmem(c->head, kept, before, sizeof before - 1);

    if (found == NULL || found + sizeof before - 1 + ID_LENGTH > c->head + kept)
        die("there is no id in: %.*s", (int)kept, c->head);
    for (size_t i = 0; i < g->plan->n_steps; i++)
        memcpy(c->steps[i].text + c->steps[i].id_at, found + sizeof before - 1, ID_LENGTH);
}

static void finish_answer(generator *g, connection *c)
{
    histogram_add(&g->latencies, now_ns() - c->sent_at);
    g->in_flight--;
    if (c->step == 0 && g->plan->n_steps > 0)
        patch_steps(g, c);
    c->step = c->step < g->plan->n_steps ? c->step + 1 : 0;
    if (!g->stopping)
        send_next(g, c);
}

static void receive(generator *g, connection *c)
{
    static char dropped[1 << 16];
    const bool room = c->received < ANSWER_HEAD;
    char *into = room ? c->head + c->received : dropped;
    const size_t size = room ? ANSWER_HEAD - c->received : sizeof dropped;

    ssize_t n = recv(c->fd, into, size, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the server closed a connection");
    c->received += (size_t)n;
    if (c->expected == 0)
        c->expected = length_of_answer(c);
    if (c->expected != 0 && c->received >= c->expected) {
        assert(c->received == c->expected);
        finish_answer(g, c);
    }
}

static void serve_events(generator *g)
{
    struct epoll_event events[EVENTS_PER_WAIT];

    int n = epoll_wait(g->epoll, events, EVENTS_PER_WAIT, 5000);
    if (n == 0)
        die("no answer for five seconds");
    for (int i = 0; i < n; i++)
        receive(g, events[i].data.ptr);
}

static void open_connection(generator *g, const child *server, connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    c->fd = child_connect(server);
    if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
    c->steps = calloc(g->plan->n_steps + 1, sizeof *c->steps);
    assert(c->steps != NULL);
    for (size_t i = 0; i < g->plan->n_steps; i++) {
        const char *place = strstr(g->plan->steps[i], ID_PLACE);
        assert(place != NULL);
        c->steps[i].text = strdup(g->plan->steps[i]);
        assert(c->steps[i].text != NULL);
        c->steps[i].length = strlen(g->plan->steps[i]);
        c->steps[i].id_at = (size_t)(place - g->plan->steps[i]);
    }
}

static void close_connection(const generator *g, connection *c)
{
    (void)close(c->fd);
    for (size_t i = 0; i < g->plan->n_steps; i++)
        free(c->steps[i].text);
    free(c->steps);
}

static void measure(const bench *b, const child *c, generator *g, load_outcome *ret_outcome)
{
    const uint64_t warm_until = now_ns() + (uint64_t)(b->seconds * 1e8);
    while (now_ns() < warm_until)
        serve_events(g);
    memset(&g->latencies, 0, sizeof g->latencies);

    const uint64_t start = now_ns(), cpu = cpu_ns(c->cpu);
    const uint64_t until = start + (uint64_t)(b->seconds * 1e9);
    while (now_ns() < until)
        serve_events(g);
    const double count = (double)g->latencies.count;
    if (g->latencies.count == 0)
        die("no request was answered in time");
    ret_outcome->per_second = count / seconds_since(start);
    ret_outcome->cpu_us = (double)(cpu_ns(c->cpu) - cpu) / 1e3 / count;
    ret_outcome->latencies = g->latencies;

    g->stopping = true;
    while (g->in_flight > 0)
        serve_events(g);
}

void load_run(const bench *b, const child *c, const load_plan *plan, int connections,
    load_outcome *ret_outcome)
{
    generator *g = calloc(1, sizeof *g);
    connection *all = calloc((size_t)connections, sizeof *all);
    assert(g != NULL && all != NULL);
    g->plan = plan;
    g->epoll = epoll_create1(EPOLL_CLOEXEC);
    g->first_lengths = calloc(plan->n_first, sizeof *g->first_lengths);
    assert(g->epoll >= 0 && g->first_lengths != NULL);
    for (size_t i = 0; i < plan->n_first; i++)
        g->first_lengths[i] = strlen(plan->first[i]);

    for (int i = 0; i < connections; i++)
        open_connection(g, c, &all[i]);
    for (int i = 0; i < connections; i++)
        send_next(g, &all[i]);
    measure(b, c, g, ret_outcome);
    for (int i = 0; i < connections; i++)
        close_connection(g, &all[i]);
    (void)close(g->epoll);
    free(g->first_lengths);
    free(all);
    free(g);
}
