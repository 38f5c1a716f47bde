/*
 * serve: the features over HTTP until a signal.
 *
 * Once requests can be sent, one line goes to stdout: `listening on http://ADDRESS`.  Whoever
 * starts the server waits for that line and learns the port from it.  SIGTERM and SIGINT drain: no
 * new requests, running ones are answered, and the process exits with 0.
 */
#include "base/limits.h"
#include "cli/secrets.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_LISTEN = 'l',
    OPTION_TRUST_PROXY = 256,
    OPTION_RATE_LIMIT,
    OPTION_NO_RATE_LIMITS,
    OPTION_READERS,
    OPTION_WRITERS,
    OPTION_ORIGIN,
    OPTION_DEVELOPMENT,
};

enum { LIST_MAX = 64, READERS_MAX = 64, RATE_LIMIT_MAX = 100000000 };

typedef struct serve_options {
    cli_options common;
    const char *listen;
    const char *origins[LIST_MAX + 1];
    size_t n_origins;
    int64_t rate_limit, readers, writers;
    bool trust_proxy, no_rate_limits, development;
} serve_options;

static const struct argp_option options[] = {
    {"listen",                                                                            OPTION_LISTEN, "ADDRESS", 0,
     "Where to listen (default: KUMIKO_LISTEN, else 127.0.0.1:8080); port 0: a free one", 0},
    {"trust-proxy",                                                                          OPTION_TRUST_PROXY, NULL, 0,
     "Take the client's address from X-Forwarded-For: only behind a proxy that sets it", 0},
    {"rate-limit-per-address", OPTION_RATE_LIMIT, "N", 0,
     "Let each address make N requests a minute (default: no such limit)", 0},
    {"no-rate-limits",                                                                                   OPTION_NO_RATE_LIMITS, NULL, 0,
     "Ignore the rate limits of handlers, too: for load tests", 0},
    {"readers",OPTION_READERS, "N", 0, "Threads that answer queries (default: 2)", 0},
    {"writers",                                                                                  OPTION_WRITERS, "N", 0,
     "Connections that write, PostgreSQL only: SQLite has one (default: 2)", 0},
    {"origin",                                                                                  OPTION_ORIGIN, "ORIGIN", 0,
     "Let pages of this origin write with a cookie; may be repeated (default: not checked)", 0},
    {"development",                                                            OPTION_DEVELOPMENT, NULL, 0,
     "Without JWT_SECRET, use a secret that everybody knows", 0},
    {0                                                                               },
};

static const char about[] =
    "Serve the features over HTTP until SIGTERM or SIGINT."
    "\v"
    "Environment:\n"
    "  KUMIKO_DATABASE_URL         as --database\n"
    "  KUMIKO_LISTEN               as --listen\n"
    "  JWT_SECRET                  the secret of tokens, at least 32 bytes\n"
    "  JWT_SECRET_V1, JWT_SECRET_V2 …, JWT_SECRET_CURRENT_VERSION\n"
    "                              several secrets; the number of the signing one\n"
    "  KUMIKO_DISABLED_FEATURES    names, with commas between, that answer 403\n"
    "  KUMIKO_DOCS_URL             where docsUrl in errors points\n"
    "  KUMIKO_ENV, NODE_ENV        production: hide causes of internal errors\n"
    "  BUILD_VERSION, BUILD_TIME   what GET /version says\n"
    "\n"
    "Prints `listening on http://ADDRESS` when it is ready. TLS is a proxy's job.";

static int64_t number(
    struct argp_state *state, const char *option, const char *text, int64_t min, int64_t max)
{
    int64_t value = 0;

    if (!cli_parse_int(text, min, max, &value))
        argp_error(state, "--%s: `%s` is not a number from %lld to %lld", option, text,
            (long long)min, (long long)max);
    return value;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    serve_options *serve = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 2, &serve->common);
        return 0;
    case OPTION_LISTEN:
        serve->listen = argument;
        return 0;
    case OPTION_TRUST_PROXY:
        serve->trust_proxy = true;
        return 0;
    case OPTION_RATE_LIMIT:
        serve->rate_limit = number(state, "rate-limit-per-address", argument, 1, RATE_LIMIT_MAX);
        return 0;
    case OPTION_NO_RATE_LIMITS:
        serve->no_rate_limits = true;
        return 0;
    case OPTION_READERS:
        serve->readers = number(state, "readers", argument, 1, READERS_MAX);
        return 0;
    case OPTION_WRITERS:
        serve->writers = number(state, "writers", argument, 1, LIMIT_WRITERS);
        return 0;
    case OPTION_ORIGIN:
        if (serve->n_origins == LIST_MAX)
            argp_error(state, "at most %d origins", LIST_MAX);
        serve->origins[serve->n_origins++] = argument;
        return 0;
    case OPTION_DEVELOPMENT:
        serve->development = true;
        return 0;
    case ARGP_KEY_END:
        if (serve->no_rate_limits && serve->rate_limit > 0)
            argp_error(state, "--no-rate-limits and --rate-limit-per-address contradict");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- signals -------------------------------------------------------------------------------- */

