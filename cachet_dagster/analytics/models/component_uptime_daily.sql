-- Uptime of each component on each day under each policy, of `uptime_figures`.
SELECT
    f.scope_id AS component_id,
    f.period AS day,
    f.policy,
    f.uptime,
    f.uptime_lower,
    f.uptime_upper,
    f.coverage,
    f.measured_seconds,
    f.down_seconds,
    f.maintenance_seconds,
    f.unknown_seconds,
    f.observed_seconds,
    f.reported_seconds,
    f.inferred_seconds,
    f.assumed_seconds,
    f.worst_status
FROM analytics.uptime_figures AS f
WHERE f.grain = 'day' AND f.scope = 'component'
