-- Statistics by the month in which incidents began, and of all of them. Failures are outages, i.e. spans merged where
-- they overlap; the time between them is the time without, shared out, and needs two.
WITH settings AS (
    SELECT as_of, audience FROM analytics.build_settings
),
facts AS (
    SELECT f.*, f.month AS period_month FROM analytics.incident_facts AS f WHERE f.month IS NOT NULL
    UNION ALL
    SELECT f.*, NULL AS period_month FROM analytics.incident_facts AS f
),
periods AS (
    SELECT
        f.period_month,
        COUNT(*) AS incidents,
        SUM(CASE WHEN f.is_open THEN 1 ELSE 0 END) AS open_incidents
    FROM facts AS f
    GROUP BY f.period_month
),
measured AS (
    SELECT
        f.period_month,
        k.measure,
        CASE k.measure
            WHEN 'time_to_publish' THEN f.seconds_to_publish
            WHEN 'time_to_first_response' THEN f.seconds_to_first_response
            WHEN 'time_to_identified' THEN f.seconds_to_identified
            WHEN 'time_to_watching' THEN f.seconds_to_watching
            ELSE f.seconds_to_fixed
        END AS seconds
    FROM facts AS f
    CROSS JOIN (
        VALUES
        ('time_to_publish'), ('time_to_first_response'), ('time_to_identified'), ('time_to_watching'), ('time_to_fixed')
    ) AS k (measure)
    WHERE NOT f.is_open
),
times AS (
    SELECT
        m.period_month,
        m.measure,
        COUNT(m.seconds) AS n,
        PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY m.seconds) AS median_seconds,
        PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY m.seconds) AS p90_seconds,
        AVG(m.seconds) AS mean_seconds
    FROM measured AS m
    WHERE m.seconds IS NOT NULL
    GROUP BY m.period_month, m.measure
),
spans AS (
    SELECT p.starts_at, p.ends_at,
        MAX(p.ends_at) OVER (
            ORDER BY p.starts_at NULLS FIRST, p.ends_at NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS before_ends_at
    FROM analytics.incident_spans AS p
    CROSS JOIN settings AS s
    WHERE p.is_public OR s.audience = 'all'
),
outages AS (
    SELECT MIN(n.starts_at) AS starts_at, MAX(n.ends_at) AS ends_at
    FROM (
        SELECT
            p.starts_at, p.ends_at,
            SUM(CASE WHEN p.starts_at <= p.before_ends_at THEN 0 ELSE 1 END) OVER (
                ORDER BY p.starts_at NULLS FIRST, p.ends_at NULLS FIRST
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS outage
        FROM spans AS p
    ) AS n
    GROUP BY n.outage
),
windows AS (
    SELECT c.month AS period_month, c.starts_at, LEAST(c.ends_at, s.as_of) AS ends_at
    FROM analytics.calendar_months AS c
    CROSS JOIN settings AS s
    UNION ALL
    SELECT NULL, (SELECT MIN(o.starts_at) FROM outages AS o), s.as_of FROM settings AS s
),
failures AS (
    SELECT
        w.period_month,
        SUM(CASE WHEN o.starts_at >= w.starts_at THEN 1 ELSE 0 END) AS n,
        MAX(EXTRACT(EPOCH FROM w.ends_at) - EXTRACT(EPOCH FROM w.starts_at)) AS window_seconds,
        SUM(EXTRACT(EPOCH FROM LEAST(o.ends_at, w.ends_at)) - EXTRACT(EPOCH FROM GREATEST(o.starts_at, w.starts_at))) AS down_seconds
    FROM windows AS w
    INNER JOIN outages AS o ON o.starts_at < w.ends_at AND o.ends_at >= w.starts_at
    GROUP BY w.period_month
),
recoveries AS (
    SELECT
        w.period_month,
        COUNT(*) AS n,
        PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM o.ends_at) - EXTRACT(EPOCH FROM o.starts_at)) AS median_seconds,
        PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM o.ends_at) - EXTRACT(EPOCH FROM o.starts_at)) AS p90_seconds,
        AVG(EXTRACT(EPOCH FROM o.ends_at) - EXTRACT(EPOCH FROM o.starts_at)) AS mean_seconds
    FROM windows AS w
    CROSS JOIN settings AS s
    INNER JOIN outages AS o ON o.starts_at >= w.starts_at AND o.starts_at < w.ends_at
    WHERE o.ends_at < s.as_of
    GROUP BY w.period_month
)
SELECT
    CASE WHEN a.period_month IS NULL THEN 'all' ELSE SUBSTRING(CAST(a.period_month AS TEXT), 1, 7) END AS period,
    a.period_month AS month,
    a.measure,
    COALESCE(p.incidents, 0) AS incidents,
    COALESCE(p.open_incidents, 0) AS open_incidents,
    a.n,
    a.median_seconds,
    a.p90_seconds,
    a.mean_seconds
FROM (
    SELECT t.period_month, t.measure, t.n, t.median_seconds, t.p90_seconds, t.mean_seconds
    FROM times AS t
    UNION ALL
    SELECT
        f.period_month, 'time_between_failures', f.n, NULL, NULL,
        CASE WHEN f.n >= 2 THEN (f.window_seconds - f.down_seconds) / f.n END
    FROM failures AS f
    UNION ALL
    SELECT r.period_month, 'time_to_recovery', r.n, r.median_seconds, r.p90_seconds, r.mean_seconds
    FROM recoveries AS r
) AS a
LEFT JOIN periods AS p ON p.period_month IS NOT DISTINCT FROM a.period_month
