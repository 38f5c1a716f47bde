/*
 * Turns the folder sql/ into constants: `embed SQLDIR OUT.h OUT.c`.
 *
 * Every file sql/{common,sqlite,postgres}/<name>.sql is one statement (schema_*.sql: a script of
 * several).  The comment lines in front of it say what it does and what its numbered binds are;
 * they are not embedded.  An engine is built in if it has a folder.  It takes each statement from
 * its own folder or else from common, and a statement that some engine has and another lacks fails
 * the build, unless its first line says that it is meant: `-- postgres only` (NULL for the others).
 * The header gets one enumerator per name, the source one array of texts per engine.
 *
 * Binds are written $1, $2 … in every file and become ?1, ?2 … for SQLite.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAMES_MAX = 512,
    NAME_BYTES = 64,
    TEXT_BYTES = 65536,
    LITERAL_BYTES = 4000, /* C11 promises string literals of 4095 bytes */
};

static const char *const engines[] = {"sqlite", "postgres"};

typedef struct name_list {
    char names[NAMES_MAX][NAME_BYTES];
    size_t count;
} name_list;

static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("embed: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static FILE *open_or_die(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    if (file == NULL)
        die("%s: %s", path, strerror(errno));
    return file;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void add_name(name_list *list, const char *folder, const char *file)
{
    size_t length = strlen(file) - strlen(".sql");

    if (length >= NAME_BYTES)
        die("%s/%s: the name is too long", folder, file);
    for (size_t i = 0; i < length; i++)
        if (!islower((unsigned char)file[i]) && !isdigit((unsigned char)file[i]) && file[i] != '_')
            die("%s/%s: names are lower case, digits and underscores", folder, file);
    for (size_t i = 0; i < list->count; i++)
        if (strlen(list->names[i]) == length && memcmp(list->names[i], file, length) == 0)
            return;
    if (list->count == NAMES_MAX)
        die("more than %d statements", (int)NAMES_MAX);
    memcpy(list->names[list->count], file, length);
    list->names[list->count++][length] = '\0';
}

/* Adds the names of a folder; false if there is no such folder. */
static bool add_folder(name_list *list, const char *root, const char *folder)
{
    char path[4096];
    struct dirent *entry;

    if (snprintf(path, sizeof(path), "%s/%s", root, folder) >= (int)sizeof(path))
        die("%s: the path is too long", root);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return false;
    while ((entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".sql") == 0)
            add_name(list, path, entry->d_name);
    }
    closedir(directory);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Reads <root>/<folder>/<name>.sql as text; false if there is none. */
static bool read_statement(const char *root, const char *folder, const char *name, char *ret_text)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/%s/%s.sql", root, folder, name) >= (int)sizeof(path))
        die("%s: the path is too long", root);
    FILE *file = fopen(path, "r");
    if (file == NULL && errno == ENOENT)
        return false;
    if (file == NULL)
        die("%s: %s", path, strerror(errno));
    size_t length = fread(ret_text, 1, TEXT_BYTES - 1, file);
    if (ferror(file) || !feof(file))
        die("%s: unreadable, or longer than %d bytes", path, (int)TEXT_BYTES);
    fclose(file);
    ret_text[length] = '\0';
    return true;
}

/* Does a statement say of itself that only its engine has it? */
static bool is_only_for(const char *engine, const char *text)
{
    size_t length = strlen(engine);

    return strncmp(text, "-- ", 3) == 0 && strncmp(text + 3, engine, length) == 0 &&
           strncmp(text + 3 + length, " only\n", 6) == 0;
}

/* Reads an engine's text; false: it has none, and is not meant to. */
static bool find_statement(const char *root, const char *engine, const char *name, char *ret_text)
{
    if (read_statement(root, engine, name, ret_text) ||
        read_statement(root, "common", name, ret_text))
        return true;
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        if (read_statement(root, engines[i], name, ret_text) && is_only_for(engines[i], ret_text))
            return false;
    die("%s has no statement '%s': write %s/%s.sql or common/%s.sql", engine, name, engine, name,
        name);
    return false;
}

/* ---- the text -------------------------------------------------------------------------------- */

/* Where the statement begins: behind blank lines and lines of comment. */
static const char *skip_comments(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n");
        if (text[0] != '-' || text[1] != '-')
            return text;
        text += strcspn(text, "\n");
    }
}

/* schema_<n>: several statements. */
static bool is_script(const char *name)
{
    return strncmp(name, "schema_", strlen("schema_")) == 0 &&
           isdigit((unsigned char)name[strlen("schema_")]);
}

