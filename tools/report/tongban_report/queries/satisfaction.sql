SELECT
    domain,
    count(*) AS rated,
    count(*) FILTER (grade = 1) AS grade1,
    count(*) FILTER (grade = 2) AS grade2,
    count(*) FILTER (grade = 3) AS grade3,
    count(*) FILTER (grade = 4) AS grade4,
    count(*) FILTER (grade = 5) AS grade5,
    avg(grade) AS mean
FROM ratings
GROUP BY domain
ORDER BY mean, domain
