-- Uptime of each calendar month, of `uptime_figures`.
SELECT
    f.period AS month,
    f.scope,
    f.scope_id,
    f.scope_name,
    f.aggregation,
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
    f.assumed_seconds
FROM analytics.uptime_figures AS f
WHERE f.grain = 'month'
