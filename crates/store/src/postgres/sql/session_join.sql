INSERT INTO node_session (session_id, node, address, build, started_at, expires_at)
SELECT $1, $2, $3, $4, now.micros, now.micros + $5 * 1000
  FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros) AS now
ON CONFLICT (session_id) DO UPDATE
   SET node = excluded.node, address = excluded.address, build = excluded.build, expires_at = excluded.expires_at
