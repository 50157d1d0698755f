-- Metrics by hour, day and month. A point finds its local hour by its quarter of an hour: no zone is finer than that.
WITH points AS (
    SELECT p.metric_id, p.value, COALESCE(p.counter, 1) AS counter, q.hour_starts_at, q.day_starts_at, q.month_starts_at
    FROM source.metric_points AS p
    INNER JOIN analytics.calendar_quarters AS q
        ON q.quarter = CAST(FLOOR(EXTRACT(EPOCH FROM p.created_at) / 900) AS BIGINT)
    WHERE p.metric_id IS NOT NULL
)
SELECT
    p.metric_id, 'hour' AS grain, p.hour_starts_at AS starts_at,
    COUNT(*) AS points, SUM(p.counter) AS reports,
    SUM(p.value * p.counter) / NULLIF(SUM(CASE WHEN p.value IS NOT NULL THEN p.counter END), 0) AS mean,
    MIN(p.value) AS min, MAX(p.value) AS max,
    PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY p.value) AS p50, PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY p.value) AS p95
FROM points AS p
GROUP BY p.metric_id, p.hour_starts_at
UNION ALL
SELECT
    p.metric_id, 'day', p.day_starts_at,
    COUNT(*), SUM(p.counter),
    SUM(p.value * p.counter) / NULLIF(SUM(CASE WHEN p.value IS NOT NULL THEN p.counter END), 0),
    MIN(p.value), MAX(p.value),
    PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY p.value), PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY p.value)
FROM points AS p
GROUP BY p.metric_id, p.day_starts_at
UNION ALL
SELECT
    p.metric_id, 'month', p.month_starts_at,
    COUNT(*), SUM(p.counter),
    SUM(p.value * p.counter) / NULLIF(SUM(CASE WHEN p.value IS NOT NULL THEN p.counter END), 0),
    MIN(p.value), MAX(p.value),
    PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY p.value), PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY p.value)
FROM points AS p
GROUP BY p.metric_id, p.month_starts_at
