-- Each group and the page as the worst of their components at each moment: what `scope_sweep` found.
SELECT r.*
FROM analytics.status_runs AS r
WHERE r.scope <> 'component'
