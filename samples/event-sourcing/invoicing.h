/*
 * Invoices: what other parts of the program may know about them.
 *
 * The events are the contract: another feature may project them.  How an invoice decides, and which
 * tables it keeps, is nobody else's business and stays in invoicing.c.
 */
#ifndef INVOICING_H
#define INVOICING_H

#include "kumiko.h"

/* An invoice that was never created is "missing": zero is the state of a stream without events. */
enum invoice_status { INVOICE_MISSING, INVOICE_DRAFT, INVOICE_APPROVED, INVOICE_PAID };

/* The row of the entity, and with it the payload of `showcase-invoice.created`. */
typedef struct invoice_row {
    ku_str customer;
    enum invoice_status status;
} invoice_row;

typedef struct invoice_approved {
    int64_t amount_cents;
    ku_str approved_by;
} invoice_approved;

typedef struct invoice_paid {
    int64_t amount_cents;
    ku_str customer; /* empty in payments of version 1, which did not say whose they were */
} invoice_paid;

typedef struct invoice_acknowledged {
    ku_str approver_id;
    ku_str approver_display_name;
} invoice_acknowledged;

extern const ku_entity invoice_entity;
extern const ku_event_type invoice_approved_event;
extern const ku_event_type invoice_paid_event;
extern const ku_event_type invoice_acknowledged_event;

/* Everything together, to be given to ku_main or ku_app_open. */
extern const ku_feature showcase_feature;

#endif
