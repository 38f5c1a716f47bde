/*
 * The lending feature without a server: what a handler answers, what a projection counts.
 *
 * The database is in memory and the clock stands still, so each run is the same.
 */
#define main lending_main /* the program is one file: its main makes room for the test's */
#include "grown.c"
#undef main

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fixture --------------------------------------------------------------------------------- */

static ku_time now;

static ku_time stopped_clock(void *context)
{
    return *(const ku_time *)context;
}

static void require(bool holds, const char *sentence)
{
    if (holds)
        return;
    (void)fprintf(stderr, "not so: %s\n", sentence);
    exit(1);
}

static ku_app *open_library(void)
{
    static ku_error error;
    ku_app *app = NULL;
    const ku_app_options options = {
        .size = sizeof options,
        .url = "sqlite::memory:",
        .features = KU_LIST(ku_feature, &lending),
        .clock = stopped_clock,
        .clock_context = &now,
    };

    (void)ku_time_parse(KU_STR("2026-01-01T12:00:00Z"), &now);
    require(ku_app_open(&options, &app, &error) == KU_OK, error.message);
    return app;
}

/* The answer as text; a ring of a few is kept. */
static const char *call(ku_app *app, const char *type, const char *payload)
{
    static char answers[4][2048];
    static size_t n_answers;
    static const ku_str roles[] = {KU_STR_INIT("Librarian")};
    ku_request request = {
        .size = sizeof request,
        .type = ku_str_from(type),
        .payload = ku_str_from(payload),
        .user = {.id = KU_STR("eve"), .roles = roles, .n_roles = 1},
    };
    ku_response response;
    char *answer = answers[n_answers++ % 4];

    (void)ku_id_parse(KU_STR("00000000-0000-4000-8000-000000000001"), &request.user.tenant);
    if (strstr(type, ":write:") != NULL)
        (void)ku_write(app, &request, &response);
    else
        (void)ku_query(app, &request, &response);
    (void)snprintf(answer, sizeof answers[0], "%s", response.body.ptr);
    ku_response_free(&response);
    return answer;
}

/* A payload for the book that was bought first. */
static const char *with_id(const char *bought, const char *rest)
{
    static char payload[256];
    const char *id = strstr(bought, "\"id\":\"");

    require(id != NULL, "buying a book answers with its id");
    (void)snprintf(payload, sizeof payload, "{%.43s%s}", id, rest);
    return payload;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void a_lent_book_cannot_be_lent(void)
{
    ku_app *app = open_library();
    const char *bought = call(app, "lending:write:book:buy", "{\"title\":\"Middlemarch\"}");
    (void)call(app, "lending:write:book:lend", with_id(bought, ",\"borrower\":\"ann\""));
    const char *second =
        call(app, "lending:write:book:lend", with_id(bought, ",\"borrower\":\"bob\""));

    require(strstr(second, "\"reason\":\"already_lent\"") != NULL, "the second loan is refused");
    require(strstr(second, "\"message\":\"ann has it\"") != NULL, "it says who has the book");
    ku_app_close(app);
}

static void a_loan_is_due_in_two_weeks(void)
{
    ku_app *app = open_library();
    const char *bought = call(app, "lending:write:book:buy", "{\"title\":\"Middlemarch\"}");
    (void)call(app, "lending:write:book:lend", with_id(bought, ",\"borrower\":\"ann\""));
    const char *state = call(app, "lending:query:book:state", with_id(bought, ""));

    require(strstr(state, "\"dueAt\":\"2026-01-15T12:00:00.000Z\"") != NULL, "due in two weeks");
    ku_app_close(app);
}

static void loans_are_counted_when_they_are_dispatched(void)
{
    static ku_error error;
    ku_dispatch_result result;
    ku_app *app = open_library();
    const char *bought = call(app, "lending:write:book:buy", "{\"title\":\"Middlemarch\"}");
    (void)call(app, "lending:write:book:lend", with_id(bought, ",\"borrower\":\"ann\",\"days\":7"));
    const char *before = call(app, "lending:query:borrower:list", "{}");
    require(strcmp(before, "{\"data\":[]}") == 0, "nothing is counted yet");

    require(ku_dispatch_once(app, &result, &error) == KU_OK, error.message);
    const char *after = call(app, "lending:query:borrower:list", "{}");
    require(strstr(after, "\"name\":\"ann\",\"loans\":1,\"days\":7") != NULL, "ann has one loan");
    ku_app_close(app);
}

int main(void)
{
    a_lent_book_cannot_be_lent();
    a_loan_is_due_in_two_weeks();
    loans_are_counted_when_they_are_dispatched();
    (void)printf("as it should be\n");
    return 0;
}
