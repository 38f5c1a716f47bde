/*
 * Scopes.
 *
 * The error lives in an arena of its own, so that it outlasts a rewind of the memory of the work
 * that failed.  That arena is emptied when the error is cleared and when the scope is reset, not
 * when an error replaces another: the new sentence may be made of the old one.
 */
#include "base/scope.h"

#include "base/limits.h"

#include <assert.h>
#include <string.h>

void scope_init(ku_scope *scope)
{
    scope->now = clock_now(NULL);
}

void scope_reset(ku_scope *scope)
{
    arena memory = scope->arena, error_memory = scope->error_memory;
    arena_reset(&memory);
    arena_reset(&error_memory);
    *scope = (ku_scope){.arena = memory, .error_memory = error_memory};
    scope_init(scope);
}

void scope_done(ku_scope *scope)
{
    arena_done(&scope->arena);
    arena_done(&scope->error_memory);
}

/* ---- who, when ------------------------------------------------------------------------------- */

ku_id ku_scope_tenant(const ku_scope *scope)
{
    return scope->tenant;
}

ku_str ku_scope_user(const ku_scope *scope)
{
    return scope->user;
}

bool ku_scope_has_role(const ku_scope *scope, const char *role)
{
    for (size_t i = 0; i < scope->n_roles; i++)
        if (ku_str_is(scope->roles[i], role))
            return true;
    return false;
}

ku_time ku_scope_now(const ku_scope *scope)
{
    return scope->now;
}

ku_id ku_new_id(ku_scope *scope)
{
    ku_id id = id_new(scope->now);

    scope->made[scope->n_made++ % SCOPE_IDS_REMEMBERED] = id;
    return id;
}

bool scope_made(const ku_scope *scope, ku_id id)
{
    for (unsigned i = 0; i < scope->n_made && i < SCOPE_IDS_REMEMBERED; i++) {
        if (ku_id_equal(scope->made[i], id))
            return true;
    }
    return false;
}

