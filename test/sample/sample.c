/*
 * The fixture of the sample tests.  Answers are copied into the sample's arena, so that a test may
 * keep as many as it likes and nobody frees one by one.
 */
#include "sample/sample.h"

#include "app/raw.h"
#include "base/limits.h"
#include "event-sourcing/invoicing.h"
#include "sample/probe.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- the program ----------------------------------------------------------------------------- */

static sample *new_sample(const char *program)
{
    sample *s = calloc(1, sizeof *s);
    assert(s != NULL);
    s->program = program;
    s->database = test_database_new();
    s->dir = s->database->folder;
    /* On SQLite a server's usual database is the file in its folder. */
    process_set_database(test_engine_is_postgres() ? s->database->url : NULL);
    s->admin = sample_token(s, NULL, NULL, NULL);
    s->token = s->admin;
    return s;
}

sample *sample_open(const char *program)
{
    sample *s = new_sample(program);
    sample_start(s);
    return s;
}

void sample_start(sample *s)
{
    const char *program = sample_format(s, "%s/%s", TEST_BIN_DIR, s->program);
    const char *const argv[] = {program, "serve", s->flag, NULL};
    assert(!s->running);
    process_start(argv, s->env, s->dir, &s->server);
    s->client = http_open(s->server.port);
    s->running = true;
}

/* A sanitizer's remark about undefined behaviour does not end the server, but it is a failure. */
static bool has_complaint(const char *output)
{
    return strstr(output, "runtime error:") != NULL;
}

int sample_stop(sample *s, int signal_number)
{
    assert(s->running);
    http_close(s->client);
    int exit_code = process_stop(&s->server, signal_number);
    char *output = process_output(&s->server);
    if (exit_code == 0 && has_complaint(output))
        exit_code = -1;
    if (exit_code != 0 && signal_number != SIGKILL)
        print_error("%s ended with %d; it printed:\n%s\n", s->program, exit_code, output);
    free(output);
    process_done(&s->server);
    s->running = false;
    return exit_code;
}

int sample_close(sample *s)
{
    int exit_code = s->running ? sample_stop(s, SIGTERM) : 0;
    process_set_database(NULL);
    test_database_free(s->database);
    arena_done(&s->arena);
    free(s);
    return exit_code;
}

const char *sample_token(sample *s, const char *tenant, const char *user, const char *roles)
{
    char *token = test_token_for(tenant, user, roles);
    const char *copy = arena_copy(&s->arena, ku_str_from(token)).ptr;
    free(token);
    return copy;
}

static char *format_list(sample *s, const char *format, va_list args)
{
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    assert(len >= 0);
    char *copy = arena_text(&s->arena, (size_t)len + 1);
    memcpy(copy, text, (size_t)len + 1);
    free(text);
    return copy;
}

char *sample_format(sample *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_list(s, format, args);
    va_end(args);
    return text;
}

/* ---- requests -------------------------------------------------------------------------------- */

static answer *new_answer(sample *s, int status, const char *body, size_t body_len)
{
    answer *made = arena_alloc(&s->arena, sizeof *made);
    const ku_str text = arena_copy(&s->arena, (ku_str){body, body_len});
    json_error error;
    made->status = status;
    made->text = text.ptr;
    made->head = "";
    made->arena = &s->arena;
    if (!json_parse(&s->arena, text, LIMIT_JSON_DEPTH, &made->body, &error))
        made->body = NULL;
    return made;
}

/* All header lines with the NULs between them. */
static const char *copy_head(sample *s, const char *head)
{
    size_t len = 0;
    while (head[len] != '\0')
        len += strlen(head + len) + 1;
    char *copy = arena_text(&s->arena, len + 1);
    memcpy(copy, head, len + 1);
    return copy;
}

static const answer *post(sample *s, const char *path, const char *headers, const char *body)
{
    http_answer received;
    http_request(s->client, "POST", path, s->token, body, headers, &received);
    answer *made = new_answer(s, received.status, received.body, received.body_len);
    made->head = copy_head(s, received.head);
    http_answer_done(&received);
    return made;
}

