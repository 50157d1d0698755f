-- What each incident cost each objective: its own impacts within the window, weighed, each as if it had been alone.
WITH settings AS (
    SELECT audience FROM analytics.build_settings
),
impacts AS (
    SELECT
        o.slo,
        i.incident_id,
        o.budget_seconds,
        CASE i.status
            WHEN 4 THEN p.major_weight WHEN 3 THEN p.partial_weight WHEN 2 THEN p.performance_weight
            WHEN 6 THEN p.maintenance_weight WHEN 5 THEN 0 WHEN 1 THEN 0 ELSE p.unspecified_weight
        END AS weight,
        EXTRACT(EPOCH FROM LEAST(i.ends_at, o.ends_at)) - EXTRACT(EPOCH FROM GREATEST(i.starts_at, o.starts_at)) AS seconds
    FROM analytics.slo_status AS o
    CROSS JOIN settings AS s
    INNER JOIN analytics.uptime_policies AS p ON p.policy = o.policy
    INNER JOIN analytics.component_lives AS l
        ON (o.scope = 'component' AND l.component_id = o.scope_id)
        OR (o.scope = 'group' AND l.component_group_id = o.scope_id AND l.in_audience)
        OR (o.scope = 'page' AND l.in_audience)
    INNER JOIN analytics.incident_impacts AS i
        ON i.component_id = l.component_id AND i.starts_at < o.ends_at AND i.ends_at > o.starts_at
    WHERE i.is_public OR s.audience = 'all'
)
SELECT
    i.slo,
    i.incident_id,
    SUM(i.weight * i.seconds) AS down_seconds,
    SUM(i.weight * i.seconds) / NULLIF(MAX(i.budget_seconds), 0) AS budget_share
FROM impacts AS i
GROUP BY i.slo, i.incident_id
HAVING SUM(i.weight * i.seconds) > 0
