/* A shared object that has nothing to do with Kumiko. */
#include "kumiko/value.h"

KU_API int unrelated(void);

int unrelated(void)
{
    return 1;
}
