UPDATE node_session
   SET expires_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $2 * 1000
 WHERE session_id = $1 AND expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
