/*
 * The lending feature without a server: given what has happened, when somebody asks, then this
 * happens.
 */
#define main lending_main /* the program is one file: its main makes room for the test's */
#include "grown.c"
#undef main

#include <kumiko/test.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last answer has to contain that. */
static void require_answer(const ku_test *test, const char *part)
{
    if (strstr(ku_test_answer(test).ptr, part) != NULL)
        return;
    (void)fprintf(stderr, "expected %s in %s\n", part, ku_test_answer(test).ptr);
    exit(1);
}

static void a_lent_book_cannot_be_lent(void)
{
    ku_test *test = ku_test_open(KU_LIST(ku_feature, &lending));
    const ku_id id = ku_test_id(1);

    KU_GIVEN(test, id, book_bought, .title = KU_STR("Middlemarch"));
    KU_GIVEN(test, id, book_lent, .borrower = KU_STR("ann"), .days = 14);
    KU_WHEN(test, "lending:write:book:lend", lend_input, .id = id, .borrower = KU_STR("bob"));
    KU_THEN_REFUSED(test, "already_lent");
    require_answer(test, "ann has it");
    ku_test_close(test);
}

static void a_loan_lasts_two_weeks_unless_somebody_says_otherwise(void)
{
    ku_test *test = ku_test_open(KU_LIST(ku_feature, &lending));
    const ku_id id = ku_test_id(1);

    KU_GIVEN(test, id, book_bought, .title = KU_STR("Middlemarch"));
    KU_WHEN(test, "lending:write:book:lend", lend_input, .id = id, .borrower = KU_STR("ann"));
    KU_THEN(test, id, book_lent, .borrower = KU_STR("ann"), .days = 14);
    KU_THEN_NOTHING(test);
    ku_test_close(test);
}

static void loans_are_counted_when_they_are_dispatched(void)
{
    ku_test *test = ku_test_open(KU_LIST(ku_feature, &lending));
    const ku_id id = ku_test_id(1);

    KU_GIVEN(test, id, book_bought, .title = KU_STR("Middlemarch"));
    KU_GIVEN(test, id, book_lent, .borrower = KU_STR("ann"), .days = 7);
    ku_test_query(test, "lending:query:borrower:list", KU_STR("{}"));
    require_answer(test, "{\"data\":[]}");

    ku_test_dispatch(test);
    ku_test_query(test, "lending:query:borrower:list", KU_STR("{}"));
    require_answer(test, "\"name\":\"ann\",\"loans\":1,\"days\":7");
    ku_test_close(test);
}

int main(void)
{
    a_lent_book_cannot_be_lent();
    a_loan_lasts_two_weeks_unless_somebody_says_otherwise();
    loans_are_counted_when_they_are_dispatched();
    (void)printf("as it should be\n");
    return 0;
}
