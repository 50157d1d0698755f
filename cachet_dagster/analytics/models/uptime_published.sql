-- Figures of months that have ended since the last build: what `uptime_restatements` compares with from now on.
SELECT
    n.month,
    n.scope,
    n.scope_id,
    n.aggregation,
    n.policy,
    n.uptime,
    s.as_of AS published_at,
    CONCAT_WS(
            ' ', w.major_weight, w.partial_weight, w.performance_weight, w.maintenance_weight, w.unspecified_weight,
            w.excludes_maintenance
        ) AS weights
FROM analytics.uptime_monthly AS n
CROSS JOIN analytics.build_settings AS s
INNER JOIN analytics.calendar_months AS c ON c.month = n.month AND c.ends_at <= s.as_of
INNER JOIN analytics.uptime_policies AS w ON w.policy = n.policy
LEFT JOIN analytics.uptime_published AS p
    ON p.month = n.month AND p.scope = n.scope AND p.scope_id = n.scope_id
    AND p.aggregation = n.aggregation AND p.policy = n.policy
WHERE p.month IS NULL
