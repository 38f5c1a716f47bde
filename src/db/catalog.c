/*
 * The statements that are not in sql/, and the database in memory.
 *
 * A catalog is filled by one thread before the first connection opens and does not change from then
 * on, so connections read it without a lock.  Numbers go on where those of sql/ end.
 *
 * A database "in memory" is a file in a folder of its own on a file system that is memory, because
 * that is the one kind that behaves as the real thing does: a log, readers that see snapshots, a
 * writer that nobody blocks.  (A shared cache has table locks; a memory VFS has no log.)  It
 * belongs to the catalog, so that all connections with that catalog see the same one, and is
 * removed with it.  What a killed process has left behind is removed by the next one that makes
 * such a folder.
 */
#include "db/engine.h"

#include "db/sql.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char folder_prefix[] = "kumiko-memory-";

db_catalog *db_catalog_new(void)
{
    db_catalog *catalog = mem_zero(1, sizeof(*catalog));
    catalog->memory = mem_zero(1, sizeof(*catalog->memory));
    pthread_mutex_init(&catalog->memory->lock, NULL);
    return catalog;
}

int db_catalog_add_dialects(db_catalog *catalog, const ku_str texts[DB_DIALECTS_])
{
    if (catalog->n_texts == catalog->capacity) {
        catalog->capacity = catalog->capacity == 0 ? 32 : 2 * catalog->capacity;
        catalog->texts = mem_grow(catalog->texts, catalog->capacity * sizeof(*catalog->texts));
    }
    for (int i = 0; i < DB_DIALECTS_; i++)
        catalog->texts[catalog->n_texts].text[i] = arena_copy(&catalog->arena, texts[i]);
    return SQL_COUNT_ + (int)catalog->n_texts++;
}

int db_catalog_add(db_catalog *catalog, ku_str sql)
{
    const ku_str texts[DB_DIALECTS_] = {sql, sql};

    return db_catalog_add_dialects(catalog, texts);
}

static int add_verb(db_catalog *catalog, const db_table *table, table_verb verb)
{
    arena a = {0};
    ku_str texts[DB_DIALECTS_];

    for (int i = 0; i < DB_DIALECTS_; i++) {
        buffer b = {.arena = &a};
        table_statement((db_dialect)i, table, verb, &b);
        texts[i] = buffer_str(&b);
    }
    int sql = db_catalog_add_dialects(catalog, texts);
    arena_done(&a);
    return sql;
}

db_table_statements db_catalog_add_table(db_catalog *catalog, const db_table *table)
{
    return (db_table_statements){
        .get = add_verb(catalog, table, TABLE_GET),
        .insert = add_verb(catalog, table, TABLE_INSERT),
        .update = add_verb(catalog, table, TABLE_UPDATE),
        .put = add_verb(catalog, table, TABLE_PUT),
        .add = add_verb(catalog, table, TABLE_ADD),
        .remove = add_verb(catalog, table, TABLE_REMOVE),
        .remove_at = add_verb(catalog, table, TABLE_REMOVE_AT),
    };
}

void db_catalog_free(db_catalog *catalog)
{
    if (catalog == NULL)
        return;
    memory_place_remove(catalog->memory);
    pthread_mutex_destroy(&catalog->memory->lock);
    free(catalog->memory);
    free(catalog->texts);
    arena_done(&catalog->arena);
    free(catalog);
}

/* ---- the place of a database in memory ------------------------------------------------------- */

/* Removes a folder of ours with the files in it. */
static void remove_folder(const char *folder)
{
    struct dirent *entry;
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL)
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    (void)rmdir(folder);
}

/* Nobody is left who could use it: its maker is gone, and so is the owner of its lock. */
static bool is_abandoned(const char *folder, const char *name)
{
    char path[512];
    int pid = atoi(name + sizeof(folder_prefix) - 1);
    if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
        return false;

    int lock = -1;
    ku_error error;
    snprintf(path, sizeof(path), "%s/db", folder);
    if (owner_lock_take(path, &lock, &error) != KU_OK)
        return false;
    owner_lock_drop(lock);
    return true;
}

static void remove_abandoned(const char *root)
{
    char path[512];
    struct dirent *entry;
    struct stat info;
    DIR *directory = opendir(root);
    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, folder_prefix, sizeof(folder_prefix) - 1) != 0)
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", root, entry->d_name) >= (int)sizeof(path))
            continue;
        if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
            is_abandoned(path, entry->d_name))
            remove_folder(path);
    }
    closedir(directory);
}

bool memory_place_make(memory_place *place)
{
    const char *temporary = getenv("TMPDIR");
    const char *const roots[] = {"/dev/shm", temporary != NULL ? temporary : "/tmp", "/tmp"};
    bool made = true;

    pthread_mutex_lock(&place->lock);
    if (place->folder[0] == '\0') {
        made = false;
        for (size_t i = 0; i < KU_COUNT(roots) && !made; i++) {
            char folder[sizeof(place->folder)];
            int length = snprintf(
                folder, sizeof(folder), "%s/%s%d-XXXXXX", roots[i], folder_prefix, (int)getpid());
            if (length >= (int)sizeof(folder))
                continue;
            remove_abandoned(roots[i]);
            made = mkdtemp(folder) != NULL;
            if (made)
                memcpy(place->folder, folder, sizeof(folder));
        }
    }
    pthread_mutex_unlock(&place->lock);
    return made;
}

void memory_place_remove(memory_place *place)
{
    if (place->folder[0] != '\0')
        remove_folder(place->folder);
    place->folder[0] = '\0';
}
