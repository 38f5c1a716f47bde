/*
 * Kumiko: event sourcing for C.
 *
 * Start with kumiko/feature.h (what a domain looks like) and kumiko/app.h (how it runs).
 */
#ifndef KUMIKO_H
#define KUMIKO_H

#include "kumiko/app.h"
#include "kumiko/entity.h"
#include "kumiko/event.h"
#include "kumiko/feature.h"
#include "kumiko/json.h"
#include "kumiko/scope.h"
#include "kumiko/shape.h"
#include "kumiko/status.h"
#include "kumiko/table.h"
#include "kumiko/value.h"

#endif
