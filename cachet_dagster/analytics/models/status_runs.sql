-- What the sweeps found, of components, groups and the page, with neighbours that say the same taken together.
WITH sweeps AS (
    SELECT
        'component' AS scope, w.component_id AS scope_id, w.starts_at, w.ends_at,
        w.shown, w.status, w.best, w.worst, w.has_unspecified_impact, w.in_maintenance, w.evidence
    FROM analytics.component_sweep AS w
    UNION ALL
    SELECT
        w.scope, w.scope_id, w.starts_at, w.ends_at,
        w.status, w.status, w.best, w.worst, w.has_unspecified_impact, w.in_maintenance, w.evidence
    FROM analytics.scope_sweep AS w
),
said AS (
    SELECT
        w.*,
        -- In one text, so that it is compared once.
        CONCAT_WS(' ', w.shown, w.status, w.best, w.worst, w.has_unspecified_impact, w.in_maintenance, w.evidence) AS said
    FROM sweeps AS w
),
neighbours AS (
    SELECT
        w.*,
        LAG(w.said) OVER neighbours AS said_before,
        LAG(w.ends_at) OVER neighbours AS before_ends_at,
        MAX(w.ends_at) OVER (PARTITION BY w.scope, w.scope_id) AS last_ends_at
    FROM said AS w
    WINDOW neighbours AS (PARTITION BY w.scope, w.scope_id ORDER BY w.starts_at NULLS FIRST)
)
SELECT
    n.scope,
    n.scope_id,
    n.starts_at,
    COALESCE(
        LEAD(n.before_ends_at) OVER (PARTITION BY n.scope, n.scope_id ORDER BY n.starts_at NULLS FIRST), n.last_ends_at
    ) AS ends_at,
    a.status,
    b.status AS status_best,
    c.status AS status_worst,
    d.status AS shown_status,
    n.has_unspecified_impact,
    n.in_maintenance,
    n.evidence
FROM neighbours AS n
INNER JOIN analytics.component_severities AS a ON a.severity = n.status
INNER JOIN analytics.component_severities AS b ON b.severity = n.best
INNER JOIN analytics.component_severities AS c ON c.severity = n.worst
INNER JOIN analytics.component_severities AS d ON d.severity = n.shown
-- The first of each run; after a time without components, too.
WHERE n.said_before IS NULL OR n.said_before <> n.said OR n.before_ends_at < n.starts_at
