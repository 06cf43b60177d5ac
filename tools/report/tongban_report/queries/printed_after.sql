-- Of the requests of which a sheet was to be printed: the share whose first sheet was printed within each time.
-- Durations are rounded to two digits, so the promise itself is counted by its own column.
WITH sheets AS (
    SELECT to_first_print_ms AS took, printed_within_five_minutes AS in_time
    FROM requests
    WHERE printed_within_five_minutes IS NOT NULL
), limits(ms) AS (
    VALUES
        (10_000), (20_000), (30_000), (45_000), (60_000), (90_000), (120_000), (150_000),
        (180_000), (240_000), (300_000), (420_000), (600_000), (900_000), (1_800_000),
        (3_600_000), (7_200_000), (14_400_000), (28_800_000), (86_400_000), (259_200_000)
)
SELECT
    ms::BIGINT AS ms,
    count(*) FILTER (if(ms = 300_000, in_time, took <= ms)) AS printed,
    count(*) AS ordered,
    printed / ordered AS share
FROM sheets CROSS JOIN limits
GROUP BY ms
ORDER BY ms
