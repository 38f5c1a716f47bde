/*
 * Bodies as a client written for the original knows them: the same members, codes and statuses
 * (behaviour §17).  Where ours says more or something else, §0 of the behaviour says why; each such
 * place is marked here.
 */
#include "sample/sample.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SAVE_KEYS "changes,data,entityName,event,id,isNew,kind,previous"
#define DELETE_KEYS "data,entityName,event,id,kind"
#define INVOICE_ROW_KEYS                                                                           \
    "customer,id,insertedAt,insertedById,modifiedAt,modifiedById,status,tenantId,version"
#define NOTE_ROW_KEYS                                                                              \
    "body,deletedAt,deletedById,id,insertedAt,insertedById,isDeleted,modifiedAt,modifiedById,"     \
    "tenantId,title,version"
#define EVENT_KEYS                                                                                 \
    "aggregateId,aggregateType,createdAt,createdBy,eventVersion,id,metadata,payload,tenantId,"     \
    "type,version"
#define METADATA_KEYS "correlationId,requestId,userId"

/* ---- helpers --------------------------------------------------------------------------------- */

/* `2026-11-23T17:30:06.627Z` */
static void assert_time(const answer *a, const char *path)
{
    const char *text = at(a, path);
    ku_time time;
    assert_int_equal(strlen(text), 24);
    assert_int_equal(text[23], 'Z');
    assert_true(ku_time_parse(ku_str_from(text), &time));
}

static void assert_id(const answer *a, const char *path)
{
    ku_id id;
    assert_true(ku_id_parse(ku_str_from(at(a, path)), &id));
    assert_int_equal(id.bytes[6] >> 4, 7);
}

/* The error object of the dispatcher's path: `members` are those beside the ones it always has. */
static void assert_error(const answer *a, int status, const char *code, const char *i18n_key,
    const char *message, const char *members)
{
    assert_status(a, status);
    assert_keys(a, "error", members);
    assert_at(a, "error.code", code);
    assert_at(a, "error.i18nKey", i18n_key);
    assert_at(a, "error.message", message);
    assert_time(a, "error.timestamp");
    assert_string_equal(at(a, "error.requestId"), header(a, "X-Request-ID"));
}

/* `docsUrl` ends in the reason, if there is one, else in the code. */
static void assert_docs(const answer *a, const char *page)
{
    const char *url = at(a, "error.docsUrl");
    const char *slash = strrchr(url, '/');
    assert_non_null(strstr(url, "/errors/"));
    assert_non_null(slash);
    assert_string_equal(slash + 1, page);
}

/* With `httpStatus`, which ours adds (behaviour §0). */
#define WITH_DETAILS "code,details,docsUrl,httpStatus,i18nKey,message,requestId,timestamp"
#define WITH_PARAMS "code,details,docsUrl,httpStatus,i18nKey,i18nParams,message,requestId,timestamp"

static const answer *create(sample *s)
{
    const answer *made =
        sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"Acme\"}");
    assert_status(made, 200);
    return made;
}

/* ---- the showcase ---------------------------------------------------------------------------- */

static void create_answers_the_whole_save(void **state)
{
    const answer *made = create(*state);
    assert_keys(made, "", "data,isSuccess");
    assert_at(made, "isSuccess", "true");
    assert_keys(made, "data", SAVE_KEYS);
    assert_at(made, "data.kind", "save");
    assert_id(made, "data.id");
    assert_at(made, "data.isNew", "true");
    assert_at(made, "data.entityName", "showcase-invoice");
    assert_at(made, "data.previous", "{}");
    assert_keys(made, "data.changes", "customer,status");
    assert_at(made, "data.changes.customer", "Acme");
    assert_at(made, "data.changes.status", "draft");

    assert_keys(made, "data.data", INVOICE_ROW_KEYS);
    assert_at(made, "data.data.id", at(made, "data.id"));
    assert_at(made, "data.data.tenantId", TEST_TENANT);
    assert_at(made, "data.data.version", "1");
    assert_time(made, "data.data.insertedAt");
    assert_at(made, "data.data.modifiedAt", "null");
    assert_at(made, "data.data.insertedById", TEST_USER);
    assert_at(made, "data.data.modifiedById", "null");
    assert_at(made, "data.data.customer", "Acme");
    assert_at(made, "data.data.status", "draft");

    assert_keys(made, "data.event", EVENT_KEYS);
    assert_at(made, "data.event.id", "1");
    assert_at(made, "data.event.aggregateId", at(made, "data.id"));
    assert_at(made, "data.event.aggregateType", "showcase-invoice");
    assert_at(made, "data.event.tenantId", TEST_TENANT);
    assert_at(made, "data.event.version", "1");
    assert_at(made, "data.event.type", "showcase-invoice.created");
    assert_at(made, "data.event.eventVersion", "1");
    assert_keys(made, "data.event.payload", "customer,status");
    assert_keys(made, "data.event.metadata", METADATA_KEYS);
    assert_at(made, "data.event.metadata.userId", TEST_USER);
    assert_at(made, "data.event.metadata.requestId", header(made, "X-Request-ID"));
    assert_at(made, "data.event.metadata.correlationId", header(made, "X-Correlation-ID"));
    assert_string_equal(header(made, "X-Request-ID"), header(made, "X-Correlation-ID"));
    assert_at(made, "data.event.createdAt", at(made, "data.data.insertedAt"));
    assert_at(made, "data.event.createdBy", TEST_USER);
    assert_non_null(strstr(header(made, "Content-Type"), "application/json"));
}

