SELECT age_band, domain, count(*) AS count, (SELECT count(*) FROM requests) AS requests
FROM requests
WHERE age_band IS NOT NULL OR domain IS NOT NULL
GROUP BY age_band, domain
ORDER BY sum(count(*)) OVER (PARTITION BY domain) DESC, domain, age_band