const answer *sample_try_post(sample *s, const char *path, const char *body)
{
    http_answer received;
    http_send_request(s->client, "POST", path, s->token, body, NULL);
    if (!http_receive(s->client, &received))
        return NULL;
    answer *made = new_answer(s, received.status, received.body, received.body_len);
    http_answer_done(&received);
    return made;
}

const answer *sample_post(sample *s, const char *path, const char *headers, const char *body, ...)
{
    va_list args;
    va_start(args, body);
    const char *text = format_list(s, body, args);
    va_end(args);
    return post(s, path, headers, text);
}

const answer *sample_write(sample *s, const char *type, const char *payload, ...)
{
    va_list args;
    va_start(args, payload);
    const char *text = format_list(s, payload, args);
    va_end(args);
    return post(
        s, "/api/write", NULL, sample_format(s, "{\"type\":\"%s\",\"payload\":%s}", type, text));
}

const answer *sample_query(sample *s, const char *type, const char *payload, ...)
{
    va_list args;
    va_start(args, payload);
    const char *text = format_list(s, payload, args);
    va_end(args);
    return post(
        s, "/api/query", NULL, sample_format(s, "{\"type\":\"%s\",\"payload\":%s}", type, text));
}

/* ---- in process ------------------------------------------------------------------------------ */

