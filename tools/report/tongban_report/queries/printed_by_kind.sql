SELECT
    kind,
    count(*) AS ordered,
    count(*) FILTER (printed_within_five_minutes) AS in_time,
    count(*) FILTER (NOT printed_within_five_minutes AND to_first_print_ms IS NOT NULL) AS later,
    count(*) FILTER (to_first_print_ms IS NULL) AS unprinted,
    in_time / ordered AS share,
    quantile_disc(to_first_print_ms, 0.5) AS p50
FROM requests
WHERE printed_within_five_minutes IS NOT NULL
GROUP BY kind
ORDER BY ordered DESC, kind