static void a_handler_of_ones_own_answers_what_it_likes(void **state)
{
    sample *s = *state;
    const char *id = at(create(s), "data.id");
    const answer *approved = sample_write(s, "showcase:write:invoice:approve",
        "{\"id\":\"%s\",\"amountCents\":1,\"approvedBy\":\"x\"}", id);
    assert_status(approved, 200);
    assert_keys(approved, "", "data,isSuccess");
    assert_keys(approved, "data", "id");
    assert_at(approved, "data.id", id);

    const answer *folded = sample_query(s, "showcase:query:invoice:state", "{\"id\":\"%s\"}", id);
    assert_status(folded, 200);
    assert_keys(folded, "", "data");
    assert_keys(folded, "data", "amountCents,approvedBy,customer,paid,status");
    assert_at(folded, "data.customer", "Acme");
    assert_at(folded, "data.status", "approved");
    assert_at(folded, "data.amountCents", "1");
    assert_at(folded, "data.approvedBy", "x");
    assert_at(folded, "data.paid", "false");
}

static void an_invoice_that_never_was_is_missing(void **state)
{
    const answer *folded = sample_query(*state, "showcase:query:invoice:state",
        "{\"id\":\"18786ec4-69f6-452f-ade5-95bc424f9cfc\"}");
    assert_status(folded, 200);
    assert_keys(folded, "data", "amountCents,approvedBy,customer,paid,status");
    assert_at(folded, "data.customer", "null");
    assert_at(folded, "data.status", "missing");
    assert_at(folded, "data.amountCents", "0");
    assert_at(folded, "data.approvedBy", "null");
    assert_at(folded, "data.paid", "false");
}

static void every_issue_of_an_input_is_listed_with_its_path(void **state)
{
    const answer *refused = sample_write(
        *state, "showcase:write:invoice:approve", "{\"id\":\"no-uuid\",\"amountCents\":1.5}");
    assert_keys(refused, "", "error,isSuccess");
    assert_at(refused, "isSuccess", "false");
    assert_error(refused, 400, "validation_error", "errors.validation.failed", "Validation failed",
        WITH_DETAILS);
    assert_docs(refused, "validation_error");
    assert_keys(refused, "error.details", "fields");
    assert_int_equal(count(refused, "error.details.fields"), 3);
    assert_at(refused, "error.details.fields.0.path", "id");
    assert_at(refused, "error.details.fields.0.code", "invalid_format");
    assert_at(refused, "error.details.fields.0.i18nKey", "errors.validation.invalid_format");
    assert_at(refused, "error.details.fields.0.params.format", "uuid");
    assert_at(refused, "error.details.fields.1.path", "amountCents");
    assert_at(refused, "error.details.fields.1.code", "invalid_type");
    assert_at(refused, "error.details.fields.1.params.expected", "int");
    assert_at(refused, "error.details.fields.2.path", "approvedBy");
    assert_at(refused, "error.details.fields.2.code", "invalid_type");
    assert_at(refused, "error.details.fields.2.params.expected", "string");
}