/* Copies a statement without comments and last semicolon; rewrites the binds outside of quotes. */
static void convert(const char *name, const char *text, bool question_marks, char *ret_text)
{
    bool script = is_script(name);
    size_t length = 0;
    char quote = '\0';

    for (const char *c = skip_comments(text); *c != '\0'; c++) {
        if (quote == '\0' && c[0] == '-' && c[1] == '-') {
            c += strcspn(c, "\n");
            while (script && length > 0 && ret_text[length - 1] == ' ')
                length--;
        }
        if (*c == '\0')
            break;
        if (quote != '\0')
            quote = *c == quote ? '\0' : quote;
        else if (*c == '\'' || *c == '"')
            quote = *c;
        else if (*c == ';' && !script) {
            if (*skip_comments(c + 1) != '\0')
                die("%s: more than one statement", name);
            break;
        }
        bool bind = quote == '\0' && *c == '$' && isdigit((unsigned char)c[1]);
        ret_text[length++] = bind && question_marks ? '?' : *c;
    }
    if (quote != '\0')
        die("%s: a quote is left open", name);
    while (length > 0 && isspace((unsigned char)ret_text[length - 1]))
        length--;
    if (length == 0)
        die("%s: there is no statement", name);
    ret_text[length] = '\0';
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_text(FILE *out, const char *text)
{
    fputs("    \"", out);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\n')
            fputs("\\n\"\n    \"", out);
        else if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else
            fputc(*c, out);
    }
    fputs("\"", out);
}

/* A text that is too long for a literal becomes an array of its own. */
static void write_long_text(FILE *out, const char *engine, const char *name, const char *text)
{
    fprintf(out, "static const char %s_%s[] = {", engine, name);
    for (size_t i = 0; text[i] != '\0'; i++)
        fprintf(out, "%s%d,", i % 20 == 0 ? "\n    " : " ", text[i]);
    fputs(" 0};\n\n", out);
}

static void write_engine(FILE *out, const char *root, const char *engine, const name_list *list)
{
    static char texts[NAMES_MAX][TEXT_BYTES];
    static char raw[TEXT_BYTES];

    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->names[i];
        texts[i][0] = '\0';
        if (!find_statement(root, engine, name, raw))
            continue;
        convert(name, raw, strcmp(engine, "sqlite") == 0, texts[i]);
        if (strlen(texts[i]) > LITERAL_BYTES)
            write_long_text(out, engine, name, texts[i]);
    }
    fprintf(out, "const char *const sql_%s_texts[SQL_COUNT_] = {\n", engine);
    for (size_t i = 0; i < list->count; i++) {
        fprintf(out, "    /* %s */\n", list->names[i]);
        if (texts[i][0] == '\0')
            fputs("    NULL", out);
        else if (strlen(texts[i]) > LITERAL_BYTES)
            fprintf(out, "    %s_%s", engine, list->names[i]);
        else
            write_text(out, texts[i]);
        fputs(",\n", out);
    }
    fputs("};\n\n", out);
}

static void write_header(FILE *out, const name_list *list, const bool *present)
{
    fputs("/* Generated by tools/embed from sql/. */\n#ifndef KU_DB_SQL_H\n#define KU_DB_SQL_H\n\n"
          "enum {\n",
        out);
    for (size_t i = 0; i < list->count; i++) {
        fputs("    SQL_", out);
        for (const char *c = list->names[i]; *c != '\0'; c++)
            fputc(toupper((unsigned char)*c), out);
        fputs(",\n", out);
    }
    fputs("    SQL_COUNT_\n};\n\n", out);
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        if (present[i])
            fprintf(out, "extern const char *const sql_%s_texts[SQL_COUNT_];\n", engines[i]);
    fputs("\n#endif\n", out);
}

int main(int argc, char **argv)
{
    static name_list list;
    bool present[sizeof(engines) / sizeof(engines[0])] = {false};

    if (argc != 4)
        die("usage: embed SQLDIR OUT.h OUT.c");
    (void)add_folder(&list, argv[1], "common");
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        present[i] = add_folder(&list, argv[1], engines[i]);
    if (list.count == 0)
        die("%s: no statements", argv[1]);
    qsort(list.names, list.count, NAME_BYTES, compare_names);

    FILE *header = open_or_die(argv[2], "w");
    write_header(header, &list, present);
    if (fclose(header) != 0)
        die("%s: %s", argv[2], strerror(errno));
    FILE *source = open_or_die(argv[3], "w");
    fputs("/* Generated by tools/embed from sql/. */\n#include \"db/sql.h\"\n\n"
          "#include <stddef.h>\n\n",
        source);
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        if (present[i])
            write_engine(source, argv[1], engines[i], &list);
    if (fclose(source) != 0)
        die("%s: %s", argv[3], strerror(errno));
    return 0;
}
