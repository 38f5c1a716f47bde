-- Every registered consumer.  -> consumer
SELECT consumer FROM ku_consumers ORDER BY consumer;
