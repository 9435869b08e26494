INSERT INTO node_session (session_id, node, address, build, started_at, expires_at)
SELECT $1, $2, $3, $4, now.micros, now.micros + $5 * 1000
  FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000 AS micros) AS now
 WHERE true
ON CONFLICT (session_id) DO UPDATE
   SET node = excluded.node, address = excluded.address, build = excluded.build, expires_at = excluded.expires_at;
