-- Objectives: what the target allows, what is spent, what is left. An objective of all components is one of each.
WITH targets AS (
    SELECT
        t.scope, l.component_id AS scope_id, t.policy, t.window_days, t.target
    FROM analytics.slo_targets AS t
    CROSS JOIN analytics.component_lives AS l
    WHERE t.scope = 'component' AND t.scope_id IS NULL AND l.in_audience AND l.is_listed
        AND NOT EXISTS (
            SELECT 1 FROM analytics.slo_targets AS o
            WHERE o.scope = 'component' AND o.scope_id = l.component_id AND o.policy = t.policy
                AND o.window_days = t.window_days
        )
    UNION ALL
    SELECT t.scope, t.scope_id, t.policy, t.window_days, t.target
    FROM analytics.slo_targets AS t
    WHERE t.scope_id IS NOT NULL
)
SELECT
    t.scope || '-' || CAST(t.scope_id AS TEXT) || '-' || CAST(t.window_days AS TEXT) || 'd-' || t.policy AS slo,
    t.scope,
    t.scope_id,
    r.scope_name,
    t.policy,
    t.window_days,
    r.starts_at,
    r.ends_at,
    t.target,
    r.uptime,
    r.uptime_lower,
    r.uptime_upper,
    r.measured_seconds,
    (1 - t.target) * r.measured_seconds AS budget_seconds,
    r.down_seconds AS spent_seconds,
    (1 - t.target) * r.measured_seconds - r.down_seconds AS left_seconds,
    r.down_seconds / NULLIF((1 - t.target) * r.measured_seconds, 0) AS burn_rate,
    r.uptime >= t.target AS is_met
FROM targets AS t
INNER JOIN analytics.uptime_rolling AS r
    ON r.scope = t.scope AND r.scope_id = t.scope_id AND r.policy = t.policy AND r.window_days = t.window_days
    AND r.aggregation <> 'all_up'
