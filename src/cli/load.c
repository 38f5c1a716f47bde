/*
 * Features from shared objects.
 *
 * A shared object says with KU_EXPORT_FEATURES which ABI it was compiled for and which features it
 * has.  The ABI is looked at before anything else in it, because with another one the structs mean
 * something else.  What was loaded is never unloaded: features must outlive the application.
 */
#include "base/error.h"
#include "cli/cli.h"

#include <dlfcn.h>
#include <string.h>

typedef struct feature_list {
    const ku_feature **items; /* NULL-terminated */
    size_t count;
} feature_list;

static void list_add(feature_list *list, const ku_feature *const *features)
{
    for (; features != NULL && *features != NULL; features++) {
        list->items = mem_grow(list->items, (list->count + 2) * sizeof(const ku_feature *));
        list->items[list->count++] = *features;
        list->items[list->count] = NULL;
    }
}

/* dlopen looks for a name without a slash in the system's library folders; a file is meant here. */
static void *open_object(const char *file, ku_error *ret_error)
{
    char path[4096];

    const int length =
        snprintf(path, sizeof(path), "%s%s", strchr(file, '/') == NULL ? "./" : "", file);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        (void)error_set(ret_error, KU_INVALID, "the path of the feature is too long: %s", file);
        return NULL;
    }
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL)
        (void)error_set(ret_error, KU_INVALID, "cannot load the feature %s: %s", file, dlerror());
    return object;
}

static ku_status load_file(const char *file, feature_list *list, ku_error *ret_error)
{
    void *object = open_object(file, ret_error);
    if (object == NULL)
        return KU_INVALID;

    const int *abi = dlsym(object, "kumiko_feature_abi");
    if (abi == NULL)
        return error_set(ret_error, KU_INVALID,
            "%s is no feature: it does not export kumiko_feature_abi (see KU_EXPORT_FEATURES)",
            file);
    if (*abi != KU_ABI_VERSION)
        return error_set(ret_error, KU_INVALID,
            "%s was built for ABI %d of Kumiko, this program has ABI %d: build it again", file,
            *abi, KU_ABI_VERSION);

    const ku_feature *const *features = dlsym(object, "kumiko_features");
    if (features == NULL || *features == NULL)
        return error_set(
            ret_error, KU_INVALID, "%s exports no features (see KU_EXPORT_FEATURES)", file);
    list_add(list, features);
    return KU_OK;
}

ku_status cli_load_features(const cli *program, const cli_options *options,
    const ku_feature *const **ret_features, ku_error *ret_error)
{
    static feature_list list; /* reachable to the end, as what it points at */

    list.items = mem_grow(list.items, sizeof(const ku_feature *));
    list.items[0] = NULL;
    list.count = 0;
    list_add(&list, program->features);
    for (size_t i = 0; i < options->n_feature_files; i++) {
        const ku_status status = load_file(options->feature_files[i], &list, ret_error);
        if (status != KU_OK)
            return status;
    }
    *ret_features = list.items;
    return KU_OK;
}
