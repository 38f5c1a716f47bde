/*
 * Processes for tests.  A thread reads the program's output all the time, so that a program never
 * blocks on a full pipe, and whoever waits for a text is woken whenever there is more.
 */
#include "support/process.h"
#include "support/http_token.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool names_same_variable(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strncmp(a, b, len) == 0 && b[len] == '=';
}

static char database_variable[1100]; /* empty: none */

void process_set_database(const char *url)
{
    if (url != NULL)
        (void)snprintf(database_variable, sizeof database_variable, "KUMIKO_DATABASE_URL=%s", url);
    else
        database_variable[0] = '\0';
}

/* The environment of the child: the test's own without ours, the usual values, what was asked for.
 */
static const char **make_environment(const char *const *env)
{
    const char *const usual[] = {
        "KUMIKO_LISTEN=127.0.0.1:0", "JWT_SECRET=" TEST_SECRET, database_variable};
    size_t n = 4;
    for (char **variable = environ; *variable != NULL; variable++)
        n++;
    for (size_t i = 0; env != NULL && env[i] != NULL; i++)
        n++;
    const char **made = calloc(n, sizeof *made);
    assert(made != NULL);
    size_t out = 0;
    for (char **variable = environ; *variable != NULL; variable++) {
        if (strncmp(*variable, "KUMIKO_", 7) != 0 && strncmp(*variable, "JWT_", 4) != 0)
            made[out++] = *variable;
    }
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        bool replaced = usual[i][0] == '\0';
        for (size_t k = 0; env != NULL && env[k] != NULL; k++)
            replaced |= names_same_variable(usual[i], env[k]);
        if (!replaced)
            made[out++] = usual[i];
    }
    for (size_t i = 0; env != NULL && env[i] != NULL; i++)
        made[out++] = env[i];
    return made;
}

static void *read_output(void *context)
{
    process *p = context;
    char bytes[4096];
    for (;;) {
        ssize_t got = read(p->output_fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        pthread_mutex_lock(&p->lock);
        if (got > 0) {
            p->output = realloc(p->output, p->output_len + (size_t)got + 1);
            assert(p->output != NULL);
            memcpy(p->output + p->output_len, bytes, (size_t)got);
            p->output_len += (size_t)got;
            p->output[p->output_len] = '\0';
        } else {
            p->output_ended = true;
        }
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        if (got <= 0)
            return NULL;
    }
}

static void make_dir(const char *dir, process *p)
{
    if (dir != NULL) {
        (void)snprintf(p->dir, sizeof p->dir, "%s", dir);
        return;
    }
    const char *parent = getenv("TMPDIR");
    (void)snprintf(
        p->dir, sizeof p->dir, "%s/kumiko-test-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(p->dir) == NULL) {
        perror(p->dir);
        abort();
    }
    p->own_dir = true;
}

void process_spawn(
    const char *const *argv, const char *const *env, const char *dir, process *ret_process)
{
    process *p = ret_process;
    memset(p, 0, sizeof *p);
    make_dir(dir, p);
    const char **environment = make_environment(env);
    char *program = realpath(argv[0], NULL); /* the child changes its folder first */
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    pid_t pid = fork();
    assert(pid >= 0);
    if (pid == 0) {
        if (dup2(ends[1], 1) < 0 || dup2(ends[1], 2) < 0 || chdir(p->dir) != 0)
            _exit(127);
        execve(program != NULL ? program : argv[0], (char *const *)(uintptr_t)argv,
            (char *const *)(uintptr_t)environment);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    free(environment);
    free(program);
    p->pid = pid;
    p->output_fd = ends[0];
    p->output = calloc(1, 1);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    int failed = pthread_create(&p->reader, NULL, read_output, p);
    assert(failed == 0);
    p->reading = true;
}

bool process_wait_for(process *p, const char *text)
{
    pthread_mutex_lock(&p->lock);
    bool found;
    while (!(found = strstr(p->output, text) != NULL) && !p->output_ended)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return found;
}

char *process_output(process *p)
{
    pthread_mutex_lock(&p->lock);
    char *copy = strdup(p->output);
    pthread_mutex_unlock(&p->lock);
    assert(copy != NULL);
    return copy;
}

/* The port of the complete line that says where it listens; 0: there is none yet. */
static int find_port(const char *output)
{
    static const char marker[] = "listening on http://";
    const char *line = strstr(output, marker);
    if (line == NULL)
        return 0;
    line += sizeof marker - 1;
    size_t len = strcspn(line, "\r\n");
    if (line[len] == '\0')
        return 0;
    for (size_t i = len; i > 0; i--) {
        if (line[i - 1] == ':')
            return atoi(line + i);
    }
    return 0;
}

void process_start(
    const char *const *argv, const char *const *env, const char *dir, process *ret_process)
{
    process *p = ret_process;
    process_spawn(argv, env, dir, p);
    pthread_mutex_lock(&p->lock);
    while ((p->port = find_port(p->output)) == 0 && !p->output_ended)
        pthread_cond_wait(&p->changed, &p->lock);
    if (p->port == 0) {
        fprintf(stderr, "%s ended without listening; it printed:\n%s\n", argv[0], p->output);
        abort();
    }
    pthread_mutex_unlock(&p->lock);
}

int process_stop(process *p, int signal_number)
{
    if (p->pid != 0) {
        if (signal_number != 0)
            (void)kill(p->pid, signal_number);
        int status;
        while (waitpid(p->pid, &status, 0) < 0)
            assert(errno == EINTR);
        p->pid = 0;
        p->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    if (p->reading) {
        pthread_join(p->reader, NULL);
        close(p->output_fd);
        p->reading = false;
    }
    return p->exit_code;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void process_done(process *p)
{
    (void)process_stop(p, SIGKILL);
    if (p->own_dir)
        (void)nftw(p->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->output);
    memset(p, 0, sizeof *p);
}

int process_run(const char *const *argv, const char *const *env, const char *dir, char **ret_output)
{
    process p;
    process_spawn(argv, env, dir, &p);
    int exit_code = process_stop(&p, 0);
    if (ret_output != NULL)
        *ret_output = process_output(&p);
    process_done(&p);
    return exit_code;
}
