/*
 * The library's version; the build says which (CMakeLists.txt).
 */
#include "kumiko/app.h"

const char *ku_version(void)
{
    return KUMIKO_VERSION;
}
