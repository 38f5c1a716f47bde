/*
 * A PostgreSQL of the test's own, which it may kill.
 *
 * The server is Debian's with default durability, started by tools/test-postgres in a folder of its
 * own on a free port of the loopback.  Killed and started again it is on the same port with the
 * same data.
 */
#ifndef TEST_SUPPORT_PG_SERVER_H
#define TEST_SUPPORT_PG_SERVER_H

typedef struct pg_server pg_server;

/* Starts one; prints why and aborts if it cannot. */
pg_server *pg_server_open(void);
/* Stops it and removes its files. */
void pg_server_close(pg_server *s);
const char *pg_server_url(const pg_server *s);
/* SIGKILL for the postmaster and every process of its; returns when they are gone. */
void pg_server_kill(pg_server *s);
/* Starts it again after that; returns when it answers. */
void pg_server_start(pg_server *s);
/* One statement. */
void pg_server_run(pg_server *s, const char *sql);
/* Transactions there are read-only unless they say otherwise: what a standby looks like. */
void pg_server_make_read_only(pg_server *s);

#endif
