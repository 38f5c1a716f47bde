/*
 * The program as such: help, usage errors, exit codes, features from shared objects, secrets.
 */
#include "cli/run.h"

#include "kumiko/app.h"
#include "support/database.h"
#include "support/http_token.h"
#include "support/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

static const char *const commands[] = {"serve", "token", "describe", "events", "inspect",
    "consumers", "projections", "tenants", "schema", "check"};

/* ---- fixture: a folder ---------------------------------------------------------------------- */

static int open_folder(void **state)
{
    *state = folder_new();
    return 0;
}

static int close_folder(void **state)
{
    folder_remove(*state);
    return 0;
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, open_folder, close_folder)

/* ---- help and usage ------------------------------------------------------------------------- */

static void every_command_explains_itself(void **state)
{
    for (size_t i = 0; i < KU_COUNT(commands); i++) {
        ran r = RUN(*state, NULL, "kumiko", commands[i], "--help");
        char usage[64];
        (void)snprintf(usage, sizeof(usage), "Usage: kumiko %s", commands[i]);
        ASSERT_CODE(&r, 0);
        ASSERT_SAYS(&r, usage);
        ran_done(&r);

        r = RUN(*state, NULL, "kumiko", "help", commands[i]);
        ASSERT_CODE(&r, 0);
        ASSERT_SAYS(&r, usage);
        ran_done(&r);
    }
}

static void help_lists_every_command(void **state)
{
    static const char *const forms[] = {"--help", "-?", "-h", "help"};

    for (size_t f = 0; f < KU_COUNT(forms); f++) {
        ran r = RUN(*state, NULL, "kumiko", forms[f]);
        ASSERT_CODE(&r, 0);
        for (size_t i = 0; i < KU_COUNT(commands); i++)
            ASSERT_SAYS(&r, commands[i]);
        ASSERT_SAYS(&r, "Exit codes:");
        ran_done(&r);
    }
}

static void no_command_is_a_usage_error_with_the_help(void **state)
{
    ran r = RUN(*state, NULL, "kumiko");

    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "Usage: kumiko COMMAND");
    ran_done(&r);
}

static void an_unknown_command_is_named(void **state)
{
    ran r = RUN(*state, NULL, "kumiko", "frobnicate");

    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "unknown command `frobnicate`");
    ran_done(&r);
}

static void unknown_options_and_arguments_are_usage_errors(void **state)
{
    for (size_t i = 0; i < KU_COUNT(commands); i++) {
        ran r = RUN(*state, NULL, "kumiko", commands[i], "--frobnicate");
        ASSERT_CODE(&r, 2);
        ASSERT_SAYS(&r, "--frobnicate");
        ran_done(&r);

        r = RUN(*state, NULL, "kumiko", commands[i], "one", "two", "three");
        ASSERT_CODE(&r, 2);
        ran_done(&r);
    }
    ran r = RUN(*state, NULL, "kumiko", "--frobnicate");
    ASSERT_CODE(&r, 2);
    ran_done(&r);
}

static void wrong_values_are_usage_errors(void **state)
{
    static const char *const wrong[][4] = {
        {"serve",   "--readers",                "none",       NULL},
        {"serve",   "--writers",                "65",         NULL},
        {"serve",   "--rate-limit-per-address", "0",          NULL},
        {"token",   "--tenant",                 "acme",       NULL},
        {"token",   "--expires",                "soon",       NULL},
        {"token",   "--expires",                "99999999d",  NULL},
        {"events",  "--limit",                  "0",          NULL},
        {"events",  "--after",                  "first",      NULL},
        {"events",  "--stream",                 "x",          NULL},
        {"events",  "show",                     NULL,         NULL},
        {"events",  "show",                     "x-y",        NULL},
        {"inspect", "invoice",                  NULL,         NULL},
        {"inspect", "invoice",                  "not-a-uuid", NULL},
    };

    for (size_t i = 0; i < KU_COUNT(wrong); i++) {
        ran r = RUN(*state, NULL, "kumiko", wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3]);
        ASSERT_CODE(&r, 2);
        ASSERT_SAYS(&r, "--help");
        ran_done(&r);
    }
}

static void the_version_names_the_abi(void **state)
{
    ran r = RUN(*state, NULL, "kumiko", "--version");

    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, ku_version());
    ASSERT_SAYS(&r, "ABI 1");
    ran_done(&r);
}

static void output_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int full = open("/dev/full", O_WRONLY);
        if (full < 0 || dup2(full, STDOUT_FILENO) < 0)
            _exit(99);
        (void)execl(TEST_BIN_DIR "/kumiko", "kumiko", "--version", (char *)NULL);
        _exit(99);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 74);
}

/* ---- features from shared objects ----------------------------------------------------------- */

static void a_feature_of_another_abi_is_refused_by_name(void **state)
{
    ran r = RUN(*state, NULL, "kumiko", "serve", "--feature", object_path("wrong_abi.so"));

    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "wrong_abi.so was built for ABI 99");
    ASSERT_SAYS(&r, "this program has ABI 1");
    ran_done(&r);
}

