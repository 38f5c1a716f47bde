/*
 * What the two halves of the parts share: the entity with its events, and the read models.
 */
#ifndef TEST_ORDER_EQUAL_PARTS_H
#define TEST_ORDER_EQUAL_PARTS_H

#include "kumiko.h"

/* ---- equal_feature.c ------------------------------------------------------------------------- */

/* What JSON has as a number; the sum of some hundred still fits. */
#define AMOUNT_MAX INT64_C(9007199254740991)

enum part_grade { ROUGH, FINE, POLISHED };
typedef struct part_frame {
    bool painted;
    ku_optional_str colour;
    ku_decimal thickness;
} part_frame;
typedef struct part_row {
    ku_str code;
    ku_str family;
    ku_optional_int64 serial;
    enum part_grade grade;
    ku_optional_enum finish;
    int64_t amount;
    ku_decimal price;
    ku_optional_decimal rebate;
    double weight;
    ku_optional_double drift;
    bool active;
    ku_optional_bool checked;
    ku_time made_at;
    ku_optional_time due_at;
    ku_optional_id owner;
    ku_optional_str label;
    ku_list tags;
    ku_optional_list numbers;
    ku_list sizes;
    part_frame frame;
    ku_optional_raw extra;
} part_row;

enum part_event { WEIGHED = 1, MOVED, FLAGGED };

typedef struct part_weighed {
    int64_t grams;
    ku_optional_str note;
} part_weighed;
typedef struct part_moved {
    ku_str place;
    ku_time at;
    ku_list route;
} part_moved;
typedef struct part_flagged {
    ku_str reason;
} part_flagged;
extern const ku_entity part_entity;
extern const ku_event_type part_weighed_event;
extern const ku_event_type part_moved_event;
extern const ku_event_type part_flagged_event;

/* ---- equal_models.c -------------------------------------------------------------------------- */

extern const ku_table part_family_table;
extern const ku_table part_code_table;
extern const ku_table part_place_table;
extern const ku_table part_weight_sum_table;

extern const ku_projection part_family_projection;
extern const ku_projection part_code_projection;
extern const ku_projection part_place_projection;
extern const ku_multi_stream_projection part_weight_projection;
extern const ku_multi_stream_projection part_mood_projection;
extern const ku_multi_stream_projection part_heaviest_projection;
extern const ku_multi_stream_projection part_flag_projection;
extern const ku_multi_stream_projection part_scrap_projection;

#endif
