/*
 * A server that has just been started, and one that has nothing to do.
 *
 * Start-up is the time from fork to the end of the first answer, a state folded from events.  At
 * rest, the kernel's count of voluntary context switches of all its threads says how often anything
 * woke up.
 */
#include "bench.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STARTS = 5 };

static long read_status(const char *path, const char *field)
{
    char line[256];
    long value = 0;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return 0; /* the thread has ended */
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            value = strtol(line + strlen(field), NULL, 10);
    (void)fclose(file);
    return value;
}

static long count_wakes(pid_t pid)
{
    char path[512];
    long sum = 0;
    const struct dirent *entry;

    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        die("%s cannot be read", path);
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, entry->d_name);
        sum += read_status(path, "voluntary_ctxt_switches:");
    }
    (void)closedir(tasks);
    return sum;
}

static void pause_for(double seconds)
{
    const struct timespec pause = {
        (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&pause, NULL);
}

static void measure_rest(bench *b, const char *name, const child *server)
{
    const double seconds = b->quick ? 1 : 5;
    char path[64];

    pause_for(b->quick ? 0.2 : 3); /* what follows a start is over by then */
    const uint64_t cpu = cpu_ns(server->cpu);
    const long wakes = count_wakes(server->pid);
    pause_for(seconds);
    result r = {
        .unit = "wake-ups",
        .parallel = 1,
        .per_second = (double)(count_wakes(server->pid) - wakes) / seconds,
    };
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)server->pid);
    (void)snprintf(r.scenario, sizeof r.scenario, "rest: server on %s", name);
    (void)snprintf(r.note, sizeof r.note,
        "resident %.1f MiB, of that anonymous %.1f; CPU %.3f ms/s",
        (double)read_status(path, "VmRSS:") / 1024, (double)read_status(path, "RssAnon:") / 1024,
        (double)(cpu_ns(server->cpu) - cpu) / 1e6 / seconds);
    report_add(b, &r, NULL);
}

void rest_run(bench *b, const char *url, const char *name, ku_id stream)
{
    char payload[64], text[37];
    histogram *latencies = calloc(1, sizeof *latencies);
    if (latencies == NULL)
        die("out of memory");
    ku_id_format(stream, text);
    (void)snprintf(payload, sizeof payload, "{\"id\":\"%s\"}", text);
    char *request = child_request("/api/query", "showcase:query:invoice:state", payload);

    for (int i = 0; i < STARTS; i++) {
        child server;
        const uint64_t start = now_ns();
        child_start(b, url, &server);
        child_ask(&server, request);
        histogram_add(latencies, now_ns() - start);
        if (i == STARTS - 1)
            measure_rest(b, name, &server);
        child_stop(&server);
    }
    result r = {
        .unit = "starts", .parallel = 1, .note = "from fork to the end of the first answer"};
    (void)snprintf(r.scenario, sizeof r.scenario, "start: server on %s", name);
    report_add(b, &r, latencies);
    free(latencies);
    free(request);
}
