SELECT
    age_band,
    count(*) FILTER (channel = 'self_service') AS self_service,
    count(*) FILTER (channel = 'assisted') AS assisted,
    assisted / count(*) AS share
FROM requests
GROUP BY age_band
ORDER BY age_band NULLS LAST
