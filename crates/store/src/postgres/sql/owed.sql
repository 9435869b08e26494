-- Each shard and class gives its first rows in the order of the index; the first of those are the page.
SELECT o.shard_id::bigint, o.stream_kind, o.stream_id, o.opened_seq, o.due_at, o.key, o.body
  FROM unnest($1::int[]) AS s (shard_id)
 CROSS JOIN unnest($2::smallint[]) AS c (class)
 CROSS JOIN LATERAL (
       SELECT *
         FROM obligation
        WHERE obligation.shard_id = s.shard_id AND obligation.class = c.class
          AND due_at < $3 AND due_at >= $4 AND (due_at, stream_id, key) > ($4, $5, $6)
        ORDER BY due_at, stream_id, key
        LIMIT $7
       ) AS o
 ORDER BY o.due_at, o.stream_id, o.key
 LIMIT $7