static void what_is_no_feature_is_refused_by_name(void **state)
{
    ran r = RUN(*state, NULL, "kumiko", "describe", "-f", object_path("no_feature.so"));
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "no_feature.so is no feature");
    ran_done(&r);

    r = RUN(*state, NULL, "kumiko", "describe", "-f", "missing.so");
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "missing.so");
    ran_done(&r);
}

static void a_name_without_a_slash_is_a_file_here(void **state)
{
    char link_path[4096];

    (void)snprintf(link_path, sizeof(link_path), "%s/here.so", (const char *)*state);
    assert_int_equal(symlink(object_path("invoicing.so"), link_path), 0);
    ran r = RUN(*state, NULL, "kumiko", "describe", "--feature", "here.so");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "feature showcase");
    ran_done(&r);
}

static void a_feature_that_contradicts_itself_is_refused_with_every_problem(void **state)
{
    ran r = RUN(*state, NULL, "kumiko", "serve", "--feature", object_path("contradiction.so"));

    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "contradiction:event:thing-happened");
    ASSERT_SAYS(&r, "no migration from version 2 to 3");
    ASSERT_SAYS(&r, "contradiction:write:thing:do");
    ran_done(&r);
}

static void serving_nothing_is_refused(void **state)
{
    ran r = RUN(*state, NULL, "kumiko", "serve");

    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "--feature");
    ran_done(&r);
}

static void features_add_up(void **state)
{
    arena a = {0};
    char fault[4096];

    (void)snprintf(fault, sizeof(fault), "%s", object_path("fault.so"));
    ran r = RUN(*state, NULL, "kumiko", "describe", "--json", "--feature", fault, "--feature",
        object_path("invoicing.so"));
    ASSERT_CODE(&r, 0);
    const ku_json *json = ran_json(&r, &a);
    (void)item_with(node_at(json, "features"), "name", "fault");
    (void)item_with(node_at(json, "features"), "name", "showcase");
    ran_done(&r);
    arena_done(&a);
}

/* ---- secrets -------------------------------------------------------------------------------- */

static void serving_without_a_secret_says_how_to_set_one(void **state)
{
    const char *const env[] = {"JWT_SECRET=", NULL};
    ran r = RUN(*state, env, "showcase", "serve");

    ASSERT_CODE(&r, 6);
    ASSERT_SAYS(&r, "JWT_SECRET");
    ASSERT_SAYS(&r, "--development");
    ran_done(&r);
}

static void a_short_secret_is_refused(void **state)
{
    const char *const env[] = {"JWT_SECRET=only-31-bytes-are-too-few-xxxxx", NULL};
    ran r = RUN(*state, env, "showcase", "serve");

    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "JWT_SECRET is too short");
    ran_done(&r);
}

static void the_development_secret_is_refused_in_production(void **state)
{
    static const char *const variables[] = {"KUMIKO_ENV=production", "NODE_ENV=production"};

    for (size_t i = 0; i < KU_COUNT(variables); i++) {
        const char *const env[] = {"JWT_SECRET=", variables[i], NULL};
        ran r = RUN(*state, env, "showcase", "serve", "--development");
        ASSERT_CODE(&r, 6);
        ASSERT_SAYS(&r, "refused in production");
        ran_done(&r);
    }
}

static void a_ring_of_secrets_needs_its_current_version(void **state)
{
    const char *const without[] = {"JWT_SECRET_V1=" TEST_SECRET, NULL};
    ran r = RUN(*state, without, "showcase", "token");
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "JWT_SECRET_CURRENT_VERSION");
    ran_done(&r);

    const char *const wrong[] = {
        "JWT_SECRET_V1=" TEST_SECRET, "JWT_SECRET_CURRENT_VERSION=2", NULL};
    r = RUN(*state, wrong, "showcase", "token");
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "JWT_SECRET_V2 is not set");
    ran_done(&r);

    const char *const shorter[] = {"JWT_SECRET_V1=short", "JWT_SECRET_CURRENT_VERSION=1", NULL};
    r = RUN(*state, shorter, "showcase", "token");
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "JWT_SECRET_V1 is too short");
    ran_done(&r);
}

