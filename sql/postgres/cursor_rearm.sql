-- Makes halted lanes runnable again.  $1 consumer, or '' for all, $2 now
UPDATE ku_cursors SET status = 'idle', attempts = 0, retry_at = 'epoch', updated_at = $2
WHERE status = 'halted' AND ($1 = '' OR consumer = $1);
