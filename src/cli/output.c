/*
 * Output: messages, colours, tables.
 *
 * Colours are for people at a terminal: not into a pipe, not with NO_COLOR, not on a dumb terminal.
 * Text from the database may hold anything; what a terminal would obey is replaced before it is
 * shown, so that an event cannot move the cursor or rename the window of whoever looks at it.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_fail(const cli *program, ku_status status, const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    (void)fprintf(stderr, "%s %s: ", program->program, program->command);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return ku_status_exit(status);
}

int cli_fail_scope(const cli *program, ku_status status, const ku_scope *scope)
{
    const ku_str message = ku_error_message(scope);

    if (message.len == 0)
        return cli_fail(program, status, "%s", ku_status_text(status));
    return cli_fail(program, status, "%" KU_PRI, KU_FMT(message));
}

/* ---- colours -------------------------------------------------------------------------------- */

static bool has_colours(void)
{
    const char *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && cli_environment("NO_COLOR") == NULL &&
           (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

const char *cli_ink_text(cli_ink ink)
{
    static const char *const escapes[] = {
        [INK_PLAIN] = "\033[0m",
        [INK_BOLD] = "\033[1m",
        [INK_DIM] = "\033[2m",
        [INK_RED] = "\033[31m",
        [INK_GREEN] = "\033[32m",
        [INK_YELLOW] = "\033[33m",
    };
    return has_colours() ? escapes[ink] : "";
}

void cli_add_safely(buffer *b, ku_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char byte = (unsigned char)text.ptr[i];
        /* C1 controls are C2 80 to C2 9F in UTF-8. */
        const bool c1 = byte == 0xc2 && i + 1 < text.len &&
                        (unsigned char)text.ptr[i + 1] >= 0x80 &&
                        (unsigned char)text.ptr[i + 1] <= 0x9f;

        if (c1)
            i++;
        buffer_add_char(b, byte < 0x20 || byte == 0x7f || c1 ? '?' : text.ptr[i]);
    }
}

/* ---- tables --------------------------------------------------------------------------------- */

void cli_table_init(cli_table *table, arena *a, const cli_column *columns, size_t n_columns)
{
    *table = (cli_table){.arena = a, .columns = columns, .n_columns = n_columns};
}

void cli_table_add(cli_table *table, ku_str cell)
{
    buffer safe = {.arena = table->arena};

    if (table->n_cells == table->capacity) {
        const size_t capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
        ku_str *cells = arena_alloc(table->arena, capacity * sizeof(*cells));
        if (table->n_cells > 0)
            memcpy(cells, table->cells, table->n_cells * sizeof(*cells));
        table->cells = cells;
        table->capacity = capacity;
    }
    cli_add_safely(&safe, cell);
    table->cells[table->n_cells++] = buffer_str(&safe);
}

void cli_table_add_int(cli_table *table, int64_t cell)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRId64, cell);
    cli_table_add(table, ku_str_from(text));
}

/* Characters, not bytes: whatever is no continuation byte of UTF-8. */
static size_t display_width(ku_str text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return width;
}

/* Blanks are owed, and paid only when something follows them: no line ends in blanks. */
static void print_cell(FILE *file, ku_str text, size_t width, bool right, int *owed)
{
    const size_t own = display_width(text);
    const int gap = (int)(width > own ? width - own : 0);

    if (text.len > 0)
        (void)fprintf(file, "%*s%" KU_PRI, *owed + (right ? gap : 0), "", KU_FMT(text));
    *owed = (text.len > 0 ? (right ? 0 : gap) : *owed + (int)width) + 2;
}

void cli_table_print(const cli_table *table, FILE *file)
{
    const size_t columns = table->n_columns;
    size_t *widths = arena_alloc(table->arena, columns * sizeof(*widths));

    for (size_t i = 0; i < columns; i++)
        widths[i] = strlen(table->columns[i].title);
    for (size_t i = 0; i < table->n_cells; i++) {
        const size_t width = display_width(table->cells[i]);
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }

    int owed = 0;
    (void)fputs(cli_ink_text(INK_BOLD), file);
    for (size_t i = 0; i < columns; i++)
        print_cell(
            file, ku_str_from(table->columns[i].title), widths[i], table->columns[i].right, &owed);
    (void)fprintf(file, "%s\n", cli_ink_text(INK_PLAIN));
    for (size_t i = 0; i < table->n_cells; i++) {
        const size_t column = i % columns;
        owed = column == 0 ? 0 : owed;
        print_cell(file, table->cells[i], widths[column], table->columns[column].right, &owed);
        if (column + 1 == columns)
            (void)fputc('\n', file);
    }
}
