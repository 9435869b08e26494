SELECT session_id, node, address, build
  FROM node_session
 WHERE expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
 ORDER BY session_id