static void an_unknown_handler_is_not_found(void **state)
{
    sample *s = *state;
    const answer *written = sample_write(s, "showcase:write:invoice:nope", "{}");
    assert_keys(written, "", "error,isSuccess");
    assert_error(written, 404, "not_found", "errors.notFound",
        "handler showcase:write:invoice:nope not found", WITH_PARAMS);
    assert_docs(written, "handler_not_found");
    assert_keys(written, "error.i18nParams", "entity,id");
    assert_at(written, "error.i18nParams.entity", "handler");
    assert_at(written, "error.i18nParams.id", "showcase:write:invoice:nope");
    assert_keys(written, "error.details", "entity,id,reason");
    assert_at(written, "error.details.reason", "handler_not_found");
    assert_at(written, "error.details.entity", "handler");
    assert_at(written, "error.details.id", "showcase:write:invoice:nope");

    const answer *asked = sample_query(s, "showcase:query:nope", "{}");
    assert_keys(asked, "", "error");
    assert_error(asked, 404, "not_found", "errors.notFound",
        "handler showcase:query:nope not found", WITH_PARAMS);

    /* A write is no query, and a query no write. */
    assert_status(sample_query(s, "showcase:write:invoice:create", "{\"customer\":\"x\"}"), 404);
    assert_status(sample_write(s, "showcase:query:revenue:list", "{}"), 404);
}

static void a_role_that_may_not_is_denied(void **state)
{
    sample *s = *state;
    s->token = sample_token(s, NULL, NULL, "[\"User\"]");
    const answer *denied =
        sample_write(s, "showcase:write:invoice:create", "{\"customer\":\"Acme\"}");
    assert_keys(denied, "", "error,isSuccess");
    assert_error(denied, 403, "access_denied", "errors.access.denied",
        "access denied for showcase:write:invoice:create", WITH_DETAILS);
    assert_docs(denied, "access_denied");
    assert_at(denied, "error.details", "{\"handler\":\"showcase:write:invoice:create\"}");
}

static void a_command_answers_202_without_data(void **state)
{
    sample *s = *state;
    const char *body =
        "{\"type\":\"showcase:write:invoice:create\",\"payload\":{\"customer\":\"c\"}}";
    const answer *done = sample_post(s, "/api/command", NULL, "%s", body);
    assert_status(done, 202);
    assert_string_equal(done->text, "{\"ok\":true}");

    s->token = sample_token(s, NULL, NULL, "[\"User\"]");
    const answer *denied = sample_post(s, "/api/command", NULL, "%s", body);
    assert_status(denied, 403);
    assert_keys(denied, "", "error");
    assert_at(denied, "error.code", "access_denied");
}

static void a_payload_of_depth_21_is_too_deep(void **state)
{
    sample *s = *state;
    char nested[256] = "\"x\"";
    /* The payload itself is at depth 0, so there are 21 objects in one another. */
    for (int depth = 0; depth <= 20; depth++) {
        char inner[256];
        (void)strcpy(inner, nested);
        (void)snprintf(nested, sizeof nested, "{\"a\":%.200s}", inner);
    }
    assert_at(sample_write(s, "showcase:write:nope", "%s", nested), "error.code", "not_found");

    const answer *deep = sample_write(s, "showcase:write:nope", "[%s]", nested);
    assert_error(deep, 400, "validation_error", "errors.validation.failed", "Validation failed",
        WITH_DETAILS);
    assert_int_equal(count(deep, "error.details.fields"), 1);
    assert_at(deep, "error.details.fields.0.path", "payload");
    assert_at(deep, "error.details.fields.0.code", "too_deep");
    assert_at(deep, "error.details.fields.0.i18nKey", "errors.validation.payload_too_deep");
    assert_at(deep, "error.details.fields.0.params.maxDepth", "20");
}

static void a_batch_answers_each_command(void **state)
{
    sample *s = *state;
    const answer *done = sample_post(s, "/api/batch", NULL,
        "{\"commands\":[{\"type\":\"showcase:write:invoice:create\","
        "\"payload\":{\"customer\":\"b\"}}]}");
    assert_status(done, 200);
    assert_keys(done, "", "isSuccess,results");
    assert_int_equal(count(done, "results"), 1);
    assert_keys(done, "results.0", "data,isSuccess");
    assert_keys(done, "results.0.data", SAVE_KEYS);

    const answer *empty = sample_post(s, "/api/batch", NULL, "{\"commands\":[]}");
    assert_status(empty, 200);
    assert_string_equal(empty->text, "{\"isSuccess\":true,\"results\":[]}");
}

static void a_batch_without_a_list_is_invalid(void **state)
{
    const answer *refused = sample_post(*state, "/api/batch", NULL, "{\"commands\":\"x\"}");
    assert_keys(refused, "", "error,isSuccess");
    assert_error(refused, 400, "validation_error", "errors.validation.failed", "Validation failed",
        WITH_DETAILS);
    assert_at(refused, "error.details.fields.0.path", "commands");
    assert_at(refused, "error.details.fields.0.code", "invalid_type");
    assert_at(refused, "error.details.fields.0.params.expected", "array");
    assert_at(refused, "error.details.fields.0.params.received", "string");
}

