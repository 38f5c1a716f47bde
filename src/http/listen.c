/*
 * Where the server listens.
 *
 * Without a host that is the loopback: a server that is reachable from elsewhere is something that
 * its operator asked for.  The socket may reuse an address that is still in TIME_WAIT, so that a
 * restart does not have to wait for the connections of the process before it.
 */
#include "http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_TEXT = 64, BACKLOG = 1024 };

static ku_status fail(ku_error *ret_error, ku_status status, const char *address, const char *why)
{
    ret_error->status = status;
    (void)snprintf(
        ret_error->message, sizeof ret_error->message, "cannot listen on \"%s\": %s", address, why);
    return status;
}

/* Takes the address apart; false: it is too long to be one. */
static bool split_address(const char *address, char ret_host[HOST_TEXT], const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    const char *host = address;
    size_t host_len = colon != NULL ? (size_t)(colon - address) : 0;
    *ret_port = colon != NULL ? colon + 1 : address;
    if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    }
    if (host_len >= HOST_TEXT)
        return false;
    memcpy(ret_host, host, host_len);
    ret_host[host_len] = '\0';
    if (host_len == 0)
        (void)snprintf(ret_host, HOST_TEXT, "127.0.0.1");
    return true;
}

static int open_socket(const struct addrinfo *where)
{
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    const int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return -1;
}

static void write_address(int fd, char ret_address[ADDRESS_TEXT])
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char host[HOST_TEXT] = "", port[16] = "";
    (void)getsockname(fd, (struct sockaddr *)&bound, &len);
    (void)getnameinfo((const struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port,
        NI_NUMERICHOST | NI_NUMERICSERV);
    if (bound.ss_family == AF_INET6)
        (void)snprintf(ret_address, ADDRESS_TEXT, "[%s]:%s", host, port);
    else
        (void)snprintf(ret_address, ADDRESS_TEXT, "%s:%s", host, port);
}

ku_status listen_open(
    const char *address, int *ret_fd, char ret_address[ADDRESS_TEXT], ku_error *ret_error)
{
    char host[HOST_TEXT];
    const char *port;
    if (!split_address(address, host, &port))
        return fail(ret_error, KU_INVALID, address, "that is no address");
    const size_t port_len = strlen(port);
    if (port_len == 0 || port_len > 5 || strspn(port, "0123456789") != port_len ||
        atoi(port) > UINT16_MAX)
        return fail(ret_error, KU_INVALID, address, "an address ends in a port number");
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    int problem = getaddrinfo(host, port, &hints, &found);
    if (problem != 0)
        return fail(ret_error, KU_INVALID, address, gai_strerror(problem));
    int fd = open_socket(found);
    const int open_errno = errno;
    freeaddrinfo(found);
    if (fd < 0)
        return fail(ret_error, KU_UNAVAILABLE, address, strerror(open_errno));
    write_address(fd, ret_address);
    *ret_fd = fd;
    return KU_OK;
}
