-- Registers a consumer, if it is new.  $1 consumer, $2 now
INSERT INTO ku_consumers(consumer, created_at) VALUES ($1, $2)
ON CONFLICT (consumer) DO NOTHING;
