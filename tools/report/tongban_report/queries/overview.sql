SELECT
    count(*) AS requests,
    min(date) AS first_day,
    max(date) AS last_day,
    greatest(max(date), max(state_since)) AS as_of,
    count(DISTINCT province) AS provinces,
    count(*) FILTER (state = 'completed') AS completed,
    count(*) FILTER (final) AS ended,
    count(*) FILTER (state IN ('expired', 'failed', 'held')) AS failed,
    count(*) FILTER (NOT final) AS waiting,
    quantile_disc(province_ms, 0.5) AS answer_p50,
    quantile_disc(province_ms, 0.9) AS answer_p90,
    count(*) FILTER (channel = 'assisted') AS assisted,
    count(printed_within_five_minutes) AS ordered,
    count(*) FILTER (printed_within_five_minutes) AS printed_in_time,
    count(grade) AS rated,
    count(*) FILTER (grade >= 4) AS satisfied
FROM requests
