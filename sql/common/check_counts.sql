-- How much there is.  -> events, streams, lanes
SELECT (SELECT count(*) FROM ku_events), (SELECT count(*) FROM ku_streams),
    (SELECT count(*) FROM ku_lanes);
