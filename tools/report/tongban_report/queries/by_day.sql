SELECT date AS day, channel, count(*) AS count
FROM requests
WHERE (SELECT count(DISTINCT date) FROM requests) > 1
GROUP BY ALL
ORDER BY day, channel
