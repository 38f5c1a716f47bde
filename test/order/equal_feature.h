/*
 * Parts: a feature that uses a field of every kind and an event in every way, so that two engines
 * have something to differ about.
 */
#ifndef TEST_ORDER_EQUAL_FEATURE_H
#define TEST_ORDER_EQUAL_FEATURE_H

#include "kumiko.h"

extern const ku_feature parts_feature;

#endif
