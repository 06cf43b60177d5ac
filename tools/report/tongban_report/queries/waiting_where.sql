SELECT
    province,
    count(*) AS count,
    count(*) FILTER (state = 'waiting_for_province') AS for_province,
    count(*) FILTER (state = 'needs_supplement') AS for_applicant,
    count(*) FILTER (state = 'held') AS for_operator,
    count(*) - for_province - for_applicant - for_operator AS in_progress,
    min(state_since) AS since
FROM requests
WHERE NOT final
GROUP BY province
ORDER BY count DESC, province
LIMIT 15
