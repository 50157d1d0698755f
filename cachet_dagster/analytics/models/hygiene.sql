-- What on the page makes figures doubtful: rule, row, since when, why. Whys hold codes and ids only.
WITH settings AS (
    SELECT as_of, stale_seconds, audience FROM analytics.build_settings
),
last_told AS (
    SELECT i.id AS incident_id, MAX(COALESCE(u.created_at, i.updated_at, i.created_at)) AS at
    FROM source.incidents AS i
    LEFT JOIN source.incident_updates AS u ON u.incident_id = i.id
    GROUP BY i.id
),
now_shown AS (
    SELECT i.component_id, i.starts_at, i.shown_status, i.status
    FROM analytics.component_status_intervals AS i
    INNER JOIN analytics.component_lives AS l ON l.component_id = i.component_id AND l.ends_at = i.ends_at
    CROSS JOIN settings AS s
    WHERE i.ends_at = s.as_of
)
SELECT
    'stale_incident' AS rule, 'incident' AS row_kind, f.incident_id AS row_id, t.at AS since,
    'The incident is open, and its last update is older than the limit of the settings.' AS why
FROM analytics.incident_facts AS f
CROSS JOIN settings AS s
INNER JOIN last_told AS t ON t.incident_id = f.incident_id
WHERE f.is_open AND EXTRACT(EPOCH FROM s.as_of) - EXTRACT(EPOCH FROM t.at) > s.stale_seconds
UNION ALL
SELECT
    'maintenance_without_end', 'schedule', m.schedule_id, m.starts_at,
    'The maintenance was never completed: the page shows it for ever, figures cut it at the cap of the settings.'
FROM analytics.maintenance_facts AS m
WHERE m.is_capped
UNION ALL
SELECT
    'odd_maintenance_status', 'schedule', m.schedule_id, m.starts_at,
    'The maintenance gives its components status ' || m.component_statuses || ': figures count it as maintenance, the page'
    || ' shows that status.'
FROM analytics.maintenance_facts AS m
WHERE m.has_odd_status
UNION ALL
SELECT
    'down_without_incident', 'component', n.component_id, n.starts_at,
    'The component has status ' || CAST(n.status AS TEXT) || ' and no open incident is linked to it.'
FROM now_shown AS n
CROSS JOIN settings AS s
WHERE n.status IN (2, 3, 4)
    AND NOT EXISTS (
        SELECT 1 FROM analytics.incident_impacts AS i
        WHERE i.component_id = n.component_id AND i.ends_at >= s.as_of
    )
UNION ALL
SELECT
    'severity_unknown', 'incident', i.incident_id, MIN(i.starts_at),
    'The incident does not say how badly it hit ' || CAST(COUNT(DISTINCT i.component_id) AS TEXT) || ' of its components.'
FROM analytics.incident_impacts AS i
CROSS JOIN settings AS s
WHERE i.status IS NULL AND (i.is_public OR s.audience = 'all')
GROUP BY i.incident_id
UNION ALL
SELECT
    'end_not_told', 'incident', f.incident_id, f.starts_at,
    'The incident is fixed, and no update says when: ' || f.end_evidence || '.'
FROM analytics.incident_facts AS f
WHERE f.flags LIKE '%end_is_upper_bound%' OR f.flags LIKE '%end_unknown%'
UNION ALL
SELECT
    'times_put_right', 'incident', f.incident_id, f.starts_at,
    'Its times contradict each other or lie in the future.'
FROM analytics.incident_facts AS f
WHERE f.flags LIKE '%start_in_future%' OR f.flags LIKE '%end_before_start%'
UNION ALL
SELECT
    'status_disagrees', 'component', t.component_id, t.since,
    'The page shows status ' || COALESCE(CAST(t.page_status AS TEXT), 'null') || ', its incidents and maintenance make it '
    || CAST(t.worst_of_all AS TEXT) || CASE
        WHEN t.newest_incident = t.page_status THEN '; the newest open incident alone, as in older versions, makes it that.'
        ELSE '.'
    END
FROM analytics.shown_statuses AS t
WHERE t.page_status IS DISTINCT FROM t.worst_of_all
