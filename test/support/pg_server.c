/*
 * Servers for tests.  Which processes are the server's is asked of the system: they work in the
 * data folder, which nobody else does.  Each of them is in a session of its own, so there is no
 * group that could be killed at once; the postmaster goes first, so that it starts no further ones.
 */
#include "support/pg_server.h"

#include "support/process.h"

#include <assert.h>
#include <dirent.h>
#include <libpq-fe.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TOOL TEST_SOURCE_DIR "/tools/test-postgres"

struct pg_server {
    char folder[128];
    char url[256];
    pid_t owner; /* a forked child shares the list, not the servers */
    pg_server *next;
};

static pg_server *open_servers; /* those of tests that fail end with the program */

static void close_what_is_left(void)
{
    while (open_servers != NULL && open_servers->owner == getpid())
        pg_server_close(open_servers);
}

static void run_tool(const pg_server *s, const char *verb)
{
    const char *const argv[] = {TOOL, verb, s->folder, NULL};
    char *output = NULL;

    if (process_run(argv, NULL, s->folder, &output) != 0) {
        fprintf(stderr, "%s %s: %s\n", TOOL, verb, output);
        abort();
    }
    free(output);
}

/* The whole line of a file in the server's folder. */
static void read_line(const pg_server *s, const char *name, size_t size, char *ret_line)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", s->folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(ret_line, (int)size, file) == NULL) {
        perror(path);
        abort();
    }
    ret_line[strcspn(ret_line, "\n")] = '\0';
    (void)fclose(file);
}

pg_server *pg_server_open(void)
{
    pg_server *s = calloc(1, sizeof *s);
    const char *parent = getenv("TMPDIR");

    assert(s != NULL);
    (void)snprintf(
        s->folder, sizeof s->folder, "%s/kumiko-server-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(s->folder) == NULL) {
        perror(s->folder);
        abort();
    }
    if (open_servers == NULL)
        (void)atexit(close_what_is_left);
    s->owner = getpid();
    s->next = open_servers;
    open_servers = s;
    pg_server_start(s);
    return s;
}

void pg_server_start(pg_server *s)
{
    run_tool(s, "start");
    read_line(s, "url", sizeof s->url, s->url);
}

void pg_server_close(pg_server *s)
{
    const char *const argv[] = {TOOL, "stop", s->folder, NULL};
    char *output = NULL;
    pg_server **link = &open_servers;

    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    if (process_run(argv, NULL, "/", &output) != 0)
        fprintf(stderr, "%s stop: %s\n", TOOL, output);
    free(output);
    (void)rmdir(s->folder);
    free(s);
}

const char *pg_server_url(const pg_server *s)
{
    return s->url;
}

/* Sends the signal to every process that works in the folder; how many there were. */
static int signal_all(const char *folder, int signal_number)
{
    int count = 0;
    DIR *processes = opendir("/proc");

    assert(processes != NULL);
    for (const struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        char link[300], place[PATH_MAX];
        pid_t pid = atoi(entry->d_name);
        (void)snprintf(link, sizeof link, "/proc/%s/cwd", entry->d_name);
        ssize_t len = pid > 1 ? readlink(link, place, sizeof place - 1) : -1;
        if (len < 0)
            continue;
        place[len] = '\0';
        if (strcmp(place, folder) == 0) {
            count++;
            (void)kill(pid, signal_number);
        }
    }
    (void)closedir(processes);
    return count;
}

void pg_server_kill(pg_server *s)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    char path[256], data[PATH_MAX], line[64];

    (void)snprintf(path, sizeof path, "%s/server/data", s->folder);
    char *found = realpath(path, data);
    assert(found != NULL);
    (void)found;
    read_line(s, "server/data/postmaster.pid", sizeof line, line);
    (void)kill(atoi(line), SIGKILL);
    while (signal_all(data, SIGKILL) > 0)
        (void)nanosleep(&pause, NULL);
}

void pg_server_run(pg_server *s, const char *sql)
{
    PGconn *connection = PQconnectdb(s->url);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s: %s: %s", s->url, sql, PQerrorMessage(connection));
        abort();
    }
    PQclear(result);
    PQfinish(connection);
}

void pg_server_make_read_only(pg_server *s)
{
    pg_server_run(s, "ALTER SYSTEM SET default_transaction_read_only = on");
    pg_server_run(s, "SELECT pg_reload_conf()");
}
