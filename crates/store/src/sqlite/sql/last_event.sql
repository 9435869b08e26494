SELECT seq, hlc FROM event WHERE shard_id = $1 ORDER BY seq DESC LIMIT 1;
