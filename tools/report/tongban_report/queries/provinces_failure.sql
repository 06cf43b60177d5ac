-- Failed: the request expired, was ended by an operator, or is held.
-- Disturbed: a call could not be made, for another reason than closing time or a pause.
-- `share` is of the requests that failed or were disturbed.
-- The interval is Wilson's, for 95 %: it is wide where a province had few requests.
WITH disturbed AS (
    SELECT DISTINCT request
    FROM province_calls
    WHERE cause IS NOT NULL AND cause NOT IN ('closed', 'paused')
), counted AS (
    SELECT
        province,
        count(*) AS requests,
        count(*) FILTER (state IN ('expired', 'failed', 'held')) AS failed,
        count(*) FILTER (state = 'rejected') AS rejected,
        count(disturbed.request) AS disturbed,
        count(*) FILTER (
            state IN ('expired', 'failed', 'held') OR disturbed.request IS NOT NULL
        ) AS troubled
    FROM requests LEFT JOIN disturbed USING (request)
    GROUP BY province
)
SELECT
    *,
    troubled / requests AS share,
    (share + 1.92 / requests - 1.96 * sqrt((share * (1 - share) + 0.96 / requests) / requests))
        / (1 + 3.84 / requests) AS low,
    (share + 1.92 / requests + 1.96 * sqrt((share * (1 - share) + 0.96 / requests) / requests))
        / (1 + 3.84 / requests) AS high
FROM counted
ORDER BY share DESC, failed DESC, province
