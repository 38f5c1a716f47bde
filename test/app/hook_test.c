/*
 * Hooks and closing: what runs inside the transaction may veto it, what runs behind it runs once
 * and only for what was committed, and closing the application finishes both.
 */
#include "app/lab.h"

#include "kumiko/table.h"

/* ---- the feature ----------------------------------------------------------------------------- */

typedef struct page_row {
    ku_str title;
    int64_t size;
} page_row;
static const ku_field page_row_fields[] = {
    KU_FIELD(page_row, title),
    KU_FIELD(page_row, size),
};
static const ku_entity page_entity = {
    .name = "page", .row = KU_SHAPE(page_row), .soft_delete = true};

typedef struct seen {
    ku_str what;
    int64_t times;
} seen;
static const ku_field seen_fields[] = {
    KU_FIELD(seen, what, .flags = KU_KEY),
    KU_FIELD(seen, times, .flags = KU_SUM),
};
static const ku_table seen_table = {.name = "read_seen", .row = KU_SHAPE(seen)};

/* What the hooks behind the commit heard; guarded by its lock. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    int64_t n, size_sum;
    char last[160];
    bool wrote;
} after = {.lock = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER};

static ku_status count_in_transaction(ku_scope *scope, const ku_event *event)
{
    const ku_change *change = KU_CHANGE(event);
    const page_row *row = change->row;
    const seen one = {.what = event->name, .times = 1};

    if (row != NULL && ku_str_is(row->title, "veto"))
        return ku_refuse(scope, "vetoed", "not with that title");
    if (row != NULL && ku_str_is(row->title, "silent veto"))
        return KU_CONFLICT; /* without words */
    return ku_row_add(scope, &seen_table, &one);
}

static ku_status hear_after_commit(ku_scope *scope, const ku_event *event)
{
    const ku_change *change = KU_CHANGE(event);
    const page_row *row = change->row != NULL ? change->row : change->previous;
    seen stored = {.what = event->name};
    ku_status visible = ku_row_get(scope, &seen_table, &stored); /* it has been committed */
    const seen more = {.what = KU_STR("after"), .times = 1};
    ku_status wrote = ku_row_put(scope, &seen_table, &more);

    ku_clear_error(scope);
    pthread_mutex_lock(&after.lock);
    after.n++;
    after.size_sum += row->size;
    after.wrote = after.wrote || wrote == KU_OK;
    (void)snprintf(after.last, sizeof(after.last), "%.*s by %.*s, %.*s, %.*s%s at %lld",
        KU_FMT(event->name), KU_FMT(event->user), KU_FMT(ku_scope_user(scope)), KU_FMT(row->title),
        visible == KU_OK ? "" : " (not there)", (long long)event->position);
    pthread_cond_broadcast(&after.heard);
    pthread_mutex_unlock(&after.lock);
    return ku_str_is(row->title, "grumble") ? ku_refuse(scope, "grumbled", "grumble") : KU_OK;
}

static const ku_hook hooks[] = {
    {"count",            &page_entity, KU_IN_TRANSACTION, count_in_transaction},
    {"hear", &page_entity, KU_AFTER_COMMIT, hear_after_commit},
    {.name = NULL                 },
};

static const ku_handler writes[] = {
    LAB_DO,
    {.name = "page:create",
      .access = KU_OPEN_TO_ALL,
      .entity = &page_entity,
      .verb = KU_VERB_CREATE},
    KU_END,
};
static const ku_handler queries[] = {LAB_DO, KU_END};
static const ku_feature feature = {
    .abi = KU_ABI_VERSION,
    .name = "lab",
    .entities = KU_LIST(ku_entity, &page_entity),
    .tables = KU_LIST(ku_table, &seen_table),
    .writes = writes,
    .queries = queries,
    .hooks = hooks,
};

static int set_up(void **state)
{
    lab *l = lab_new();

    after.n = after.size_sum = 0;
    after.last[0] = '\0';
    after.wrote = false;
    lab_open(l, &feature, false);
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

/* Waits until so many have been heard of, and returns how many there are. */
static int64_t wait_heard(int64_t n)
{
    pthread_mutex_lock(&after.lock);
    while (after.n < n)
        pthread_cond_wait(&after.heard, &after.lock);
    int64_t heard = after.n;
    pthread_mutex_unlock(&after.lock);
    return heard;
}

static ku_status create(lab *l, const char *title)
{
    char payload[120];

    (void)snprintf(payload, sizeof(payload), "{\"title\":\"%s\",\"size\":1}", title);
    return lab_send(l, true, "lab:write:page:create", payload);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static ku_status all_verbs(ku_scope *scope, void *context, ku_reply *reply)
{
    const page_row row = {.title = KU_STR("one"), .size = 5}, other = {.title = KU_STR("two")};
    ku_id id = lab_id(7, 1);

    (void)context;
    (void)reply;
    ku_status status = ku_entity_create(scope, &page_entity, id, &row, NULL, NULL);
    if (status == KU_OK)
        status = ku_entity_update(scope, &page_entity, id, 1, KU_COLUMNS("title"), &other, NULL);
    if (status == KU_OK) /* nothing differs: no event, no hook */
        status = ku_entity_update(scope, &page_entity, id, 2, KU_COLUMNS("title"), &other, NULL);
    if (status == KU_OK)
        status = ku_entity_delete(scope, &page_entity, id, NULL);
    if (status == KU_OK)
        status = ku_entity_restore(scope, &page_entity, id, NULL);
    return status == KU_OK ? ku_entity_forget(scope, &page_entity, id, NULL) : status;
}

static void every_automatic_event_is_heard_in_and_behind_the_transaction(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, lab_write(l, all_verbs, NULL));
    assert_int_equal(wait_heard(5), 5);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_seen WHERE times = 1"), 5);
    pthread_mutex_lock(&after.lock);
    assert_int_equal(after.size_sum, 25);
    assert_false(after.wrote);
    pthread_mutex_unlock(&after.lock);
}

static void a_hook_in_the_transaction_vetoes_it(void **state)
{
    lab *l = *state;

    assert_int_equal(create(l, "veto"), KU_REFUSED);
    lab_assert_has(l, "\"reason\":\"vetoed\"");
    assert_int_equal(create(l, "silent veto"), KU_CONFLICT);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM ku_events"), 0);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_seen"), 0);
    lab_assert_ok(l, create(l, "fine"));
    assert_int_equal(wait_heard(1), 1); /* of the vetoed ones nobody heard */
    pthread_mutex_lock(&after.lock);
    assert_string_equal(after.last, "page.created by user1, user1, fine at 1");
    pthread_mutex_unlock(&after.lock);
}

