/* Errors where there is no scope. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

ku_status error_set(ku_error *ret_error, ku_status status, const char *format, ...)
{
    va_list args;

    if (ret_error == NULL)
        return status;
    ret_error->status = status;
    va_start(args, format);
    (void)vsnprintf(ret_error->message, sizeof(ret_error->message), format, args);
    va_end(args);
    return status;
}
