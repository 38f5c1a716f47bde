/*
 * Who writes a file.
 *
 * The lock is an open file description lock on `<path>.lock`, so the kernel releases it when the
 * last descriptor of the process is gone, however it died, and no other open or close of the file
 * in the same process can drop it by accident.  The file's text is the owner's process id, for the
 * message only.  The file stays: removing it would race with another process that is opening it.
 */
#include "base/error.h"
#include "db/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ku_status owner_lock_take(const char *path, int *ret_descriptor, ku_error *ret_error)
{
    char name[4096 + 8];
    char text[32] = "";

    if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
        return error_set(ret_error, KU_INVALID, "the path of the database is too long");
    int descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return error_set(ret_error, KU_UNAVAILABLE, "cannot open '%s': %s", name, strerror(errno));

    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_OFD_SETLK, &lock) != 0) {
        int reason = errno;
        ssize_t length = pread(descriptor, text, sizeof(text) - 1, 0);
        close(descriptor);
        if (reason != EAGAIN && reason != EACCES)
            return error_set(
                ret_error, KU_UNAVAILABLE, "cannot lock '%s': %s", name, strerror(reason));
        if (length > 0 && text[length - 1] == '\n')
            text[length - 1] = '\0';
        return error_set(ret_error, KU_CONFLICT,
            "'%s' is in use by process %s: one process writes a file at a time", path,
            length > 0 ? text : "(unknown)");
    }
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, (size_t)length, 0) != length) {
        int reason = errno;
        close(descriptor);
        return error_set(
            ret_error, KU_UNAVAILABLE, "cannot write '%s': %s", name, strerror(reason));
    }
    *ret_descriptor = descriptor;
    return KU_OK;
}

void owner_lock_drop(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}
