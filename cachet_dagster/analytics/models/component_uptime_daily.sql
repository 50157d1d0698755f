-- Uptime of each component on each day under each policy: seconds by status, weighed.
SELECT
    f.component_id,
    f.day,
    f.policy,
    CASE WHEN f.measured_seconds > 0 THEN 1 - f.down_seconds / f.measured_seconds END AS uptime,
    CASE WHEN f.measured_worst > 0 THEN LEAST(
        1 - f.down_worst / f.measured_worst,
        COALESCE(1 - f.down_seconds / NULLIF(f.measured_seconds, 0), 1)
    ) END AS uptime_lower,
    CASE WHEN f.measured_best > 0 THEN GREATEST(
        1 - f.down_best / f.measured_best,
        COALESCE(1 - f.down_seconds / NULLIF(f.measured_seconds, 0), 0)
    ) END AS uptime_upper,
    1 - f.unknown_seconds / f.total_seconds AS coverage,
    f.measured_seconds,
    f.down_seconds,
    f.maintenance_seconds,
    f.unknown_seconds,
    f.observed_seconds,
    f.reported_seconds,
    f.inferred_seconds,
    f.assumed_seconds,
    v.status AS worst_status
FROM (
    SELECT
        d.scope_id AS component_id,
        d.day,
        w.policy,
        MAX(v.severity) AS worst,
        SUM(d.seconds) AS total_seconds,
        SUM(d.seconds * w.measured) AS measured_seconds,
        SUM(d.seconds * w.weight) AS down_seconds,
        SUM(d.seconds * w.measured_best) AS measured_best,
        SUM(d.seconds * w.weight_best) AS down_best,
        SUM(d.seconds * w.measured_worst) AS measured_worst,
        SUM(d.seconds * w.weight_worst) AS down_worst,
        SUM(CASE WHEN d.status = 6 THEN d.seconds ELSE 0 END) AS maintenance_seconds,
        SUM(CASE WHEN d.status = 5 THEN d.seconds ELSE 0 END) AS unknown_seconds,
        SUM(CASE WHEN d.evidence = 'observed' THEN d.seconds ELSE 0 END) AS observed_seconds,
        SUM(CASE WHEN d.evidence = 'reported' THEN d.seconds ELSE 0 END) AS reported_seconds,
        SUM(CASE WHEN d.evidence = 'inferred' THEN d.seconds ELSE 0 END) AS inferred_seconds,
        SUM(CASE WHEN d.evidence = 'assumed' THEN d.seconds ELSE 0 END) AS assumed_seconds
    FROM analytics.status_daily AS d
    INNER JOIN analytics.policy_weights AS w
        ON w.status = d.status AND w.status_best = d.status_best AND w.status_worst = d.status_worst
        AND w.has_unspecified_impact = d.has_unspecified_impact AND w.in_maintenance = d.in_maintenance
    INNER JOIN analytics.component_severities AS v ON v.status = d.status
    WHERE d.scope = 'component'
    GROUP BY d.scope_id, d.day, w.policy
) AS f
INNER JOIN analytics.component_severities AS v ON v.severity = f.worst