static void a_hook_behind_the_commit_that_fails_is_logged_and_changes_nothing(void **state)
{
    lab *l = *state;

    lab_assert_ok(l, create(l, "grumble"));
    assert_int_equal(wait_heard(1), 1);
    lab_close(l); /* the hook has ended */
    assert_true(lab_logged(l, "grumble"));
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_pages"), 1);
}

static void hooks_of_jobs_that_share_a_commit_hear_their_own(void **state)
{
    enum { CALLS = 60 };
    lab *l = *state;
    lab_call *calls[CALLS];
    lab_hold hold;

    lab_hold_writer(l, &hold);
    for (int i = 0; i < CALLS; i++) {
        char payload[80];
        (void)snprintf(payload, sizeof(payload), "{\"title\":\"%s\",\"size\":%d}",
            i % 3 == 0 ? "veto" : "fine", i);
        calls[i] = lab_submit(l, CALL_WRITE, "lab:write:page:create", payload, "");
    }
    lab_release(&hold);
    int64_t sum = 0;
    for (int i = 0; i < CALLS; i++) {
        lab_expect(calls[i], i % 3 == 0 ? KU_REFUSED : KU_OK);
        sum += i % 3 == 0 ? 0 : i;
    }
    assert_int_equal(wait_heard(40), 40);
    pthread_mutex_lock(&after.lock);
    assert_int_equal(after.size_sum, sum);
    pthread_mutex_unlock(&after.lock);
}

/* Nobody waits: closing does. */
static void closing_finishes_what_is_queued_and_its_hooks(void **state)
{
    enum { CALLS = 300 };
    lab *l = *state;
    lab_call *calls[CALLS];

    for (int i = 0; i < CALLS; i++)
        calls[i] = lab_submit(
            l, CALL_WRITE, "lab:write:page:create", "{\"title\":\"late\",\"size\":1}", "");
    lab_close(l);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(sem_trywait(&calls[i]->done), 0);
        (void)sem_post(&calls[i]->done);
        lab_expect(calls[i], KU_OK);
    }
    assert_int_equal(wait_heard(CALLS), CALLS);
    assert_int_equal(lab_sql(l, "SELECT count(*) FROM read_pages"), CALLS);
}

static void a_program_that_only_reads_refuses_to_write(void **state)
{
    lab *l = *state;
    lab reader = {.app = NULL};
    const ku_feature *const features[] = {&feature, NULL};
    ku_error error = {0};

    lab_assert_ok(l, create(l, "one"));
    pthread_mutex_init(&reader.log_lock, NULL);
    reader.url = l->url;
    const ku_app_options options = {.features = features, .read_only = true};
    assert_int_equal(lab_try_open(&reader, &options, &error), KU_OK); /* beside the writer */
    assert_int_equal(create(&reader, "two"), KU_UNAVAILABLE);
    ku_dispatch_result result;
    assert_int_equal(ku_dispatch_once(reader.app, &result, &error), KU_REFUSED);
    lab_assert_sound(&reader);
    lab_close(&reader);
    pthread_mutex_destroy(&reader.log_lock);
    /* A second writer is told who has the file, or is welcome. */
    lab second = {.app = NULL};
    pthread_mutex_init(&second.log_lock, NULL);
    second.url = l->url;
    const ku_app_options writing = {.features = features};
    if (test_engine_is_postgres()) {
        assert_int_equal(lab_try_open(&second, &writing, &error), KU_OK);
        lab_assert_ok(&second, create(&second, "two"));
        lab_close(&second);
    } else {
        assert_int_equal(lab_try_open(&second, &writing, &error), KU_CONFLICT);
        assert_true(strlen(error.message) > 0);
    }
    pthread_mutex_destroy(&second.log_lock);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_automatic_event_is_heard_in_and_behind_the_transaction),
        CASE(a_hook_in_the_transaction_vetoes_it),
        CASE(a_hook_behind_the_commit_that_fails_is_logged_and_changes_nothing),
        CASE(hooks_of_jobs_that_share_a_commit_hear_their_own),
        CASE(closing_finishes_what_is_queued_and_its_hooks),
        CASE(a_program_that_only_reads_refuses_to_write),
    };

    return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
