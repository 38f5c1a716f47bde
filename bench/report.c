/*
 * What was measured, as a table for people or as JSON for programs.
 *
 * Rows appear as they are measured.  With --json the table goes to stderr and stdout gets one
 * document in the end.
 */
#include "bench.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { SYNCS = 200, BLOCK = 4096 };

typedef struct machine {
    char processor[128];
    char kernel[256];
    long cores;
    const char *place;
    const char *engine;
    char engine_version[64], settings[160];
} machine;

static void read_processor(char *ret_name, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");

    (void)snprintf(ret_name, size, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", strlen("model name")) != 0 || colon == NULL)
            continue;
        (void)snprintf(ret_name, size, "%.*s", (int)strcspn(colon + 2, "\n\"\\"), colon + 2);
        break;
    }
    if (file != NULL)
        (void)fclose(file);
}

static const char *kind_of_place(const char *dir)
{
    struct statfs place;

    if (statfs(dir, &place) != 0)
        return "unknown";
    switch ((unsigned long)place.f_type) {
    case TMPFS_MAGIC:
        return "tmpfs: NOTHING HERE IS DURABLE";
    case EXT4_SUPER_MAGIC:
        return "ext4";
    case XFS_SUPER_MAGIC:
        return "xfs";
    case BTRFS_SUPER_MAGIC:
        return "btrfs";
    case OVERLAYFS_SUPER_MAGIC:
        return "overlayfs";
    default:
        return "another file system";
    }
}

static void ask_engine(const bench *b, machine *ret_machine)
{
    machine *m = ret_machine;

    if (b->url == NULL) {
        m->engine = "SQLite";
        (void)snprintf(m->engine_version, sizeof m->engine_version, "%s", sqlite3_libversion());
        (void)snprintf(m->settings, sizeof m->settings, "WAL, synchronous=FULL, pages of 4096");
        return;
    }
    PGconn *connection = postgres_open(b->url);
    m->engine = "PostgreSQL";
    postgres_ask(connection, "SHOW server_version", m->engine_version, sizeof m->engine_version);
    postgres_ask(connection,
        "SELECT string_agg(name || '=' || setting, ', ' ORDER BY name) FROM pg_settings "
        "WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers')",
        m->settings, sizeof m->settings);
    PQfinish(connection);
}

static machine look_around(const bench *b)
{
    machine m = {.cores = sysconf(_SC_NPROCESSORS_ONLN), .place = kind_of_place(b->dir)};
    struct utsname kernel;

    read_processor(m.processor, sizeof m.processor);
    ask_engine(b, &m);
    if (uname(&kernel) == 0)
        (void)snprintf(m.kernel, sizeof m.kernel, "%s %s", kernel.sysname, kernel.release);
    return m;
}

static FILE *table_of(const bench *b)
{
    return b->json ? stderr : stdout;
}

void report_open(const bench *b)
{
    const machine m = look_around(b);
    FILE *out = table_of(b);

    (void)fprintf(out,
        "kumiko %s, %s %s (%s)\n"
        "%ld cores of %s, %s, %s; %.1f s per measurement\n\n",
        ku_version(), m.engine, m.engine_version, m.settings, m.cores, m.processor, m.kernel,
        m.place, b->seconds);
    (void)fprintf(out, "%-34s %4s %19s %9s %9s %9s %8s %6s\n", "scenario", "by", "rate", "p50",
        "p99", "max", "CPU us", "floor");
    (void)fflush(out);
}

static const char *duration(double microseconds, char text[16])
{
    if (microseconds <= 0)
        (void)snprintf(text, 16, "-");
    else if (microseconds < 1000)
        (void)snprintf(text, 16, "%.0f us", microseconds);
    else if (microseconds < 1e6)
        (void)snprintf(text, 16, "%.2f ms", microseconds / 1e3);
    else
        (void)snprintf(text, 16, "%.2f s", microseconds / 1e6);
    return text;
}

/* No wake-up in five seconds is a rate, too. */
static bool has_rate(const result *r)
{
    return r->p50_us <= 0 || r->per_second > 0;
}

