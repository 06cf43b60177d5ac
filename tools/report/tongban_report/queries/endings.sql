SELECT
    state,
    count(*) AS count,
    count(*) / sum(count(*)) OVER () AS share,
    quantile_disc(to_final_ms, 0.5) AS p50
FROM requests
GROUP BY state
ORDER BY count DESC, state