static void a_failing_batch_names_the_command(void **state)
{
    sample *s = *state;
    const answer *refused = sample_post(s, "/api/batch", NULL,
        "{\"commands\":["
        "{\"type\":\"showcase:write:invoice:create\",\"payload\":{\"customer\":\"b\"}},"
        "{\"type\":\"showcase:write:invoice:create\",\"payload\":{}}]}");
    assert_keys(refused, "", "error,failedIndex,isSuccess,results");
    assert_error(refused, 400, "validation_error", "errors.validation.failed", "Validation failed",
        WITH_DETAILS);
    assert_at(refused, "error.details.fields.0.path", "customer");
    assert_at(refused, "failedIndex", "1");
    assert_int_equal(count(refused, "results"), 2);
    assert_keys(refused, "results.0.data", SAVE_KEYS);
    assert_keys(refused, "results.1", "error,isSuccess");
    assert_at(refused, "results.1.error.code", "validation_error");
    assert_at(refused, "results.1.error.httpStatus", "400");
}

/* ---- an entity with soft delete -------------------------------------------------------------- */

static void a_note_lives_through_all_its_verbs(void **state)
{
    sample *s = *state;
    const answer *created = sample_write(s, "notes:write:note:create", "{\"title\":\"t\"}");
    assert_status(created, 200);
    assert_keys(created, "data.data", NOTE_ROW_KEYS);
    assert_at(created, "data.data.isDeleted", "false");
    assert_at(created, "data.data.deletedAt", "null");
    assert_at(created, "data.data.deletedById", "null");
    assert_at(created, "data.data.body", "null");
    assert_at(created, "data.changes", "{\"title\":\"t\"}");
    assert_at(created, "data.event.payload", "{\"title\":\"t\"}");
    const char *id = at(created, "data.id");

    const answer *updated = sample_write(s, "notes:write:note:update",
        "{\"id\":\"%s\",\"version\":1,\"changes\":{\"title\":\"t2\"}}", id);
    assert_status(updated, 200);
    assert_keys(updated, "data", SAVE_KEYS);
    assert_at(updated, "data.kind", "save");
    assert_at(updated, "data.isNew", "false");
    assert_at(updated, "data.data.version", "2");
    assert_at(updated, "data.data.title", "t2");
    assert_time(updated, "data.data.modifiedAt");
    assert_at(updated, "data.data.modifiedById", TEST_USER);
    assert_at(updated, "data.changes", "{\"title\":\"t2\"}");
    assert_keys(updated, "data.previous", NOTE_ROW_KEYS);
    assert_at(updated, "data.previous.version", "1");
    assert_at(updated, "data.previous.title", "t");
    assert_at(updated, "data.event.type", "note.updated");
    assert_keys(updated, "data.event.payload", "changes,previous");
    assert_at(updated, "data.event.payload.changes", "{\"title\":\"t2\"}");
    assert_keys(updated, "data.event.payload.previous", NOTE_ROW_KEYS);

    const answer *stale = sample_write(s, "notes:write:note:update",
        "{\"id\":\"%s\",\"version\":1,\"changes\":{\"title\":\"t3\"}}", id);
    assert_error(stale, 409, "version_conflict", "errors.versionConflict",
        sample_format(s, "version conflict for entity %s", id), WITH_DETAILS);
    assert_docs(stale, "version_conflict");
    assert_keys(stale, "error.details", "currentVersion,entityId,expectedVersion");
    assert_at(stale, "error.details.entityId", id);
    assert_at(stale, "error.details.expectedVersion", "1");
    assert_at(stale, "error.details.currentVersion", "2");

    const answer *detail = sample_query(s, "notes:query:note:detail", "{\"id\":\"%s\"}", id);
    assert_status(detail, 200);
    assert_keys(detail, "", "data");
    assert_keys(detail, "data", NOTE_ROW_KEYS);
    assert_at(detail, "data.version", "2");

    const answer *list = sample_query(
        s, "notes:query:note:list", "{\"limit\":1,\"totalCount\":true,\"sort\":\"title\"}");
    assert_status(list, 200);
    assert_keys(list, "data", "nextCursor,rows,total");
    assert_keys(list, "data.rows.0", NOTE_ROW_KEYS);
    assert_at(list, "data.total", "1");

    const answer *deleted = sample_write(s, "notes:write:note:delete", "{\"id\":\"%s\"}", id);
    assert_status(deleted, 200);
    assert_keys(deleted, "data", DELETE_KEYS);
    assert_at(deleted, "data.kind", "delete");
    assert_at(deleted, "data.id", id);
    assert_keys(deleted, "data.data", NOTE_ROW_KEYS);
    assert_at(deleted, "data.data.isDeleted", "false");
    assert_at(deleted, "data.event.type", "note.deleted");
    assert_at(deleted, "data.event.version", "3");
    assert_keys(deleted, "data.event.payload", "previous");

    const answer *restored = sample_write(s, "notes:write:note:restore", "{\"id\":\"%s\"}", id);
    assert_status(restored, 200);
    assert_keys(restored, "data", SAVE_KEYS);
    assert_at(restored, "data.kind", "save");
    assert_at(restored, "data.changes", "{\"isDeleted\":false}");
    assert_at(restored, "data.data.isDeleted", "false");
    assert_at(restored, "data.data.deletedAt", "null");
    assert_at(restored, "data.previous.isDeleted", "true");
    assert_time(restored, "data.previous.deletedAt");
    assert_at(restored, "data.previous.deletedById", TEST_USER);
    assert_at(restored, "data.event.type", "note.restored");
    assert_at(restored, "data.event.version", "4");

    const answer *again = sample_write(s, "notes:write:note:restore", "{\"id\":\"%s\"}", id);
    assert_error(again, 422, "unprocessable", "errors.notDeleted", "unprocessable: not_deleted",
        WITH_DETAILS);
    assert_docs(again, "not_deleted");
    assert_at(again, "error.details", "{\"reason\":\"not_deleted\"}");
}