static void print_row(FILE *out, const result *r)
{
    char rate[40] = "-", p50[16], p99[16], max[16], cpu[16] = "-", ratio[16] = "-";

    if (has_rate(r))
        (void)snprintf(rate, sizeof rate, r->per_second < 100 ? "%.1f %s/s" : "%.0f %s/s",
            r->per_second, r->unit);
    if (r->cpu_us > 0)
        (void)snprintf(cpu, sizeof cpu, "%.1f", r->cpu_us);
    if (r->floor_ratio > 0)
        (void)snprintf(ratio, sizeof ratio, "%.2f", r->floor_ratio);
    (void)fprintf(out, "%-34s %4d %19s %9s %9s %9s %8s %6s  %s\n", r->scenario, r->parallel, rate,
        duration(r->p50_us, p50), duration(r->p99_us, p99), duration(r->max_us, max), cpu, ratio,
        r->note);
    (void)fflush(out);
}

void report_add(bench *b, const result *measured, const histogram *latencies)
{
    result *results = realloc(b->results, (b->n_results + 1) * sizeof *results);
    assert(results != NULL);
    result *r = &results[b->n_results++];
    b->results = results;
    *r = *measured;
    if (latencies != NULL && latencies->count > 0) {
        r->p50_us = (double)histogram_at(latencies, 0.5) / 1e3;
        r->p99_us = (double)histogram_at(latencies, 0.99) / 1e3;
        r->max_us = (double)latencies->max / 1e3;
    }
    print_row(table_of(b), r);
}

static void print_number(const char *name, double value, bool measured)
{
    if (measured)
        (void)printf(",\"%s\":%.3f", name, value);
    else
        (void)printf(",\"%s\":null", name);
}

void report_close(bench *b)
{
    const machine m = look_around(b);

    if (!b->json)
        return;
    (void)printf("{\"version\":\"%s\",\"engine\":\"%s\",\"engineVersion\":\"%s\","
                 "\"settings\":\"%s\",\"cores\":%ld,\"processor\":\"%s\",\"kernel\":\"%s\","
                 "\"place\":\"%s\",\"seconds\":%.3f,\"results\":[",
        ku_version(), m.engine, m.engine_version, m.settings, m.cores, m.processor, m.kernel,
        m.place, b->seconds);
    for (size_t i = 0; i < b->n_results; i++) {
        const result *r = &b->results[i];
        (void)printf("%s\n{\"scenario\":\"%s\",\"parallel\":%d,\"unit\":\"%s\"", i > 0 ? "," : "",
            r->scenario, r->parallel, r->unit);
        print_number("perSecond", r->per_second, has_rate(r));
        print_number("p50Us", r->p50_us, r->p50_us > 0);
        print_number("p99Us", r->p99_us, r->p99_us > 0);
        print_number("maxUs", r->max_us, r->max_us > 0);
        print_number("cpuUs", r->cpu_us, r->cpu_us > 0);
        print_number("floorRatio", r->floor_ratio, r->floor_ratio > 0);
        print_number("roundTrips", r->round_trips, r->round_trips > 0);
        print_number("statements", r->statements, r->statements > 0);
        (void)printf(",\"note\":\"%s\"}", r->note);
    }
    (void)printf("\n]}\n");
}

/* ---- the disk -------------------------------------------------------------------------------- */

/* A block and a flush, again and again: at the end of the file, or over what is there. */
static void measure_sync(bench *b, int fd, const char *name)
{
    static const char block[BLOCK];
    histogram *latencies = calloc(1, sizeof *latencies);
    assert(latencies != NULL);
    const int syncs = b->quick ? SYNCS / 10 : SYNCS;

    const uint64_t begin = now_ns();
    for (int i = 0; i < syncs; i++) {
        if (pwrite(fd, block, sizeof block, (off_t)i * BLOCK) != (ssize_t)sizeof block)
            die("write: %s", strerror(errno));
        const uint64_t start = now_ns();
        if (fdatasync(fd) != 0)
            die("fdatasync: %s", strerror(errno));
        histogram_add(latencies, now_ns() - start);
    }
    result r = {.parallel = 1, .unit = "syncs", .per_second = syncs / seconds_since(begin)};
    (void)snprintf(r.scenario, sizeof r.scenario, "%s", name);
    report_add(b, &r, latencies);
    free(latencies);
}

void disk_run(bench *b)
{
    if (!bench_wants(b, "disk: fdatasync"))
        return;
    char *path = bench_path(b, "sync");
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    measure_sync(b, fd, "disk: fdatasync, file grows");
    measure_sync(b, fd, "disk: fdatasync, overwriting");
    (void)close(fd);
    free(path);
}
