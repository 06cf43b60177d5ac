-- An hour that would single someone out was coarsened to the day: `hour` is null.
SELECT hour, channel, count(*) AS count
FROM requests
GROUP BY ALL
ORDER BY hour NULLS LAST, channel
