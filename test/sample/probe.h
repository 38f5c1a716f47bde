/*
 * The probe: a feature that shows tests what no client of an application needs to see.
 */
#ifndef TEST_SAMPLE_PROBE_H
#define TEST_SAMPLE_PROBE_H

#include "kumiko.h"

/*
 * Queries, for the role Admin:
 *   probe:query:events {id}      the events of a stream, archived or not, oldest first
 *   probe:query:stream {entity?} all events of an entity, ten at a time: {count, types: […]}
 */
extern const ku_feature probe_feature;

#endif
