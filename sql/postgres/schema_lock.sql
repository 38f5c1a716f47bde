-- postgres only
-- Keeps other processes from changing the tables of this schema until the transaction ends; and
-- lets it take its time.  -> nothing of interest
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),
    set_config('idle_in_transaction_session_timeout', '60s', true),
    pg_advisory_xact_lock(hashtext('kumiko'), hashtext(current_schema()));
