/*
 * The approver directory: which name belongs to an approver's id.
 */
#ifndef DIRECTORY_H
#define DIRECTORY_H

#include "kumiko.h"

extern const ku_entity approver_entity;
extern const ku_projection approver_directory_projection;

/*
 * The approver's name in the tenant of the scope; `unknown:<id>` if the directory has none, because
 * an invoice that was acknowledged stays acknowledged whoever leaves the company.
 */
ku_status approver_display_name(ku_scope *scope, ku_str approver_id, ku_str *ret_name);

#endif
