-- The status of each component at each moment, in Cachet's codes: what `component_sweep` found.
SELECT
    r.scope_id AS component_id,
    r.starts_at,
    r.ends_at,
    r.status,
    r.status_best,
    r.status_worst,
    r.shown_status,
    r.has_unspecified_impact,
    r.in_maintenance,
    r.evidence
FROM analytics.status_runs AS r
WHERE r.scope = 'component'
