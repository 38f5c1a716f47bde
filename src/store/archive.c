/*
 * Archiving streams (behaviour §4.5).
 *
 * An archived stream is hidden from loading and closed for appending; its events stay history.  The
 * mark is part of the stream's row and is written with the batch, so an append and an archive that
 * race are decided by the same compare as two appends, and an append behind an archive in the same
 * scope is refused.
 */
#include "store/log.h"

static ku_status find(
    ku_scope *scope, const ku_entity *entity, ku_id stream, stream_state **ret_state)
{
    stream_state *state;
    ku_status status = work_stream(scope, stream, &state);

    if (status != KU_OK)
        return status;
    if (state->type.len == 0)
        return ku_not_found(scope, entity->name, ku_id_text(scope, stream));
    if (!ku_str_is(state->type, entity->name))
        return log_type_mismatch(scope, state, entity->name);
    *ret_state = state;
    return KU_OK;
}

ku_status log_archive(ku_scope *scope, const ku_entity *entity, ku_id stream, ku_str reason)
{
    stream_state *state = NULL;
    ku_status status = find(scope, entity, stream, &state);

    if (status != KU_OK)
        return status;
    state->archived = true;
    state->archived_at = scope->now;
    state->archived_by = arena_copy(scope->work->arena, scope->user);
    state->archived_reason = arena_copy(scope->work->arena, reason);
    state->changed = true;
    return KU_OK;
}

ku_status log_restore(ku_scope *scope, const ku_entity *entity, ku_id stream)
{
    stream_state *state = NULL;
    ku_status status = find(scope, entity, stream, &state);

    if (status != KU_OK || !state->archived)
        return status;
    state->archived = false;
    state->archived_at = (ku_time){0};
    state->archived_by = state->archived_reason = (ku_str){0};
    state->changed = true;
    return KU_OK;
}
