-- Months whose figure is not the one first published: policies changed, or incidents that touch them did.
WITH differing AS (
    SELECT
        p.month, p.scope, p.scope_id, n.scope_name, p.aggregation, p.policy, p.published_at,
        p.uptime AS uptime_published, n.uptime AS uptime_now, p.weights <> CONCAT_WS(
            ' ', w.major_weight, w.partial_weight, w.performance_weight, w.maintenance_weight, w.unspecified_weight,
            w.excludes_maintenance
        ) AS is_reweighed
    FROM analytics.uptime_published AS p
    INNER JOIN analytics.uptime_monthly AS n
        ON n.month = p.month AND n.scope = p.scope AND n.scope_id = p.scope_id
        AND n.aggregation = p.aggregation AND n.policy = p.policy
    INNER JOIN analytics.uptime_policies AS w ON w.policy = p.policy
    WHERE ABS(COALESCE(p.uptime, -1) - COALESCE(n.uptime, -1)) > 1e-9
),
touched AS (
    SELECT d.month, d.scope, d.scope_id, d.published_at, i.incident_id
    FROM (SELECT DISTINCT d.month, d.scope, d.scope_id, d.published_at FROM differing AS d) AS d
    INNER JOIN analytics.calendar_months AS c ON c.month = d.month
    INNER JOIN analytics.component_lives AS l
        ON (d.scope = 'component' AND l.component_id = d.scope_id)
        OR (d.scope = 'group' AND l.component_group_id = d.scope_id)
        OR d.scope = 'page'
    INNER JOIN analytics.incident_impacts AS i
        ON i.component_id = l.component_id AND i.starts_at < c.ends_at AND i.ends_at > c.starts_at
    INNER JOIN source.incidents AS r ON r.id = i.incident_id AND r.updated_at > d.published_at
    GROUP BY d.month, d.scope, d.scope_id, d.published_at, i.incident_id
),
reasons AS (
    SELECT
        t.month, t.scope, t.scope_id, t.published_at,
        STRING_AGG(CAST(t.incident_id AS TEXT), ' ' ORDER BY t.incident_id NULLS FIRST) AS incidents
    FROM touched AS t
    GROUP BY t.month, t.scope, t.scope_id, t.published_at
)
SELECT
    d.month,
    d.scope,
    d.scope_id,
    d.scope_name,
    d.aggregation,
    d.policy,
    d.published_at,
    d.uptime_published,
    d.uptime_now,
    d.uptime_now - d.uptime_published AS difference,
    CASE
        WHEN d.is_reweighed THEN 'policy_changed'
        WHEN r.incidents IS NOT NULL THEN 'incidents changed since: ' || r.incidents
        ELSE 'rows or history changed since'
    END AS why
FROM differing AS d
LEFT JOIN reasons AS r
    ON r.month = d.month AND r.scope = d.scope AND r.scope_id = d.scope_id AND r.published_at = d.published_at
