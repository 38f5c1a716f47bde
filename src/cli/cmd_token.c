/*
 * token: mints a token for development.
 *
 * Whoever has the secret is whoever he says he is.  Issuing tokens to real users is the business of
 * an identity provider that shares the secret; this is for curl and for tests.
 */
#include "cli/secrets.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

enum { OPTION_DEVELOPMENT = 256 };
enum { DAY_S = 24 * 60 * 60, LIFETIME_MAX_S = 10 * 365 * DAY_S };

typedef struct token_options {
    cli_options common;
    ku_user user;
    ku_str roles[LIMIT_ROLES];
    int64_t lifetime_s;
    bool development;
} token_options;

static const struct argp_option options[] = {
    {"tenant",                                                      't', "UUID", 0, "Whose data (default: 00000000-0000-4000-8000-000000000001)", 0},
    {"user",                                                       'u', "ID", 0, "Who (default: 11111111-0000-4000-8000-000000000001)", 0},
    {"role", 'r', "NAME", 0, "A role the user has; may be repeated", 0},
    {"expires",                                                             'e', "TIME", 0, "When it ends, from now: 90s, 15m, 8h, 30d (default: 24h)", 0},
    {"development",    OPTION_DEVELOPMENT, NULL, 0,
     "Without JWT_SECRET, use the secret of `serve --development`", 0},
    {0                                                           },
};

static const char about[] =
    "Mint a token for development and print it."
    "\v"
    "Signed with JWT_SECRET, or with the secret that JWT_SECRET_CURRENT_VERSION names.\n"
    "\n"
    "    curl -H \"Authorization: Bearer $(kumiko token --role Admin)\" …";

/* Seconds, or a number with a unit. */
static int64_t parse_lifetime(struct argp_state *state, const char *text)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {
        {'s', 1      },
        {'m', 60     },
        {'h', 60 * 60},
        {'d', DAY_S  }
    };
    char digits[16] = "";
    int64_t factor = 1, count = 0;
    size_t length = strlen(text);

    for (size_t i = 0; i < KU_COUNT(units); i++) {
        if (length > 0 && text[length - 1] == units[i].unit) {
            factor = units[i].seconds;
            length--;
            break;
        }
    }
    if (length < sizeof(digits))
        memcpy(digits, text, length);
    if (!cli_parse_int(digits, 1, LIFETIME_MAX_S / factor, &count))
        argp_error(
            state, "--expires: `%s` is not a time such as 15m, 8h or 30d, at most ten years", text);
    return count * factor;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    token_options *token = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        cli_give_children(state, 1, &token->common);
        return 0;
    case 't':
        token->user.tenant = cli_parse_id(state, "--tenant", argument);
        return 0;
    case 'u':
        if (*argument == '\0' || strlen(argument) > LIMIT_USER_BYTES)
            argp_error(state, "--user: 1 to %d bytes", LIMIT_USER_BYTES);
        token->user.id = ku_str_from(argument);
        return 0;
    case 'r':
        if (token->user.n_roles == LIMIT_ROLES)
            argp_error(state, "at most %d roles", LIMIT_ROLES);
        token->roles[token->user.n_roles++] = ku_str_from(argument);
        return 0;
    case 'e':
        token->lifetime_s = parse_lifetime(state, argument);
        return 0;
    case OPTION_DEVELOPMENT:
        token->development = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_json(arena *a, const ku_user *user, ku_str text, ku_time expires)
{
    buffer b = {.arena = a};

    buffer_add_char(&b, '{');
    json_put_key(&b, "token");
    json_put_text(&b, text);
    json_put_key(&b, "tenantId");
    json_put_id(&b, user->tenant);
    json_put_key(&b, "userId");
    json_put_text(&b, user->id);
    json_put_key(&b, "roles");
    buffer_add_char(&b, '[');
    for (size_t i = 0; i < user->n_roles; i++) {
        if (i > 0)
            buffer_add_char(&b, ',');
        json_put_text(&b, user->roles[i]);
    }
    buffer_add_char(&b, ']');
    json_put_key(&b, "expiresAt");
    json_put_time(&b, expires);
    buffer_add_char(&b, '}');
    (void)printf("%" KU_PRI "\n", KU_FMT(buffer_str(&b)));
}

int cmd_token(const cli *program, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&cli_argp_json, 0, NULL, 0},
        {0         }
    };
    static const struct argp argp = {options, parse, NULL, about, children, cli_help_filter, NULL};
    token_options token = {
        .user.id = KU_STR("11111111-0000-4000-8000-000000000001"),
        .lifetime_s = DAY_S,
    };
    cli_secrets secrets;
    ku_error error = {0};
    arena a = {0};

    (void)ku_id_parse(KU_STR("00000000-0000-4000-8000-000000000001"), &token.user.tenant);
    cli_parse(program, &argp, argc, argv, &token);
    token.user.roles = token.roles;

    const ku_status status = cli_secrets_read(token.development, &secrets, &error);
    if (status != KU_OK)
        return cli_fail(program, status, "%s", error.message);

    const ku_time now = clock_now(&(clock_source){0});
    const ku_str text = token_mint(&a, &secrets.keys[0], NULL, &token.user, now, token.lifetime_s);
    if (token.common.json)
        print_json(&a, &token.user, text, (ku_time){now.unix_us + token.lifetime_s * 1000000});
    else
        (void)printf("%" KU_PRI "\n", KU_FMT(text));
    arena_done(&a);
    return 0;
}
