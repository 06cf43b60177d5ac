SELECT
    channel,
    kind,
    count(*) AS requests,
    count(*) FILTER (final) AS ended,
    count(*) FILTER (state = 'completed') AS completed,
    completed / ended AS completed_share,
    quantile_disc(to_final_ms, 0.10) AS p10,
    quantile_disc(to_final_ms, 0.50) AS p50,
    quantile_disc(to_final_ms, 0.90) AS p90,
    quantile_disc(to_final_ms, 0.99) AS p99,
    avg(grade) AS grade
FROM requests
GROUP BY channel, kind
HAVING count(to_final_ms) > 0
ORDER BY kind, channel DESC
