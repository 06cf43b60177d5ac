-- Days count to the last business date of the facts.
WITH as_of AS (
    SELECT greatest(max(date), max(state_since)) AS day FROM requests
)
SELECT
    state,
    cause,
    CASE
        WHEN day - state_since < 1 THEN 'd0'
        WHEN day - state_since < 2 THEN 'd1'
        WHEN day - state_since < 4 THEN 'd2'
        WHEN day - state_since < 8 THEN 'd4'
        ELSE 'd8'
    END AS age,
    count(*) AS count,
    min(state_since) AS since
FROM requests CROSS JOIN as_of
WHERE NOT final
GROUP BY state, cause, age
ORDER BY state, age DESC, cause
