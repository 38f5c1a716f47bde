/* Errors as clients see them, the writing; and the pages that docsUrl points at. */
#include "app/errors.h"

#include <string.h>

static void write_issue(buffer *b, const field_issue *issue)
{
    buffer_add_char(b, '{');
    json_put_key(b, "path");
    json_put_text(b, issue->path);
    json_put_key(b, "code");
    json_put_text(b, issue->code);
    json_put_key(b, "i18nKey");
    if (issue->i18n_key.len > 0) {
        json_put_text(b, issue->i18n_key);
    } else {
        buffer_add_text(b, "\"errors.validation.");
        buffer_add_str(b, issue->code);
        buffer_add_char(b, '"');
    }
    if (issue->params.len > 0) {
        json_put_key(b, "params");
        buffer_add_str(b, issue->params);
    }
    buffer_add_char(b, '}');
}

static void write_details(buffer *b, const scope_error *error)
{
    if (error->issues == NULL && error->details == NULL && error->reason.len == 0)
        return;
    json_put_key(b, "details");
    buffer_add_char(b, '{');
    if (error->reason.len > 0 &&
        (error->details == NULL || ku_json_get(error->details, "reason") == NULL)) {
        json_put_key(b, "reason");
        json_put_text(b, error->reason);
    }
    for (const ku_json *m = error->details != NULL ? error->details->first : NULL; m != NULL;
         m = m->next) {
        if (b->ptr[b->len - 1] != '{')
            buffer_add_char(b, ',');
        json_put_text(b, m->key);
        buffer_add_char(b, ':');
        json_put(b, m);
    }
    if (error->issues != NULL) {
        json_put_key(b, "fields");
        buffer_add_char(b, '[');
        for (const field_issue *issue = error->issues; issue != NULL; issue = issue->next) {
            if (issue != error->issues)
                buffer_add_char(b, ',');
            write_issue(b, issue);
        }
        buffer_add_char(b, ']');
    }
    buffer_add_char(b, '}');
}

void error_write(buffer *b, const ku_app *app, const scope_error *error, ku_str trace_id)
{
    const char *code = ku_status_code(error->status);
    bool hidden = app->production && error->status == KU_INTERNAL;

    buffer_add_char(b, '{');
    json_put_key(b, "code");
    json_put_text(b, ku_str_from(code));
    json_put_key(b, "httpStatus");
    json_put_int(b, ku_status_http(error->status));
    json_put_key(b, "i18nKey");
    json_put_text(b,
        error->i18n_key.len > 0 ? error->i18n_key : ku_str_from(ku_status_i18n_key(error->status)));
    if (error->i18n_params != NULL) {
        json_put_key(b, "i18nParams");
        json_put(b, error->i18n_params);
    }
    json_put_key(b, "message");
    json_put_text(b, hidden || error->message.len == 0 ? ku_str_from(ku_status_text(error->status))
                                                       : error->message);
    if (!hidden)
        write_details(b, error);
    if (app->docs_url != NULL) {
        json_put_key(b, "docsUrl");
        arena scratch = {0};
        ku_str page = error->reason.len > 0 ? error->reason : ku_str_from(code);
        json_put_text(b, arena_format(&scratch, "%s/errors/%" KU_PRI, app->docs_url, KU_FMT(page)));
        arena_done(&scratch);
    }
    json_put_key(b, "requestId");
    json_put_text(b, trace_id);
    json_put_key(b, "timestamp");
    json_put_time(b, clock_now(&app->clock));
    buffer_add_char(b, '}');
}

/* ---- explanations ---------------------------------------------------------------------------- */

typedef struct explanation {
    const char *name;
    const char *text;
} explanation;