bool ku_scope_cancelled(ku_scope *scope)
{
    if (scope->cancelled != NULL && scope->cancelled(scope->cancelled_context))
        return true;
    return scope->deadline_us != 0 && clock_monotonic_us() >= scope->deadline_us;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void *ku_alloc(ku_scope *scope, size_t size)
{
    return arena_alloc(&scope->arena, size);
}

ku_str ku_format(ku_scope *scope, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ku_str text = arena_vformat(&scope->arena, format, args);
    va_end(args);
    return text;
}

ku_str ku_copy(ku_scope *scope, ku_str text)
{
    return arena_copy(&scope->arena, text);
}

ku_str ku_id_text(ku_scope *scope, ku_id id)
{
    char *text = arena_text(&scope->arena, 37);
    ku_id_format(id, text);
    return (ku_str){text, 36};
}

ku_mark ku_scope_mark(ku_scope *scope)
{
    return arena_mark(&scope->arena);
}

void ku_scope_rewind(ku_scope *scope, ku_mark mark)
{
    arena_rewind(&scope->arena, mark);
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Replaces the error; `reason` lands in the details, too. */
static ku_status set_error(ku_scope *scope, ku_status status, ku_str reason, ku_str message)
{
    assert(status != KU_OK);
    scope->error = (scope_error){.status = status, .message = message};
    if (reason.len > 0) {
        scope->error.reason = arena_copy(&scope->error_memory, reason);
        ku_detail_text(scope, "reason", reason);
    }
    return status;
}

static bool is_empty(const char *format)
{
    return format == NULL || format[0] == '\0';
}

ku_status ku_refuse(ku_scope *scope, const char *reason, const char *format, ...)
{
    ku_str message;
    if (is_empty(format)) {
        message = arena_format(&scope->error_memory, "unprocessable: %s", reason);
    } else {
        va_list args;
        va_start(args, format);
        message = arena_vformat(&scope->error_memory, format, args);
        va_end(args);
    }
    return set_error(scope, KU_REFUSED, ku_str_from(reason), message);
}

ku_status ku_fail(ku_scope *scope, ku_status status, const char *reason, const char *format, ...)
{
    ku_str message;
    if (is_empty(format)) {
        message = ku_str_from(ku_status_text(status));
    } else {
        va_list args;
        va_start(args, format);
        message = arena_vformat(&scope->error_memory, format, args);
        va_end(args);
    }
    return set_error(scope, status, ku_str_from(reason), message);
}

ku_status scope_fail(ku_scope *scope, ku_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ku_str message = arena_vformat(&scope->error_memory, format, args);
    va_end(args);
    return set_error(scope, status, (ku_str){0}, message);
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* `showcase-invoice` and `showcaseInvoice` become `showcase_invoice`. */
static void put_snake_case(buffer *b, const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        if (is_lower_or_digit(*at)) {
            buffer_add_char(b, *at);
        } else if (is_upper(*at)) {
            if (at > name && is_lower_or_digit(at[-1]))
                buffer_add_char(b, '_');
            buffer_add_char(b, (char)(*at - 'A' + 'a'));
        } else {
            buffer_add_char(b, '_');
        }
    }
}

ku_status ku_not_found(ku_scope *scope, const char *entity, ku_str id)
{
    arena *memory = &scope->error_memory;
    ku_str message = arena_format(memory, "%s %" KU_PRI " not found", entity, KU_FMT(id));
    buffer reason = {.arena = memory};
    put_snake_case(&reason, entity);
    buffer_add_text(&reason, "_not_found");
    set_error(scope, KU_NOT_FOUND, buffer_str(&reason), message);
    ku_detail_text(scope, "entity", ku_str_from(entity));
    ku_detail_text(scope, "id", id);
    ku_json *params = json_new(memory, KU_JSON_OBJECT);
    json_append(params, KU_STR("entity"), json_new_text(memory, ku_str_from(entity)));
    json_append(params, KU_STR("id"), json_new_text(memory, id));
    scope->error.i18n_params = params;
    return KU_NOT_FOUND;
}

ku_status ku_invalid_transition(ku_scope *scope, ku_str from, ku_str to, const char *const *allowed)
{
    arena *memory = &scope->error_memory;
    ku_status status = ku_refuse(scope, "invalid_transition", NULL);
    scope->error.i18n_key = KU_STR("errors.invalidTransition");
    ku_detail_text(scope, "from", from);
    ku_detail_text(scope, "to", to);

    ku_json *list = json_new(memory, KU_JSON_ARRAY);
    buffer names = {.arena = memory};
    for (size_t i = 0; allowed != NULL && allowed[i] != NULL; i++) {
        json_append(list, (ku_str){0}, json_new_text(memory, ku_str_from(allowed[i])));
        buffer_format(&names, "%s\"%s\"", i > 0 ? ", " : "", allowed[i]);
    }
    json_append(scope->error.details, KU_STR("allowed"), list);
    ku_str message = arena_format(memory,
        "cannot go from \"%" KU_PRI "\" to \"%" KU_PRI "\"; allowed: %" KU_PRI, KU_FMT(from),
        KU_FMT(to), KU_FMT(names.len > 0 ? buffer_str(&names) : KU_STR("nothing")));
    ku_detail_text(scope, "message", message);
    return status;
}

ku_status scope_issue(ku_scope *scope, ku_str path, const char *code, ku_str params)
{
    scope_error *error = &scope->error;
    if (error->status == KU_OK)
        set_error(scope, KU_INVALID, (ku_str){0}, ku_str_from(ku_status_text(KU_INVALID)));
    if (error->n_issues >= LIMIT_ISSUES)
        return KU_INVALID;

    arena *memory = &scope->error_memory;
    field_issue *issue = arena_alloc(memory, sizeof(*issue));
    issue->path = arena_copy(memory, path);
    issue->code = arena_copy(memory, ku_str_from(code));
    if (params.len > 0)
        issue->params = arena_copy(memory, params);
    if (error->last_issue != NULL)
        error->last_issue->next = issue;
    else
        error->issues = issue;
    error->last_issue = issue;
    error->n_issues++;
    return KU_INVALID;
}

ku_status ku_issue(ku_scope *scope, const char *path, const char *code)
{
    return scope_issue(scope, ku_str_from(path), code, (ku_str){0});
}

/* Sets a member of the details, replacing one of that name. */
static void set_detail(ku_scope *scope, const char *name, ku_json *value)
{
    scope_error *error = &scope->error;
    assert(error->status != KU_OK); /* there is an error to say more about */
    if (error->details == NULL)
        error->details = json_new(&scope->error_memory, KU_JSON_OBJECT);
    ku_json_remove(error->details, name);
    json_append(error->details, arena_copy(&scope->error_memory, ku_str_from(name)), value);
}

void ku_detail_text(ku_scope *scope, const char *name, ku_str value)
{
    set_detail(scope, name, json_new_text(&scope->error_memory, value));
}

void ku_detail_int(ku_scope *scope, const char *name, int64_t value)
{
    set_detail(scope, name, json_new_int(&scope->error_memory, value));
}

void ku_detail_id(ku_scope *scope, const char *name, ku_id value)
{
    char text[37];
    ku_id_format(value, text);
    ku_detail_text(scope, name, (ku_str){text, 36});
}

void ku_clear_error(ku_scope *scope)
{
    scope->error = (scope_error){0};
    arena_reset(&scope->error_memory);
}

ku_str ku_error_message(const ku_scope *scope)
{
    return scope->error.status == KU_OK ? (ku_str){"", 0} : scope->error.message;
}

ku_str ku_error_reason(const ku_scope *scope)
{
    return scope->error.reason.len > 0 ? scope->error.reason : (ku_str){"", 0};
}
