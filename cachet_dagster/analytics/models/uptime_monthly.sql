-- Uptime of each calendar month: what `uptime_figures` says of months, its declared columns.
SELECT f.period AS month, f.*
FROM analytics.uptime_figures AS f
WHERE f.grain = 'month'
