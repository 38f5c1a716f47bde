/*
 * Log lines: one JSON object per line, written whole, from any thread.
 *
 * The library logs only at its top (server, writer, dispatcher), never below; what is below returns
 * a status.
 */
#ifndef KU_BASE_LOG_H
#define KU_BASE_LOG_H

#include "kumiko/value.h"

typedef enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ } log_level;

typedef struct log_sink {
    void (*write)(void *context, int level, const char *line); /* NULL: stderr */
    void *context;
    log_level least;
} log_sink;

/* A message and, formatted behind it, its facts as ready JSON members (may be NULL): `"a":1,"b":2`.
 */
void log_line(const log_sink *sink, log_level level, const char *message, const char *facts, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with a code and a cause that may hold anything. */
void log_cause(const log_sink *sink, log_level level, const char *message, const char *code,
    const char *cause);

#endif
