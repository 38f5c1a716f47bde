/*
 * Tests of a domain: given what has happened, when a command comes, then this happens.
 *
 *     ku_test *test = ku_test_open(KU_LIST(ku_feature, &invoicing));
 *     ku_id id = ku_test_id(1);
 *     KU_GIVEN(test, id, account_opened, .owner = KU_STR("Ada"));
 *     KU_GIVEN(test, id, money_paid_in, .cents = 500);
 *     KU_WHEN(test, "bank:write:account:withdraw", withdraw_input, .id = id, .cents = 501);
 *     KU_THEN_REFUSED(test, "not_enough");
 *     KU_WHEN(test, "bank:write:account:withdraw", withdraw_input, .id = id, .cents = 500);
 *     KU_THEN(test, id, money_paid_out, .cents = 500);
 *     KU_THEN_NOTHING(test);
 *     ku_test_close(test);
 *
 * The application is a real one on a database in memory; projections run, access is checked.  The
 * caller is a user with every role that the features name, in a tenant of the test's own, at a
 * clock that stands still unless it is moved.  A failed expectation calls the function given to
 * ku_test_on_failure, or prints the message and aborts.  One thread at a time.
 */
#ifndef KUMIKO_TEST_H
#define KUMIKO_TEST_H

#include "kumiko/app.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ku_test ku_test;

/* Never NULL: features that contradict themselves are a failure. */
KU_API ku_test *ku_test_open(const ku_feature *const *features);
KU_API void ku_test_close(ku_test *test);
/* For test frameworks: called with the sentence; it need not return.  NULL: print and abort. */
KU_API void ku_test_on_failure(void (*fail)(const char *sentence));

/* An id for a test, the same for the same number. */
KU_API ku_id ku_test_id(int number);
/* The caller from here on; copied shallowly, so it must outlive the test. */
KU_API void ku_test_as(ku_test *test, const ku_user *user);
/* Moves the clock. */
KU_API void ku_test_advance(ku_test *test, int64_t microseconds);
/* Brings the async projections up to date. */
KU_API void ku_test_dispatch(ku_test *test);
/* What the last command or query answered: JSON, until the next one. */
KU_API ku_str ku_test_answer(const ku_test *test);
/* Runs a query; the answer is in ku_test_answer. */
KU_API void ku_test_query(ku_test *test, const char *name, ku_str payload_json);

/* An event that has happened: KU_GIVEN(test, id, invoice_created, .customer = …). */
#define KU_GIVEN(test, stream, type, ...)                                                          \
    ku_test_given((test), (stream), &type##_event, &(const type){__VA_ARGS__})
/* A command with its input as the handler's struct; its outcome is for a KU_THEN… to judge. */
#define KU_WHEN(test, name, type, ...)                                                             \
    ku_test_when((test), (name), &(const ku_shape)KU_SHAPE(type), &(const type){__VA_ARGS__})
/* The next event that the command appended is this one, with this payload. */
#define KU_THEN(test, stream, type, ...)                                                           \
    ku_test_then((test), (stream), &type##_event, &(const type){__VA_ARGS__})
/* The command succeeded, and appended nothing more than what KU_THEN has seen. */
#define KU_THEN_NOTHING(test) ku_test_then_nothing(test)
/* The command failed with this reason (or, where there is none, this code), and appended nothing.
 */
#define KU_THEN_REFUSED(test, reason) ku_test_then_refused((test), (reason))

KU_API void ku_test_given(
    ku_test *test, ku_id stream, const ku_event_type *type, const void *payload);
KU_API void ku_test_when(ku_test *test, const char *name, const ku_shape *shape, const void *input);
/* The same in JSON, for inputs and automatic events (`invoice.created`) that have no struct here.
 */
KU_API void ku_test_when_json(ku_test *test, const char *name, ku_str payload_json);
KU_API void ku_test_then_json(
    ku_test *test, ku_id stream, const char *event_name, ku_str payload_json);
KU_API void ku_test_then(
    ku_test *test, ku_id stream, const ku_event_type *type, const void *payload);
KU_API void ku_test_then_nothing(ku_test *test);
KU_API void ku_test_then_refused(ku_test *test, const char *reason);

#ifdef __cplusplus
}
#endif
#endif
