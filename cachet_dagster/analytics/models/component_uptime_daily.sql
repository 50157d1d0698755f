-- Uptime of each component on each day: what `uptime_figures` says of days, its declared columns.
SELECT f.scope_id AS component_id, f.period AS day, f.*
FROM analytics.uptime_figures AS f
WHERE f.grain = 'day' AND f.scope = 'component'
