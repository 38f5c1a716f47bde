/*
 * Opening a database for reading.
 *
 * A reader takes no lock and writes nothing, so it works beside a running server.  It has the whole
 * registry in reach: what it shows of an event is what a handler would see.
 */
#include "cli/reader.h"
#include "base/error.h"

#include <string.h>
#include <unistd.h>

/* Warnings and errors concern whoever runs a command; that the application started does not. */
static void log_quietly(void *context, int level, const char *line)
{
    (void)context;
    if (level >= LOG_WARN_)
        (void)fprintf(stderr, "%s\n", line);
}

static ku_status open_reader(
    const cli *program, const cli_options *options, cli_reader *reader, ku_error *ret_error)
{
    const ku_feature *const *features;

    ku_status status = cli_load_features(program, options, &features, ret_error);
    if (status != KU_OK)
        return status;
    const ku_app_options settings = {
        .size = sizeof(settings),
        .url = cli_database_url(options),
        .features = features,
        .readers = 1,
        .read_only = true,
        .log = log_quietly,
    };
    status = ku_app_open(&settings, &reader->app, ret_error);
    if (status != KU_OK)
        return status;
    status =
        db_open(settings.url, DB_READER, reader->app->registry.statements, &reader->d, ret_error);
    if (status == KU_OK) {
        status = db_be_patient(reader->d);
        if (status == KU_OK)
            status = db_begin(reader->d);
        if (status == KU_OK)
            return KU_OK;
        (void)error_set(ret_error, status, "%s", db_error(reader->d));
        db_close(reader->d);
    }
    ku_app_close(reader->app);
    return status;
}

bool cli_reader_open(
    const cli *program, const cli_options *options, cli_reader *ret_reader, int *ret_exit)
{
    ku_error error = {0};

    memset(ret_reader, 0, sizeof(*ret_reader));
    const ku_status status = open_reader(program, options, ret_reader, &error);
    if (status != KU_OK) {
        *ret_exit = cli_fail(program, status, "%s", error.message);
        return false;
    }
    scope_init(&ret_reader->scope);
    app_scope_begin_system(ret_reader->app, &ret_reader->scope, (ku_id){0});
    ret_reader->scope.db = ret_reader->d;
    ret_reader->no_types = event_catalog_new();
    return true;
}

void cli_reader_close(cli_reader *reader)
{
    event_catalog_free(reader->no_types);
    scope_done(&reader->scope);
    db_rollback(reader->d);
    db_close(reader->d);
    ku_app_close(reader->app);
}

ku_status cli_reader_pause(cli_reader *reader, unsigned seconds)
{
    db_rollback(reader->d);
    (void)sleep(seconds);
    const ku_status status = db_begin(reader->d);
    return status == KU_OK ? KU_OK : scope_fail(&reader->scope, status, "%s", db_error(reader->d));
}

/* ---- tenants -------------------------------------------------------------------------------- */

ku_status cli_choose_tenant(cli_reader *reader, const ku_id *named, ku_id *ret_tenant)
{
    lane_head *lanes;
    size_t count;

    if (named != NULL) {
        *ret_tenant = *named;
        return KU_OK;
    }
    const ku_status status = log_lanes(&reader->scope, (ku_id){0}, &lanes, &count);
    if (status != KU_OK)
        return status;
    if (count == 0)
        return scope_fail(&reader->scope, KU_NOT_FOUND, "there are no events yet");
    for (size_t i = 1; i < count; i++) {
        if (!ku_id_equal(lanes[i].tenant, lanes[0].tenant))
            return scope_fail(&reader->scope, KU_INVALID,
                "there are several tenants: say which one with --tenant");
    }
    *ret_tenant = lanes[0].tenant;
    return KU_OK;
}

static ku_status look_in(
    cli_reader *reader, ku_id tenant, ku_id stream, stream_state *ret_state, bool *ret_found)
{
    reader->scope.tenant = tenant;
    const ku_status status = log_stream(&reader->scope, stream, ret_state);
    *ret_found = status == KU_OK && ret_state->type.len > 0;
    return status;
}

static ku_status not_found(cli_reader *reader, ku_id stream)
{
    char text[37];

    ku_id_format(stream, text);
    return scope_fail(&reader->scope, KU_NOT_FOUND, "there is no stream %s", text);
}

ku_status cli_find_stream(
    cli_reader *reader, const ku_id *named, ku_id stream, stream_state *ret_state)
{
    stream_state state;
    lane_head *lanes;
    size_t count;
    bool found = false;
    ku_id tenant = {0};

    if (named != NULL) {
        const ku_status status = look_in(reader, *named, stream, ret_state, &found);
        return status != KU_OK || found ? status : not_found(reader, stream);
    }
    ku_status status = log_lanes(&reader->scope, (ku_id){0}, &lanes, &count);
    for (size_t i = 0; status == KU_OK && i < count; i++) {
        bool here;
        if (i > 0 && ku_id_equal(lanes[i].tenant, lanes[i - 1].tenant))
            continue; /* another lane of the same tenant */
        status = look_in(reader, lanes[i].tenant, stream, &state, &here);
        if (status != KU_OK || !here)
            continue;
        if (found)
            return scope_fail(&reader->scope, KU_INVALID,
                "several tenants have a stream of that id: say which one with --tenant");
        found = true;
        tenant = lanes[i].tenant;
        *ret_state = state;
    }
    reader->scope.tenant = tenant;
    return status != KU_OK || found ? status : not_found(reader, stream);
}

bool cli_parse_event_id(const char *text, int32_t *ret_lane, int64_t *ret_position)
{
    const char *dash = strchr(text, '-');
    char lane_text[12] = "0";
    int64_t lane, position;

    if (dash != NULL) {
        const size_t length = (size_t)(dash - text);
        if (length >= sizeof(lane_text))
            return false;
        memcpy(lane_text, text, length);
        lane_text[length] = '\0';
        text = dash + 1;
    }
    if (!cli_parse_int(lane_text, 0, INT32_MAX, &lane) ||
        !cli_parse_int(text, 0, INT64_MAX, &position))
        return false;
    *ret_lane = (int32_t)lane;
    *ret_position = position;
    return true;
}