static const explanation explanations[] = {
    {"validation_error",
     "The request does not fit what the handler takes.  details.fields lists every "
        "problem with its path; `kumiko describe` prints the expected shapes."                                   },
    {"access_denied",            "The caller is signed in but lacks a role that this handler, or one of the "
                      "fields in the request, asks for."                                    },
    {"field_access_denied",
     "The handler is open to the caller, but one of the fields in the request "
        "may only be set by other roles.  details.field names it."                                               },
    {"feature_disabled",         "The feature that this handler belongs to is switched off here."                },
    {"not_found",                "There is no such thing, or it belongs to another tenant, which looks the same."},
    {"handler_not_found",        "No feature registers a handler of this name.  Names are "
                          "<feature>:write:<name> and <feature>:query:<name>."          },
    {"conflict",
     "The present state forbids the request.  details.reason says what stands in the way."                       },
    {"stream_archived",
     "The stream is archived: it can neither be loaded nor appended to until it is "
        "restored."                                                                                              },
    {"version_conflict",
     "Somebody else changed the stream first.  Load it again, decide again, and "
        "send currentVersion as the version you decided on."                                                     },
    {"idempotent_replay",
     "An event with this idempotency key is stored already; nothing was written."                                },
    {"idempotency_key_reused",
     "This requestId was used before with another type or payload.  A new "
        "request needs a new requestId."                                                                         },
    {"unique_violation",         "Another row of the tenant has the same value in a unique field."               },
    {"payload_too_large",        "The request's body is larger than the server accepts."                         },
    {"unprocessable",
     "The request is well-formed, but a rule of the domain says no.  details.reason "
        "names the rule."                                                                                        },
    {"too_many_events",          "One command appended more than 1,000 events; split it."                        },
    {"stream_type_mismatch",     "The stream belongs to another kind of entity than the event."                  },
    {"invalid_transition",       "The entity's state cannot change from details.from to details.to.  "
                           "details.allowed lists where it can go."                    },
    {"not_deleted",              "Only a deleted row can be restored; this one is not deleted."                  },
    {"soft_delete_not_enabled",
     "Rows of this entity are removed when they are deleted, so they cannot "
        "be restored."                                                                                           },
    {"invalid_list_limit",       "limit is a whole number from 0 to 200."                                        },
    {"invalid_list_offset",      "offset is a whole number from 0."                                              },
    {"search_adapter_not_wired", "This server has no full-text search; use filters."                             },
    {"unconfigured",             "A setting that the request needs is missing on the server."                    },
    {"rate_limited",
     "Too many requests.  Come back after Retry-After seconds; X-RateLimit-Reset says "
        "when the allowance is whole again."                                                                     },
    {"timeout",                  "The request did not finish before its deadline."                               },
    {"cancelled",                "The client closed the connection before the answer was ready."                 },
    {"internal_error",
     "Something is wrong on the server; its log has the details under requestId."                                },
    {"unavailable",
     "The server cannot take the request now: its queue is full, or it is stopping.  "
        "Nothing was written; try again after Retry-After seconds."                                              },
    {"contended",                "Other processes kept changing what the request needs, every time it was tried.  "
                  "Nothing was "
                  "written; try again after Retry-After seconds."                               },
    {"outcome_unknown",          "The connection to the database was lost while it was committing, so the "
                        "request may or may "
                        "not have been carried out.  Look before sending it again, or send a "
                        "requestId with writes: "
                        "those are answered from what was stored."                        },
    {"missing_token",
     "The request needs a token: `Authorization: Bearer …` or the cookie kumiko_auth."                         },
    {"invalid_token",            "The token is malformed, expired, or not signed with a key of this server."     },
    {"ambiguous_auth",           "The request carries a cookie and a bearer token; send one of them."            },
    {"csrf_token_mismatch",
     "A write with cookie authentication needs the header X-CSRF-Token with the "
        "value of the cookie kumiko_csrf."                                                                       },
    {"tenant_mismatch",          "The header X-Tenant names another tenant than the token."                      },
    {"origin_not_allowed",       "Writes with cookie authentication are not accepted from this origin."          },
    {"method_not_allowed",       "This path exists, but not for this method; see the header Allow."              },
};

const char *app_explain_error(ku_str code_or_reason)
{
    for (size_t i = 0; i < KU_COUNT(explanations); i++) {
        if (ku_str_is(code_or_reason, explanations[i].name))
            return explanations[i].text;
    }
    return NULL;
}
