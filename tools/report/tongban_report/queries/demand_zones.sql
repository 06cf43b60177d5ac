SELECT zone, domain, count(*) AS count, (SELECT count(*) FROM requests) AS requests
FROM requests
WHERE zone IS NOT NULL OR domain IS NOT NULL
GROUP BY zone, domain
ORDER BY sum(count(*)) OVER (PARTITION BY domain) DESC, domain, zone
