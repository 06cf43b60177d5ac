SELECT
    category,
    any_value(kind) AS kind,
    count(*) AS count,
    count / (SELECT count(*) FROM requests) AS share
FROM requests
WHERE category IS NOT NULL
GROUP BY category
ORDER BY count DESC, category
LIMIT 15
