/*
 * A small blocking HTTP/1.1 client for tests: keep-alive, pipelining, and raw bytes for what no
 * decent client would send.
 *
 *     http_client *client = http_open(port);
 *     http_answer answer;
 *     http_request(client, "POST", "/api/write", token, body, NULL, &answer);
 *     assert_int_equal(answer.status, 200);
 *     http_answer_done(&answer);
 *     http_close(client);
 *
 * What goes wrong on the way (no connection, a broken answer) fails the process with a sentence: it
 * is never what a test is about.  One client belongs to one thread.
 */
#ifndef TEST_SUPPORT_HTTP_CLIENT_H
#define TEST_SUPPORT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct http_client http_client;

typedef struct http_answer {
    int status;
    char *head; /* lines behind the status line, each ended by a NUL; an empty one ends them */
    char *body; /* NUL-terminated behind body_len bytes; never NULL */
    size_t body_len;
} http_answer;

/* Connects to 127.0.0.1. */
http_client *http_open(int port);
void http_close(http_client *client);
int http_socket(const http_client *client);

/*
 * One request, one answer.  `token`: sent as bearer, NULL: none.  `body`: NULL: none; `headers`:
 * further header lines, each ended by CRLF, or NULL.  Connects again if the server has closed an
 * idle connection.
 */
void http_request(http_client *client, const char *method, const char *path, const char *token,
    const char *body, const char *headers, http_answer *ret_answer);

/* The halves: several may be sent before the first answer is read. */
void http_send_request(http_client *client, const char *method, const char *path, const char *token,
    const char *body, const char *headers);
/* Reads one answer; false: the server closed the connection instead. */
bool http_receive(http_client *client, http_answer *ret_answer);
/* Any bytes.  False: the server has closed the connection. */
bool http_send_raw(http_client *client, const void *bytes, size_t len);
/* No more will be sent: the server sees the end of the stream, answers still arrive. */
void http_half_close(http_client *client);
/* Vanishes as a crashed client does: a reset, not an orderly end.  Still needs http_close. */
void http_abort(http_client *client);

/* A header's value, whatever the case of its name; NULL: it is not there. */
const char *http_header(const http_answer *answer, const char *name);
/* Does the body contain this text? */
bool http_body_has(const http_answer *answer, const char *text);
void http_answer_done(http_answer *answer);

#endif
