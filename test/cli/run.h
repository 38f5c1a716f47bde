/*
 * Commands under test: run a program to its end, look at what it printed.
 */
#ifndef TEST_CLI_RUN_H
#define TEST_CLI_RUN_H

#include "base/json.h"

/* What a program printed (stdout and stderr together) and how it ended. */
typedef struct ran {
    int code;
    char *output;
} ran;

/* argv[0] is the name of a program of the build, `kumiko`; the rest is given in the call. */
#define RUN(dir, env, ...) run_program((dir), (env), (const char *const[]){__VA_ARGS__, NULL})
ran run_program(const char *dir, const char *const *env, const char *const *arguments);
void ran_done(ran *r);

/* Fails the test, with the output, unless the program ended so / its output has the text. */
#define ASSERT_CODE(r, expected) check_code((r), (expected), __FILE__, __LINE__)
#define ASSERT_SAYS(r, text) check_says((r), (text), __FILE__, __LINE__)
void check_code(const ran *r, int expected, const char *file, int line);
void check_says(const ran *r, const char *text, const char *file, int line);
/* Does the output contain the text? */
bool says(const ran *r, const char *text);

/* The output as JSON; fails the test if it is none.  Lives in the arena. */
ku_json *ran_json(const ran *r, arena *a);
/* The node at a path such as `0.payload.customer`; NULL: there is none. */
const ku_json *node_at(const ku_json *json, const char *path);
/* Its text, or its JSON if it is no text; "(missing)" if there is none. */
const char *text_at(arena *a, const ku_json *json, const char *path);
/* The item of an array whose member has that text; fails the test if there is none. */
const ku_json *item_with(const ku_json *array, const char *member, const char *text);

/* The path of a shared object of the build; valid until the next call. */
const char *object_path(const char *name);
/* A fresh folder that the caller removes with folder_remove; freed there. */
char *folder_new(void);
void folder_remove(char *folder);

#endif
