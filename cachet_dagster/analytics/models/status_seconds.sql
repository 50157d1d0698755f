-- Seconds in each status of each period that figures are told of: a component's days, months, windows up to now.
SELECT
    'day' AS grain, d.day AS period, d.scope, d.scope_id,
    d.status, d.status_best, d.status_worst, d.has_unspecified_impact, d.in_maintenance, d.evidence, d.seconds
FROM analytics.status_daily AS d
WHERE d.scope = 'component'
UNION ALL
SELECT
    'month', c.month, d.scope, d.scope_id,
    d.status, d.status_best, d.status_worst, d.has_unspecified_impact, d.in_maintenance, d.evidence, SUM(d.seconds)
FROM analytics.status_daily AS d
INNER JOIN analytics.calendar_days AS c ON c.day = d.day
GROUP BY
    c.month, d.scope, d.scope_id, d.status, d.status_best, d.status_worst, d.has_unspecified_impact, d.in_maintenance,
    d.evidence
UNION ALL
SELECT
    'window', c.first_day, d.scope, d.scope_id,
    d.status, d.status_best, d.status_worst, d.has_unspecified_impact, d.in_maintenance, d.evidence, SUM(d.seconds)
FROM analytics.status_daily AS d
INNER JOIN analytics.calendar_windows AS c ON d.day BETWEEN c.first_day AND c.last_day
GROUP BY
    c.first_day, d.scope, d.scope_id, d.status, d.status_best, d.status_worst, d.has_unspecified_impact,
    d.in_maintenance, d.evidence
