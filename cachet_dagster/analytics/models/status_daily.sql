-- Seconds of each local day in each status: intervals cut at the days' ends, before any policy weighs them.
WITH intervals AS (
    SELECT
        'component' AS scope, i.component_id AS scope_id, i.starts_at, i.ends_at,
        i.status, i.status_best, i.status_worst, i.has_unspecified_impact, i.in_maintenance, i.evidence
    FROM analytics.component_status_intervals AS i
    UNION ALL
    SELECT
        i.scope, i.scope_id, i.starts_at, i.ends_at,
        i.status, i.status_best, i.status_worst, i.has_unspecified_impact, i.in_maintenance, i.evidence
    FROM analytics.scope_status_intervals AS i
)
SELECT
    i.scope,
    i.scope_id,
    d.day,
    i.status,
    i.status_best,
    i.status_worst,
    i.has_unspecified_impact,
    i.in_maintenance,
    i.evidence,
    SUM(EXTRACT(EPOCH FROM LEAST(i.ends_at, d.ends_at)) - EXTRACT(EPOCH FROM GREATEST(i.starts_at, d.starts_at))) AS seconds
FROM intervals AS i
INNER JOIN analytics.calendar_days AS d ON i.starts_at < d.ends_at AND i.ends_at > d.starts_at
GROUP BY
    i.scope, i.scope_id, d.day, i.status, i.status_best, i.status_worst, i.has_unspecified_impact, i.in_maintenance,
    i.evidence
