/*
 * The server: `showcase serve` as a process of its own, as its users start it.
 *
 * It dies with this program, whatever happens to it.
 */
#include "bench.h"

#include "base/clock.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECRET "kumiko-bench kumiko-bench kumiko-bench"

_Noreturn static void become_server(const bench *b, const char *url, int output)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    database_child_signals();
    (void)dup2(output, STDOUT_FILENO);
    (void)setenv("JWT_SECRET", SECRET, 1);
    (void)unsetenv("JWT_SECRET_CURRENT_VERSION");
    (void)execl(b->program, b->program, "serve", "--database", url, "--listen", "127.0.0.1:0",
        "--no-rate-limits", (char *)NULL);
    (void)fprintf(stderr, "kumiko-bench: %s: %s\n", b->program, strerror(errno));
    _exit(127);
}

static int read_port(int input)
{
    char text[256];
    size_t length = 0;

    while (length < sizeof text - 1 && memchr(text, '\n', length) == NULL) {
        ssize_t n = read(input, text + length, sizeof text - 1 - length);
        if (n <= 0)
            die("the server ended before it listened");
        length += (size_t)n;
    }
    text[length] = '\0';
    const char *colon = strrchr(text, ':');
    if (strstr(text, "listening on http://") == NULL || colon == NULL)
        die("the server said: %s", text);
    return (int)strtol(colon + 1, NULL, 10);
}

void child_start(const bench *b, const char *url, child *ret_child)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        die("pipe: %s", strerror(errno));
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0)
        become_server(b, url, ends[1]);
    (void)close(ends[1]);
    *ret_child = (child){.pid = pid, .port = read_port(ends[0])};
    (void)close(ends[0]);
    if (clock_getcpuclockid(pid, &ret_child->cpu) != 0)
        die("the server's CPU clock cannot be read");
}

void child_stop(child *c)
{
    int status = 0;

    (void)kill(c->pid, SIGTERM);
    if (waitpid(c->pid, &status, 0) != c->pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die("the server did not end well: wait status %d", status);
}

char *child_request(const char *path, const char *type, const char *payload)
{
    return child_request_of(&bench_user, path, type, payload);
}

char *child_request_of(const ku_user *user, const char *path, const char *type, const char *payload)
{
    arena a = {0};
    const server_key key = {.secret = KU_STR(SECRET)};
    const ku_str token =
        token_mint(&a, &key, NULL, user, clock_now(&(clock_source){0}), 24 * 60 * 60);
    char *request = NULL;

    const size_t length = strlen("{\"type\":\"\",\"payload\":}") + strlen(type) + strlen(payload);
    int made = asprintf(&request,
        "POST %s HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        "Authorization: Bearer %" KU_PRI "\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: %zu\r\n"
        "\r\n"
        "{\"type\":\"%s\",\"payload\":%s}",
        path, KU_FMT(token), length, type, payload);
    assert(made > 0);
    arena_done(&a);
    return request;
}

int child_connect(const child *c)
{
    const int on = 1;
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)c->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        die("connect: %s", strerror(errno));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void child_ask(const child *c, const char *request)
{
    static const char ok[] = "HTTP/1.1 200";
    char answer[4096] = "";
    int fd = child_connect(c);

    if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
        die("send: %s", strerror(errno));
    ssize_t n = recv(fd, answer, sizeof answer - 1, 0);
    if (n < (ssize_t)sizeof ok || memcmp(answer, ok, sizeof ok - 1) != 0)
        die("the server answered: %s", answer);
    (void)close(fd);
}