static _Atomic(server *) running; /* what a signal stops; NULL while there is none */
static atomic_bool stop_requested;

static void on_signal(int signal_number)
{
    const int saved_errno = errno;
    server *s = atomic_load(&running);

    (void)signal_number;
    atomic_store(&stop_requested, true);
    if (s != NULL)
        server_stop(s);
    errno = saved_errno;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN; /* a client that left is an error of its connection only */
    (void)sigaction(SIGPIPE, &action, NULL);
}

/* ---- running -------------------------------------------------------------------------------- */

/* Splits at commas, in place; NULL-terminated. */
static void split(char *text, const char *ret_items[static LIST_MAX + 1])
{
    size_t count = 0;
    char *rest = NULL;

    for (char *item = strtok_r(text, ", ", &rest); item != NULL && count < LIST_MAX;
         item = strtok_r(NULL, ", ", &rest))
        ret_items[count++] = item;
    ret_items[count] = NULL;
}

static int run_server(const cli *program, ku_app *app, const server_options *server_settings)
{
    ku_error error = {0};
    server *s;

    ku_status status = server_open(app, server_settings, &s, &error);
    if (status != KU_OK)
        return cli_fail(program, status, "%s", error.message);

    (void)printf("listening on http://%s\n", server_address(s));
    (void)fflush(stdout);
    atomic_store(&running, s);
    if (atomic_load(&stop_requested)) /* the signal came before there was something to stop */
        server_stop(s);
    status = server_run(s);
    atomic_store(&running, NULL);
    server_close(s);
    return status == KU_OK ? 0 : cli_fail(program, status, "the server failed");
}

static int serve_features(const cli *program, const serve_options *serve,
    const cli_secrets *secrets, const ku_feature *const *features)
{
    const char *disabled_text = cli_environment("KUMIKO_DISABLED_FEATURES");
    const char *docs_url = cli_environment("KUMIKO_DOCS_URL");
    const char *kind = cli_environment_kind();
    const char *listen = serve->listen;
    const char *disabled[LIST_MAX + 1] = {NULL};
    ku_error error = {0};
    ku_app *app;

    char *disabled_copy = strdup(disabled_text != NULL ? disabled_text : "");
    if (disabled_copy == NULL)
        return cli_fail(program, KU_UNAVAILABLE, "out of memory");
    split(disabled_copy, disabled);
    if (listen == NULL)
        listen = cli_environment("KUMIKO_LISTEN");

    const ku_app_options app_settings = {
        .size = sizeof(app_settings),
        .url = cli_database_url(&serve->common),
        .features = features,
        .readers = (int)serve->readers,
        .writers = (int)serve->writers,
        .dispatcher = true,
        .disabled_features = disabled,
        .docs_url = docs_url != NULL ? docs_url : "",
        .production = strcmp(kind, "production") == 0,
        .without_rate_limits = serve->no_rate_limits,
    };
    const server_options server_settings = {
        .size = sizeof(server_settings),
        .listen = listen != NULL ? listen : "127.0.0.1:8080",
        .keys = secrets->keys,
        .n_keys = secrets->n_keys,
        .origins = serve->n_origins > 0 ? serve->origins : NULL,
        .rate_limit_per_address = (int)serve->rate_limit,
        .trust_proxy = serve->trust_proxy,
        .version = cli_environment("BUILD_VERSION"),
        .build_time = cli_environment("BUILD_TIME"),
        .environment = kind,
    };
    const ku_status status = ku_app_open(&app_settings, &app, &error);
    if (status != KU_OK) {
        free(disabled_copy);
        return cli_fail(program, status, "%s", error.message);
    }
    const int code = run_server(program, app, &server_settings);
    ku_app_close(app);
    free(disabled_copy);
    return code;
}

int cmd_serve(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_database, 0, NULL, 0},
        {&cli_argp_features,              0, NULL, 0},
        {0                 }
    };
    static const struct argp argp = {options, parse, NULL, about, children, cli_help_filter, NULL};
    serve_options serve = {0};
    cli_secrets secrets;
    const ku_feature *const *features;
    ku_error error = {0};

    cli_parse(program, &argp, argc, argv, &serve);
    ku_status status = cli_secrets_read(serve.development, &secrets, &error);
    if (status == KU_OK)
        status = cli_load_features(program, &serve.common, &features, &error);
    if (status != KU_OK)
        return cli_fail(program, status, "%s", error.message);
    if (*features == NULL)
        return cli_fail(program, KU_INVALID,
            "there are no features to serve: name a shared object with --feature");
    if (secrets.development)
        (void)fprintf(stderr,
            "%s %s: tokens are signed with the development secret, which everybody knows\n",
            program->program, program->command);

    catch_signals();
    return serve_features(program, &serve, &secrets, features);
}
