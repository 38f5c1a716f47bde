/*
 * The showcase as a shared object, for `kumiko serve --feature ./invoicing.so`.
 */
#include "invoicing.h"

KU_EXPORT_FEATURES(&showcase_feature);