/* Three parts of base64url, as a JWT has them. */
static void assert_is_token(const char *text)
{
    size_t dots = 0;

    for (const char *c = text; *c != '\0' && *c != '\n'; c++) {
        dots += *c == '.';
        assert_non_null(
            strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", *c));
    }
    assert_int_equal(dots, 2);
}

static void a_token_is_the_only_thing_printed(void **state)
{
    ran r = RUN(*state, NULL, "showcase", "token", "--role", "Admin");

    ASSERT_CODE(&r, 0);
    assert_is_token(r.output);
    assert_ptr_equal(strchr(r.output, '\n'), r.output + strlen(r.output) - 1);
    ran_done(&r);
}

static void a_token_as_json_says_what_is_in_it(void **state)
{
    arena a = {0};
    ran r = RUN(*state, NULL, "showcase", "token", "--json", "--tenant", TEST_TENANT_OTHER,
        "--user", "99", "--role", "Admin", "--role", "Clerk", "--expires", "15m");

    ASSERT_CODE(&r, 0);
    const ku_json *json = ran_json(&r, &a);
    assert_is_token(text_at(&a, json, "token"));
    assert_string_equal(text_at(&a, json, "tenantId"), TEST_TENANT_OTHER);
    assert_string_equal(text_at(&a, json, "userId"), "99");
    assert_string_equal(text_at(&a, json, "roles"), "[\"Admin\",\"Clerk\"]");
    assert_string_not_equal(text_at(&a, json, "expiresAt"), "(missing)");
    ran_done(&r);
    arena_done(&a);
}

/* ---- addresses ------------------------------------------------------------------------------ */

static void a_port_that_is_taken_is_a_clear_error(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    char listen_text[64];

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int taken = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(taken, 1), 0);
    assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(listen_text, sizeof(listen_text), "127.0.0.1:%d", ntohs(address.sin_port));

    ran r = RUN(*state, NULL, "showcase", "serve", "--listen", listen_text);
    assert_int_not_equal(r.code, 0);
    ASSERT_SAYS(&r, listen_text);
    assert_false(says(&r, "listening on"));
    ran_done(&r);
    (void)close(taken);
}

static void an_address_that_is_none_is_a_clear_error(void **state)
{
    ran r = RUN(*state, NULL, "showcase", "serve", "--listen", "nowhere");

    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "nowhere");
    ran_done(&r);
}

static void an_unknown_disabled_feature_is_refused(void **state)
{
    const char *const env[] = {"KUMIKO_DISABLED_FEATURES=showcase,nonsense", NULL};
    ran r = RUN(*state, env, "showcase", "serve");

    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "nonsense");
    ran_done(&r);
}

/* ---- no database ---------------------------------------------------------------------------- */

static bool is_made(const test_database *d)
{
    if (!test_engine_is_postgres())
        return access(d->path, F_OK) == 0;
    return test_database_int(d, "SELECT count(*) FROM pg_tables "
                                "WHERE schemaname = current_schema()") > 0;
}

static void reading_commands_create_no_database(void **state)
{
    static const char *const readers[] = {"events", "consumers", "projections", "check"};
    test_database *d = test_database_new();

    (void)state;
    process_set_database(test_engine_is_postgres() ? d->url : NULL);
    for (size_t i = 0; i < KU_COUNT(readers); i++) {
        ran r = RUN(d->folder, NULL, "showcase", readers[i]);
        assert_int_not_equal(r.code, 0);
        ASSERT_SAYS(&r, test_by_engine("kumiko.db", "kumiko schema apply"));
        assert_false(is_made(d));
        ran_done(&r);
    }
    ran r = RUN(d->folder, NULL, "showcase", "consumers", "restart", "x");
    assert_int_not_equal(r.code, 0);
    assert_false(is_made(d));
    ran_done(&r);
    process_set_database(NULL);
    test_database_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(every_command_explains_itself),
        FOLDER_TEST(help_lists_every_command),
        FOLDER_TEST(no_command_is_a_usage_error_with_the_help),
        FOLDER_TEST(an_unknown_command_is_named),
        FOLDER_TEST(unknown_options_and_arguments_are_usage_errors),
        FOLDER_TEST(wrong_values_are_usage_errors),
        FOLDER_TEST(the_version_names_the_abi),
        FOLDER_TEST(output_that_cannot_be_written_is_a_failure),
        FOLDER_TEST(a_feature_of_another_abi_is_refused_by_name),
        FOLDER_TEST(what_is_no_feature_is_refused_by_name),
        FOLDER_TEST(a_name_without_a_slash_is_a_file_here),
        FOLDER_TEST(a_feature_that_contradicts_itself_is_refused_with_every_problem),
        FOLDER_TEST(serving_nothing_is_refused),
        FOLDER_TEST(features_add_up),
        FOLDER_TEST(serving_without_a_secret_says_how_to_set_one),
        FOLDER_TEST(a_short_secret_is_refused),
        FOLDER_TEST(the_development_secret_is_refused_in_production),
        FOLDER_TEST(a_ring_of_secrets_needs_its_current_version),
        FOLDER_TEST(a_token_is_the_only_thing_printed),
        FOLDER_TEST(a_token_as_json_says_what_is_in_it),
        FOLDER_TEST(a_port_that_is_taken_is_a_clear_error),
        FOLDER_TEST(an_address_that_is_none_is_a_clear_error),
        FOLDER_TEST(an_unknown_disabled_feature_is_refused),
        FOLDER_TEST(reading_commands_create_no_database),
    };
    return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
