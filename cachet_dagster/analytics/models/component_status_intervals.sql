-- The status of each component at each moment, in Cachet's codes: what `component_sweep` found, its declared columns.
SELECT r.scope_id AS component_id, r.*
FROM analytics.status_runs AS r
WHERE r.scope = 'component'
