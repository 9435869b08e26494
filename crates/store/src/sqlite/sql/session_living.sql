SELECT session_id, node, address, build
  FROM node_session
 WHERE expires_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000
 ORDER BY session_id;
