UPDATE node_session
   SET expires_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000 + $2 * 1000
 WHERE session_id = $1 AND expires_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000;
