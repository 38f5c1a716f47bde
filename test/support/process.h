/*
 * Programs under test, as real processes: started in a folder of their own, watched until they
 * listen, stopped or killed by pid.
 *
 *     process server;
 *     const char *const argv[] = {TEST_BIN_DIR "/showcase", "serve", NULL};
 *     process_start(argv, NULL, NULL, &server);     the port is in server.port
 *     int exit_code = process_stop(&server, SIGTERM);
 *     process_done(&server);
 *
 * The environment is the test's own, less every KUMIKO_ and JWT_ variable, with
 * KUMIKO_LISTEN=127.0.0.1:0 and JWT_SECRET=TEST_SECRET unless the test names its own, and with what
 * process_set_database said.
 */
#ifndef TEST_SUPPORT_PROCESS_H
#define TEST_SUPPORT_PROCESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct process {
    pid_t pid;     /* 0: it has ended and was waited for */
    int port;      /* from its line `listening on http://127.0.0.1:PORT` */
    char dir[256]; /* its working directory */
    bool own_dir;  /* made by process_start, removed by process_done */
    int exit_code; /* once ended: the exit code, or minus the signal that killed it */

    int output_fd; /* owned by the reading thread once it runs */
    pthread_t reader;
    bool reading;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    char *output; /* all it has printed so far, NUL-terminated */
    size_t output_len;
    bool output_ended;
} process;

/*
 * Programs started from now on have KUMIKO_DATABASE_URL=url, unless the test names its own; NULL:
 * they have none.
 */
void process_set_database(const char *url);

/*
 * Starts argv[0] with further `NAME=value` variables (NULL-terminated, may be NULL) in `dir` (NULL:
 * a fresh folder under the temporary one) and waits until it listens.  If it ends before that, the
 * test program fails with what it printed.  The struct must stay where it is.
 */
void process_start(
    const char *const *argv, const char *const *env, const char *dir, process *ret_process);
/* The same without waiting for a port. */
void process_spawn(
    const char *const *argv, const char *const *env, const char *dir, process *ret_process);
/* Sends the signal (0: none), waits until it has ended and returns its exit code (or -signal). */
int process_stop(process *p, int signal_number);
/* Waits until the output contains the text; false: the program ended without it. */
bool process_wait_for(process *p, const char *text);
/* A copy of what it has printed (stdout and stderr); the caller frees it. */
char *process_output(process *p);
/* Kills it if it still runs, frees everything, removes the folder if it was a fresh one. */
void process_done(process *p);

/* Runs a program to its end: its exit code, and what it printed (the caller frees; may be NULL). */
int process_run(
    const char *const *argv, const char *const *env, const char *dir, char **ret_output);

#endif
