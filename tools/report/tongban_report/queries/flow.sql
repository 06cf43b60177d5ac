-- Each request once through every state it was in, from left to right; a return to an earlier state
-- is not drawn again. A request that both waited for its province and was held is drawn through
-- `held`. `way` has one bit for each state.
WITH ranks(state, rank, place) AS (
    VALUES
        ('submitted', 0, 0), ('routed', 1, 1), ('waiting_for_province', 2, 2), ('held', 3, 2),
        ('accepted', 4, 3), ('needs_supplement', 5, 4), ('completed', 6, 5), ('rejected', 7, 5),
        ('withdrawn', 8, 5), ('expired', 9, 5), ('failed', 10, 5)
), ways AS (
    SELECT request, bit_or(1 << rank) AS way
    FROM status_changes JOIN ranks USING (state)
    GROUP BY request
), counted AS (
    SELECT way, count(*) AS requests
    FROM ways
    GROUP BY way
), drawn AS (
    SELECT way, requests, state, place
    FROM counted JOIN ranks ON way & (1 << rank) <> 0
    QUALIFY row_number() OVER (PARTITION BY way, place ORDER BY rank DESC) = 1
), steps AS (
    SELECT requests, state, place, lead(state) OVER (PARTITION BY way ORDER BY place) AS following
    FROM drawn
)
SELECT state AS source, coalesce(following, 'open') AS target, sum(requests)::BIGINT AS count
FROM steps
WHERE following IS NOT NULL OR place < 5
GROUP BY source, target, place
ORDER BY place, count DESC, target
