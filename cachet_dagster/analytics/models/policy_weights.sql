-- What each policy makes of each state that occurs: how much of it is downtime, and whether it is measured at all.
WITH states AS (
    SELECT DISTINCT d.status, d.status_best, d.status_worst, d.has_unspecified_impact, d.in_maintenance
    FROM analytics.status_daily AS d
),
weights AS (
    SELECT p.policy, v.status, p.excludes_maintenance, p.unspecified_weight,
        CASE v.status
            WHEN 4 THEN p.major_weight WHEN 3 THEN p.partial_weight WHEN 2 THEN p.performance_weight
            WHEN 6 THEN p.maintenance_weight ELSE 0
        END AS weight,
        -- An unknown status leaves the denominator.
        CASE WHEN v.status = 5 THEN 0 ELSE 1 END AS measured
    FROM analytics.uptime_policies AS p
    CROSS JOIN analytics.component_severities AS v
),
-- The least and the most that each can weigh that lies between the best and the worst: a policy may weigh maintenance
-- more than what is more severe.
ranges AS (
    SELECT w.policy, b.status AS status_best, c.status AS status_worst, MIN(w.weight) AS least, MAX(w.weight) AS most
    FROM weights AS w
    INNER JOIN analytics.component_severities AS v ON v.status = w.status
    INNER JOIN analytics.component_severities AS b ON b.severity <= v.severity
    INNER JOIN analytics.component_severities AS c ON c.severity >= v.severity
    WHERE w.measured = 1
    GROUP BY w.policy, b.status, c.status
)
SELECT
    a.policy,
    s.status,
    s.status_best,
    s.status_worst,
    s.has_unspecified_impact,
    s.in_maintenance,
    o.measured * a.measured AS measured,
    o.measured * a.measured
    * CASE WHEN s.has_unspecified_impact THEN GREATEST(a.weight, a.unspecified_weight) ELSE a.weight END AS weight,
    o.measured AS measured_best,
    o.measured * r.least AS weight_best,
    o.measured AS measured_worst,
    o.measured * CASE WHEN s.has_unspecified_impact THEN GREATEST(r.most, a.unspecified_weight) ELSE r.most END AS weight_worst
FROM states AS s
INNER JOIN weights AS a ON a.status = s.status
INNER JOIN ranges AS r ON r.status_best = s.status_best AND r.status_worst = s.status_worst AND r.policy = a.policy
INNER JOIN (
    SELECT p.policy, k.in_maintenance, CASE WHEN p.excludes_maintenance AND k.in_maintenance THEN 0 ELSE 1 END AS measured
    FROM analytics.uptime_policies AS p
    CROSS JOIN (VALUES (TRUE), (FALSE)) AS k (in_maintenance)
) AS o ON o.policy = a.policy AND o.in_maintenance = s.in_maintenance
