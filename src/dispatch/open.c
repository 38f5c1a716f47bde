/*
 * ku_app_open and its siblings: the application together with its dispatcher.
 */
#include "app/state.h"
#include "base/error.h"
#include "dispatch/dispatcher.h"

#include <stddef.h>

static bool wants_dispatcher(const ku_app_options *options)
{
    size_t end = offsetof(ku_app_options, dispatcher) + sizeof(options->dispatcher);

    return (options->size == 0 || options->size >= end) && options->dispatcher;
}

ku_status ku_app_open(const ku_app_options *options, ku_app **ret_app, ku_error *ret_error)
{
    ku_app *app = NULL;
    ku_status status = app_open(options, &app, ret_error);

    if (status != KU_OK)
        return status;
    if (!app->read_only)
        status = dispatcher_open(app, wants_dispatcher(options), &app->dispatcher, ret_error);
    if (status != KU_OK) {
        app_close(app);
        return status;
    }
    *ret_app = app;
    return KU_OK;
}

void ku_app_close(ku_app *app)
{
    if (app == NULL)
        return;
    dispatcher_close(app->dispatcher);
    app->dispatcher = NULL;
    app_close(app);
}

ku_status ku_dispatch_once(ku_app *app, ku_dispatch_result *ret_result, ku_error *ret_error)
{
    if (app->dispatcher == NULL || dispatcher_in_background(app->dispatcher)) {
        return error_set(ret_error, KU_REFUSED, "%s",
            app->dispatcher == NULL ? "this process only reads"
                                    : "the dispatcher runs in the background already");
    }
    return dispatcher_run_once(app->dispatcher, ret_result, ret_error);
}
