/*
 * The test client.  It reads what has arrived into one buffer and cuts answers off its front, by
 * Content-Length or by chunks; bytes of the next answer stay in the buffer, which makes pipelining
 * work without further care.
 */
#include "support/http_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_client {
    int fd;
    int port;
    char *bytes; /* received and not yet cut off */
    size_t len, capacity;
    bool no_body; /* the answer to a HEAD request has none */
};

static void die(const char *what, int port)
{
    fprintf(stderr, "http client, port %d: %s: %s\n", port, what, strerror(errno));
    abort();
}

static int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket", port);
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        die("connect", port);
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

http_client *http_open(int port)
{
    http_client *client = calloc(1, sizeof *client);
    assert(client != NULL);
    client->fd = connect_to(port);
    client->port = port;
    return client;
}

void http_close(http_client *client)
{
    if (client == NULL)
        return;
    if (client->fd >= 0)
        close(client->fd);
    free(client->bytes);
    free(client);
}

int http_socket(const http_client *client)
{
    return client->fd;
}

bool http_send_raw(http_client *client, const void *bytes, size_t len)
{
    const char *next = bytes;
    while (len > 0) {
        ssize_t sent = send(client->fd, next, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        next += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool send_request(http_client *client, const char *method, const char *path,
    const char *token, const char *body, const char *headers)
{
    client->no_body = strcmp(method, "HEAD") == 0;
    size_t body_len = body != NULL ? strlen(body) : 0;
    char *text = NULL;
    int len;
    if (body != NULL)
        len = asprintf(&text,
            "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%s%sContent-Type: application/json\r\n"
            "Content-Length: %zu\r\n\r\n%s",
            method, path, token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
            token != NULL ? "\r\n" : "", headers != NULL ? headers : "", body_len, body);
    else
        len = asprintf(&text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%s%s\r\n", method, path,
            token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
            token != NULL ? "\r\n" : "", headers != NULL ? headers : "");
    assert(len > 0);
    bool sent = http_send_raw(client, text, (size_t)len);
    free(text);
    return sent;
}

void http_send_request(http_client *client, const char *method, const char *path, const char *token,
    const char *body, const char *headers)
{
    (void)send_request(client, method, path, token, body, headers);
}

void http_half_close(http_client *client)
{
    (void)shutdown(client->fd, SHUT_WR);
}

void http_abort(http_client *client)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(client->fd);
    client->fd = -1;
}

/* Waits for more bytes; false: the stream has ended. */
static bool receive_more(http_client *client)
{
    if (client->capacity - client->len < 65536) {
        client->capacity = client->capacity * 2 + 65536;
        client->bytes = realloc(client->bytes, client->capacity);
        assert(client->bytes != NULL);
    }
    for (;;) {
        ssize_t got =
            recv(client->fd, client->bytes + client->len, client->capacity - client->len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        client->len += (size_t)got;
        return true;
    }
}

/* Where `text` begins behind `from`, waiting for it; false: the stream ended first. */
static bool wait_for_text(http_client *client, size_t from, const char *text, size_t *ret_at)
{
    for (;;) {
        if (client->len > from) {
            const char *found =
                memmem(client->bytes + from, client->len - from, text, strlen(text));
            if (found != NULL) {
                *ret_at = (size_t)(found - client->bytes);
                return true;
            }
        }
        if (!receive_more(client))
            return false;
    }
}

static bool wait_for_len(http_client *client, size_t len)
{
    while (client->len < len) {
        if (!receive_more(client))
            return false;
    }
    return true;
}

static void cut_off(http_client *client, size_t len)
{
    assert(len <= client->len);
    memmove(client->bytes, client->bytes + len, client->len - len);
    client->len -= len;
}

/* Lines become strings, the empty line an empty string. */
static char *split_head(const char *bytes, size_t len)
{
    char *head = malloc(len + 2);
    assert(head != NULL);
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\r')
            continue;
        head[out++] = bytes[i] == '\n' ? '\0' : bytes[i];
    }
    head[out] = '\0';
    return head;
}

static bool receive_chunks(http_client *client, size_t at, http_answer *answer, size_t *ret_end)
{
    for (;;) {
        size_t line_end;
        if (!wait_for_text(client, at, "\r\n", &line_end))
            return false;
        size_t size = strtoul(client->bytes + at, NULL, 16);
        if (!wait_for_len(client, line_end + 2 + size + 2))
            return false;
        answer->body = realloc(answer->body, answer->body_len + size + 1);
        assert(answer->body != NULL);
        memcpy(answer->body + answer->body_len, client->bytes + line_end + 2, size);
        answer->body_len += size;
        answer->body[answer->body_len] = '\0';
        at = line_end + 2 + size + 2;
        if (size == 0) {
            *ret_end = at;
            return true;
        }
    }
}

static bool receive_body(http_client *client, size_t at, http_answer *answer, size_t *ret_end)
{
    const char *encoding = http_header(answer, "Transfer-Encoding");
    if (encoding != NULL && strcasecmp(encoding, "chunked") == 0)
        return receive_chunks(client, at, answer, ret_end);
    const char *length = http_header(answer, "Content-Length");
    size_t len = length != NULL && !client->no_body ? strtoul(length, NULL, 10) : 0;
    if (!wait_for_len(client, at + len))
        return false;
    answer->body = malloc(len + 1);
    assert(answer->body != NULL);
    memcpy(answer->body, client->bytes + at, len);
    answer->body[len] = '\0';
    answer->body_len = len;
    *ret_end = at + len;
    return true;
}

bool http_receive(http_client *client, http_answer *ret_answer)
{
    for (;;) {
        size_t head_end;
        if (!wait_for_text(client, 0, "\r\n\r\n", &head_end))
            return false;
        const char *line_end = memmem(client->bytes, client->len, "\r\n", 2);
        assert(line_end != NULL);
        http_answer answer = {0};
        if (strncmp(client->bytes, "HTTP/1.", 7) != 0)
            die("what came is not an HTTP answer", client->port);
        answer.status = (int)strtol(client->bytes + strlen("HTTP/1.1 "), NULL, 10);
        if (answer.status < 200) { /* 100 Continue */
            cut_off(client, head_end + 4);
            continue;
        }
        size_t line_len = (size_t)(line_end - client->bytes) + 2;
        answer.head = split_head(client->bytes + line_len, head_end + 4 - line_len);
        size_t end;
        if (!receive_body(client, head_end + 4, &answer, &end)) {
            http_answer_done(&answer);
            return false;
        }
        cut_off(client, end);
        *ret_answer = answer;
        return true;
    }
}

void http_request(http_client *client, const char *method, const char *path, const char *token,
    const char *body, const char *headers, http_answer *ret_answer)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        bool sent = send_request(client, method, path, token, body, headers);
        if (http_receive(client, ret_answer))
            return;
        /* Only a connection that ended before the request reached anyone is tried again. */
        if (client->len > 0 || (sent && attempt > 0))
            break;
        close(client->fd);
        client->fd = connect_to(client->port);
    }
    die("no answer", client->port);
}

const char *http_header(const http_answer *answer, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *line = answer->head; *line != '\0'; line += strlen(line) + 1) {
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *value = line + name_len + 1;
            return value + strspn(value, " ");
        }
    }
    return NULL;
}

bool http_body_has(const http_answer *answer, const char *text)
{
    return memmem(answer->body, answer->body_len, text, strlen(text)) != NULL;
}

void http_answer_done(http_answer *answer)
{
    free(answer->head);
    free(answer->body);
    *answer = (http_answer){0};
}
