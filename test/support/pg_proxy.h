/*
 * A network between a program and its PostgreSQL that fails where a test wants it to.
 *
 * A thread forwards whole protocol messages, in either direction, and counts them.  Once it is
 * armed it cuts one connection at a chosen message: from then on neither side hears of the other
 * again, and the program sees its connection end.  Then it is not armed any more, and new
 * connections work.
 *
 *     pg_proxy *p = pg_proxy_open(port);
 *     pg_proxy_url(p, url, sizeof through, through);
 *     pg_proxy_arm(p, PG_CUT_AT_MESSAGE, 7);
 *     …
 *     pg_proxy_look(p, &seen);           seen.cut: it was reached; seen.in_doubt: see there
 *     pg_proxy_close(p);
 */
#ifndef TEST_SUPPORT_PG_PROXY_H
#define TEST_SUPPORT_PG_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pg_proxy pg_proxy;

typedef enum pg_cut {
    PG_CUT_NOTHING,
    PG_CUT_AT_MESSAGE,    /* the n-th message from now on, either way, is not delivered any more */
    PG_CUT_BEFORE_COMMIT, /* the n-th COMMIT of a transaction that wrote does not reach the server
                           */
    PG_CUT_AFTER_COMMIT,  /* it does, and is carried out; the answer does not reach the program */
} pg_cut;

/* What has happened since it was armed. */
typedef struct pg_proxy_seen {
    int64_t messages; /* that came to the proxy, both ways, of all connections */
    int64_t commits;  /* of transactions that wrote, which the program sent */
    int64_t connections;
    bool cut;
    bool wrote;    /* the connection that was cut: its transaction had sent something that writes */
    bool in_doubt; /* it sent the COMMIT, maybe after it was cut, and heard no answer */
} pg_proxy_seen;

/* Between programs and the server on 127.0.0.1:`server_port`.  Aborts if it cannot. */
pg_proxy *pg_proxy_open(int server_port);
void pg_proxy_close(pg_proxy *p);
/* `url` (postgresql://USER@HOST:PORT/…) with the proxy's host and port. */
void pg_proxy_url(const pg_proxy *p, const char *url, size_t size, char *ret_url);
/* The port in such a URL. */
int pg_proxy_port_of(const char *url);

/* Counts from zero again.  `n` is at least 1. */
void pg_proxy_arm(pg_proxy *p, pg_cut cut, int64_t n);
/*
 * What was seen so far, of all that has been sent when this is called.  The server has worked
 * through everything that reached it on connections that were cut.
 */
void pg_proxy_look(pg_proxy *p, pg_proxy_seen *ret_seen);
/* Cuts every connection there is. */
void pg_proxy_cut_all(pg_proxy *p);
/* While set, new connections are accepted and closed at once: the server is away. */
void pg_proxy_refuse(pg_proxy *p, bool refuse);

#endif