static void drop_line(void *context, int level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

ku_app *sample_app(sample *s, const ku_feature *const *features, bool read_only)
{
    static const ku_feature *const usual[] = {&showcase_feature, &probe_feature, NULL};
    const ku_app_options options = {
        .size = sizeof options,
        .url = s->database->url,
        .features = features != NULL ? features : usual,
        .read_only = read_only,
        .log = drop_line,
    };
    static ku_error error;
    ku_app *app = NULL;
    if (ku_app_open(&options, &app, &error) != KU_OK) {
        print_error("%s\n", error.message);
        fail();
    }
    return app;
}

static ku_user administrator(void)
{
    static const ku_str roles[] = {KU_STR_INIT("Admin")};
    ku_user user = {.id = KU_STR(TEST_USER), .roles = roles, .n_roles = KU_COUNT(roles)};
    (void)ku_id_parse(KU_STR(TEST_TENANT), &user.tenant);
    return user;
}

const answer *sample_call(sample *s, ku_app *app, const char *type, const char *payload, ...)
{
    va_list args;
    va_start(args, payload);
    const char *text = format_list(s, payload, args);
    va_end(args);
    const ku_request request = {
        .size = sizeof request,
        .type = ku_str_from(type),
        .payload = ku_str_from(text),
        .user = administrator(),
    };
    ku_response response;
    (void)(strstr(type, ":query:") != NULL ? ku_query : ku_write)(app, &request, &response);
    const answer *made = new_answer(s, response.http_status, response.body.ptr, response.body.len);
    ku_response_free(&response);
    return made;
}

typedef struct old_event {
    ku_id stream;
    const char *name;
    int version;
    ku_str payload;
} old_event;

static ku_status store_old_event(ku_scope *scope, void *context)
{
    const old_event *old = context;
    return app_raw_append(
        scope, old->name, old->stream, old->version, old->payload, (ku_optional_time){0});
}

void sample_store_old_event(
    sample *s, const char *stream, const char *name, int version, const char *payload)
{
    static ku_error error;
    old_event old = {.name = name, .version = version, .payload = ku_str_from(payload)};
    assert_true(ku_id_parse(ku_str_from(stream), &old.stream));
    assert_false(s->running);
    ku_app *app = sample_app(s, NULL, false);
    const ku_user user = administrator();
    if (app_run_write(app, &user, store_old_event, &old, &error) != KU_OK) {
        print_error("%s: %s\n", name, error.message);
        fail();
    }
    ku_app_close(app);
}

const char *sample_sql(sample *s, const char *sql)
{
    char *text = test_database_text(s->database, sql);
    const char *found = text != NULL ? sample_format(s, "%s", text) : "(missing)";
    free(text);
    return found;
}

/* ---- answers --------------------------------------------------------------------------------- */

static const char missing[] = "(missing)";

static ku_json *find(const answer *a, const char *path)
{
    ku_json *node = a->body;
    while (node != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        if (node->kind == KU_JSON_ARRAY)
            node = ku_json_at(node, strtoul(path, NULL, 10));
        else
            node = json_member(node, (ku_str){path, len});
        path += len;
        path += *path == '.';
    }
    return node;
}

static const char *text_of(const answer *a, const ku_json *node)
{
    if (node == NULL)
        return missing;
    if (node->kind == KU_JSON_TEXT)
        return arena_copy(a->arena, node->text).ptr;
    buffer text = {.arena = a->arena};
    json_put(&text, node);
    return buffer_str(&text).ptr;
}

const char *at(const answer *a, const char *path)
{
    return text_of(a, find(a, path));
}

static int compare_names(const void *a, const void *b)
{
    const ku_json *const *left = a;
    const ku_json *const *right = b;
    size_t len = (*left)->key.len < (*right)->key.len ? (*left)->key.len : (*right)->key.len;
    int order = memcmp((*left)->key.ptr, (*right)->key.ptr, len);
    return order != 0 ? order : (*left)->key.len < (*right)->key.len ? -1 : 1;
}

const char *keys(const answer *a, const char *path)
{
    const ku_json *object = find(a, path);
    if (object == NULL || object->kind != KU_JSON_OBJECT)
        return missing;
    size_t n = object->count;
    const ku_json **members = arena_alloc(a->arena, (n + 1) * sizeof *members);
    size_t i = 0;
    for (const ku_json *member = object->first; member != NULL; member = member->next)
        members[i++] = member;
    qsort(members, n, sizeof *members, compare_names);
    buffer text = {.arena = a->arena};
    for (i = 0; i < n; i++)
        buffer_format(&text, "%s%" KU_PRI, i > 0 ? "," : "", KU_FMT(members[i]->key));
    return buffer_str(&text).ptr;
}

int count(const answer *a, const char *path)
{
    const ku_json *node = find(a, path);
    return node != NULL ? (int)ku_json_count(node) : -1;
}

const char *item_where(const answer *a, const char *array, const char *member, const char *value)
{
    const ku_json *list = find(a, array);
    if (list == NULL || list->kind != KU_JSON_ARRAY)
        return missing;
    size_t i = 0;
    for (const ku_json *item = list->first; item != NULL; item = item->next, i++) {
        if (strcmp(text_of(a, ku_json_get(item, member)), value) == 0)
            return arena_format(a->arena, "%s.%zu", array, i).ptr;
    }
    return missing;
}

const char *member_of(
    const answer *a, const char *array, const char *member, const char *value, const char *wanted)
{
    const char *item = item_where(a, array, member, value);
    return item == missing ? missing : at(a, arena_format(a->arena, "%s.%s", item, wanted).ptr);
}

const char *header(const answer *a, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = a->head; *line != '\0'; line += strlen(line) + 1) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " ");
    }
    return missing;
}

void check_status(const answer *a, int expected, const char *file, int line)
{
    if (a->status != expected) {
        print_error("status %d, not %d; the answer: %s\n", a->status, expected, a->text);
        _fail(file, line);
    }
}

void check_text(const answer *a, const char *path,
    const char *(*read)(const answer *a, const char *path), const char *expected, const char *file,
    int line)
{
    const char *actual = read(a, path);

    if (strcmp(actual, expected) != 0) {
        print_error("%s: %s, not %s; the answer: %s\n", path, actual, expected, a->text);
        _fail(file, line);
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

int open_showcase(void **state)
{
    *state = sample_open("showcase");
    return 0;
}

int open_recipes(void **state)
{
    *state = sample_open("recipes");
    return 0;
}

int open_folder(void **state)
{
    *state = new_sample(NULL);
    return 0;
}

int close_sample(void **state)
{
    return sample_close(*state);
}
