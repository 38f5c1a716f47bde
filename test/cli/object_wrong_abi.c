/* A feature as a program of another ABI would have compiled it. */
#include "kumiko.h"

KU_API extern const int kumiko_feature_abi;
KU_API extern const ku_feature *const kumiko_features[];

const int kumiko_feature_abi = KU_ABI_VERSION + 98;
/* Not to be looked at: with another ABI it would be something else. */
const ku_feature *const kumiko_features[] = {(const ku_feature *)1, NULL};
