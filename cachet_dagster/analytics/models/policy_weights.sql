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
    o.measured * b.measured AS measured_best,
    o.measured * b.measured * b.weight AS weight_best,
    o.measured * c.measured AS measured_worst,
    o.measured * c.measured
    * CASE WHEN s.has_unspecified_impact THEN GREATEST(c.weight, c.unspecified_weight) ELSE c.weight END AS weight_worst
FROM states AS s
INNER JOIN weights AS a ON a.status = s.status
INNER JOIN weights AS b ON b.status = s.status_best AND b.policy = a.policy
INNER JOIN weights AS c ON c.status = s.status_worst AND c.policy = a.policy
INNER JOIN (
    SELECT p.policy, k.in_maintenance, CASE WHEN p.excludes_maintenance AND k.in_maintenance THEN 0 ELSE 1 END AS measured
    FROM analytics.uptime_policies AS p
    CROSS JOIN (VALUES (TRUE), (FALSE)) AS k (in_maintenance)
) AS o ON o.policy = a.policy AND o.in_maintenance = s.in_maintenance