static void a_note_that_never_was_is_not_found(void **state)
{
    static const char id[] = "18786ec4-69f6-452f-ade5-95bc424f9cfc";
    const answer *missing = sample_write(*state, "notes:write:note:delete", "{\"id\":\"%s\"}", id);
    assert_error(missing, 404, "not_found", "errors.notFound",
        "note 18786ec4-69f6-452f-ade5-95bc424f9cfc not found", WITH_PARAMS);
    assert_docs(missing, "note_not_found");
    assert_keys(missing, "error.details", "entity,id,reason");
    assert_at(missing, "error.details.reason", "note_not_found");
    assert_at(missing, "error.details.entity", "note");
    assert_at(missing, "error.details.id", id);
}

/* The original answers 500 here (behaviour §0). */
static void an_archived_note_is_closed_for_writing(void **state)
{
    sample *s = *state;
    const answer *created = sample_write(s, "notes:write:note:create", "{\"title\":\"t\"}");
    const char *id = at(created, "data.id");
    assert_status(sample_write(s, "notes:write:note:archive", "{\"id\":\"%s\"}", id), 200);

    const answer *refused = sample_write(s, "notes:write:note:update",
        "{\"id\":\"%s\",\"version\":1,\"changes\":{\"title\":\"t2\"}}", id);
    assert_status(refused, 409);
    assert_at(refused, "error.code", "conflict");
    assert_at(refused, "error.details.reason", "stream_archived");
    assert_at(refused, "error.details.entityId", id);
    assert_docs(refused, "stream_archived");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOWCASE_TEST(create_answers_the_whole_save),
        SHOWCASE_TEST(a_handler_of_ones_own_answers_what_it_likes),
        SHOWCASE_TEST(an_invoice_that_never_was_is_missing),
        SHOWCASE_TEST(every_issue_of_an_input_is_listed_with_its_path),
        SHOWCASE_TEST(an_unknown_handler_is_not_found),
        SHOWCASE_TEST(a_role_that_may_not_is_denied),
        SHOWCASE_TEST(a_command_answers_202_without_data),
        SHOWCASE_TEST(a_payload_of_depth_21_is_too_deep),
        SHOWCASE_TEST(a_batch_answers_each_command),
        SHOWCASE_TEST(a_batch_without_a_list_is_invalid),
        SHOWCASE_TEST(a_failing_batch_names_the_command),
        RECIPES_TEST(a_note_lives_through_all_its_verbs),
        RECIPES_TEST(a_note_that_never_was_is_not_found),
        RECIPES_TEST(an_archived_note_is_closed_for_writing),
    };
    return cmocka_run_group_tests_name("golden bodies", tests, NULL, NULL);
}
