/*
 * Every limit of the system, in one place.
 *
 * A limit is enforced at the edge that lets the thing in; nothing inside checks it again.  Each has
 * a test at its edge.
 */
#ifndef KU_BASE_LIMITS_H
#define KU_BASE_LIMITS_H

enum {
    LIMIT_BODY_BYTES = 1048576,     /* a request's body (behaviour §1.4) */
    LIMIT_PAYLOAD_DEPTH = 20,       /* nesting below the payload, whose own depth is 0 */
    LIMIT_JSON_DEPTH = 64,          /* of any document; bounds the parser's recursion */
    LIMIT_EVENTS_PER_SCOPE = 1000,  /* appended by one command */
    LIMIT_COMMANDS_PER_BATCH = 200, /* of POST /api/batch */
    LIMIT_LIST_PAGE = 200,          /* rows of one page of a list */
    LIMIT_LIST_DEFAULT = 50,
    LIMIT_LIST_FILTERS = 32,
    LIMIT_FILTER_IN = 200,         /* values of one `in` filter */
    LIMIT_HEADER_KEYS = 32,        /* headers of an event */
    LIMIT_HEADER_BYTES = 8192,     /* of all headers of an event, as JSON */
    LIMIT_NAME_BYTES = 120,        /* a qualified name */
    LIMIT_REQUEST_ID_BYTES = 128,  /* an idempotency key of a request or an event */
    LIMIT_USER_BYTES = 128,        /* a user id */
    LIMIT_ROLES = 32,              /* roles in a token */
    LIMIT_FIELDS_PER_SHAPE = 64,   /* `ku_change.changed` is one bit each */
    LIMIT_ISSUES = 50,             /* field issues listed in one error */
    LIMIT_SCOPES_PER_COMMIT = 512, /* commands that share a flush */
    LIMIT_LANES = 64,              /* of one tenant */
    LIMIT_WRITERS = 64,            /* write connections of one process */
    LIMIT_WRITE_QUEUE = 4096,      /* waiting commands; more are answered 503 */
    LIMIT_QUERY_QUEUE = 4096,      /* waiting queries */
    LIMIT_TOKEN_BYTES = 8192,      /* a bearer token */
    LIMIT_CACHED_TOKENS = 4096,    /* verified tokens kept until they expire */
    LIMIT_RETRIES = 10,            /* `.retries` of a handler */
    LIMIT_RATE_BUCKETS = 65536,    /* token buckets kept in memory */
    LIMIT_CONNECTIONS = 4096,      /* open HTTP connections */
};

#endif
