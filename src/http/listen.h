/*
 * The listening socket.
 */
#ifndef KU_HTTP_LISTEN_H
#define KU_HTTP_LISTEN_H

#include "kumiko/status.h"

/*
 * Binds and listens at `host:port`, `[::1]:port`, `:port` or `port`; without a host on 127.0.0.1,
 * with port 0 on a free one.  *ret_address (of ADDRESS_TEXT bytes) is where it really listens.
 * KU_INVALID: no such address; KU_UNAVAILABLE: it is taken, or the machine says no.
 */
enum { ADDRESS_TEXT = 96 };
ku_status listen_open(
    const char *address, int *ret_fd, char ret_address[ADDRESS_TEXT], ku_error *ret_error);

#endif
