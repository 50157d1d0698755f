-- Each group and the page as the worst of their components at each moment: what `scope_sweep` found.
SELECT
    r.scope,
    r.scope_id,
    r.starts_at,
    r.ends_at,
    r.status,
    r.status_best,
    r.status_worst,
    r.has_unspecified_impact,
    r.in_maintenance,
    r.evidence
FROM analytics.status_runs AS r
WHERE r.scope <> 'component'
