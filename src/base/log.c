/*
 * Log lines.
 *
 * A line is built in memory and written with one call, so that lines of several threads do not mix.
 * What cannot be written is lost: there is nowhere else to say so.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/json.h"

#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static void write_to_stderr(ku_str line)
{
    while (line.len > 0) {
        ssize_t written = write(STDERR_FILENO, line.ptr, line.len);
        if (written <= 0)
            return;
        line = (ku_str){line.ptr + written, line.len - (size_t)written};
    }
}

void log_line(const log_sink *sink, log_level level, const char *message, const char *facts, ...)
{
    static const log_sink standard = {.least = LOG_INFO_};
    if (sink == NULL)
        sink = &standard;
    if (level < sink->least)
        return;

    arena memory = {0};
    buffer line = {.arena = &memory};
    buffer_add_text(&line, "{\"time\":");
    json_put_time(&line, clock_now(NULL));
    buffer_add_text(&line, ",\"level\":");
    json_put_text(&line, ku_str_from(level_names[level]));
    buffer_add_text(&line, ",\"message\":");
    json_put_text(&line, ku_str_from(message));
    if (facts != NULL) {
        va_list args;
        va_start(args, facts);
        ku_str members = arena_vformat(&memory, facts, args);
        va_end(args);
        if (members.len > 0)
            buffer_add_char(&line, ',');
        buffer_add_str(&line, members);
    }
    buffer_add_char(&line, '}');
    if (sink->write != NULL) {
        sink->write(sink->context, (int)level, buffer_str(&line).ptr);
    } else {
        buffer_add_char(&line, '\n');
        write_to_stderr(buffer_str(&line));
    }
    arena_done(&memory);
}

void log_cause(
    const log_sink *sink, log_level level, const char *message, const char *code, const char *cause)
{
    arena memory = {0};
    buffer quoted = {.arena = &memory};

    json_put_text(&quoted, ku_str_from(cause));
    log_line(sink, level, message, "\"code\":\"%s\",\"cause\":%s", code, buffer_str(&quoted).ptr);
    arena_done(&memory);
}
