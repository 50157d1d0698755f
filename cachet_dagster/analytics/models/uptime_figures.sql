-- Uptime of every period under every policy. The mean of a group or of the page is that of its components' time.
-- Sums of whole seconds are exact; weights such as 0.3 and parts of a second let the order of rows, which is any, decide
-- less than a microsecond, and the sixteenth place of an uptime.
WITH scoped AS (
    SELECT
        'component' AS figure_of, l.component_id AS figure_id, l.component_name AS scope_name, 'own' AS aggregation, d.*
    FROM analytics.component_lives AS l
    INNER JOIN analytics.status_seconds AS d ON d.scope = 'component' AND d.scope_id = l.component_id
    WHERE l.in_audience
    UNION ALL
    SELECT 'group', l.component_group_id, l.component_group_name, 'mean', d.*
    FROM analytics.component_lives AS l
    INNER JOIN analytics.status_seconds AS d ON d.scope = 'component' AND d.scope_id = l.component_id
    WHERE l.in_audience AND l.component_group_id IS NOT NULL
    UNION ALL
    SELECT 'page', 0, NULL, 'mean', d.*
    FROM analytics.component_lives AS l
    INNER JOIN analytics.status_seconds AS d ON d.scope = 'component' AND d.scope_id = l.component_id
    WHERE l.in_audience
    UNION ALL
    SELECT d.scope, d.scope_id, g.component_group_name, 'all_up', d.*
    FROM analytics.status_seconds AS d
    LEFT JOIN (
        SELECT l.component_group_id, MAX(l.component_group_name) AS component_group_name
        FROM analytics.component_lives AS l
        GROUP BY l.component_group_id
    ) AS g ON d.scope = 'group' AND g.component_group_id = d.scope_id
    WHERE d.scope <> 'component'
)
SELECT
    f.grain,
    f.period,
    f.scope,
    f.scope_id,
    f.scope_name,
    f.aggregation,
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
        d.grain,
        d.period,
        d.figure_of AS scope,
        d.figure_id AS scope_id,
        MAX(d.scope_name) AS scope_name,
        d.aggregation,
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
    FROM scoped AS d
    INNER JOIN analytics.policy_weights AS w
        ON w.status = d.status AND w.status_best = d.status_best AND w.status_worst = d.status_worst
        AND w.has_unspecified_impact = d.has_unspecified_impact AND w.in_maintenance = d.in_maintenance
    INNER JOIN analytics.component_severities AS v ON v.status = d.status
    GROUP BY d.grain, d.period, d.figure_of, d.figure_id, d.aggregation, w.policy
) AS f
INNER JOIN analytics.component_severities AS v ON v.severity = f.worst
