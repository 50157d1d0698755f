-- Uptime of the last days as of now, of `uptime_figures`.
SELECT
    c.window_days,
    c.starts_at,
    c.ends_at,
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
INNER JOIN analytics.calendar_windows AS c ON c.first_day = f.period
WHERE f.grain = 'window'
