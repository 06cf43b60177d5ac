-- From the router's call until the province accepted, completed or rejected the request.
SELECT
    province,
    count(*) AS answered,
    quantile_disc(province_ms, 0.10) AS p10,
    quantile_disc(province_ms, 0.50) AS p50,
    quantile_disc(province_ms, 0.90) AS p90,
    quantile_disc(province_ms, 0.99) AS p99
FROM requests
WHERE province_ms IS NOT NULL
GROUP BY province
ORDER BY p50 DESC, province
