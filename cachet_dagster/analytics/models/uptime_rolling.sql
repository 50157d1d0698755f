-- Uptime of the last days as of now: what `uptime_figures` says of windows, its declared columns.
SELECT c.window_days, c.starts_at, c.ends_at, f.*
FROM analytics.uptime_figures AS f
INNER JOIN analytics.calendar_windows AS c ON c.first_day = f.period
WHERE f.grain = 'window'
