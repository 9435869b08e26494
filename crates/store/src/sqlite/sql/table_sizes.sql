-- A table with its indexes.
SELECT o.tbl_name, SUM(d.pgsize) AS bytes
  FROM dbstat AS d
  JOIN sqlite_schema AS o ON o.name = d.name
 WHERE d.aggregate = TRUE
 GROUP BY o.tbl_name
 ORDER BY bytes DESC, o.tbl_name;
