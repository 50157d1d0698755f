-- Scheduled maintenance: from its start to its end, or to the cap where it was never completed.
WITH settings AS (
    SELECT as_of, audience, cachet_version, maintenance_cap_seconds FROM analytics.build_settings
),
schedules AS (
    SELECT
        h.id AS schedule_id, h.name, h.status, h.scheduled_at, h.created_at, h.published_at,
        COALESCE(h.completed_at, h.scheduled_at + INTERVAL 1 SECOND * s.maintenance_cap_seconds) AS ends_at,
        h.completed_at IS NULL AND h.scheduled_at + INTERVAL 1 SECOND * s.maintenance_cap_seconds < s.as_of AS is_capped,
        h.scheduled_at <= s.as_of AND (h.completed_at IS NULL OR h.completed_at > s.as_of) AS is_running,
        s.as_of, s.cachet_version
    FROM source.schedules AS h
    CROSS JOIN settings AS s
    WHERE s.audience = 'all' OR h.published_at IS NULL OR h.published_at <= s.as_of
),
updates AS (
    SELECT u.schedule_id, COUNT(*) AS updates FROM source.schedule_updates AS u GROUP BY u.schedule_id
),
links AS (
    SELECT
        l.schedule_id, COUNT(*) AS components,
        STRING_AGG(
            COALESCE(CAST(l.component_status AS TEXT), 'null'), ' ' ORDER BY l.component_status NULLS LAST, l.component_id NULLS LAST
        ) AS component_statuses,
        BOOL_OR(COALESCE(l.component_status, 0) <> 6) AS is_odd
    FROM (
        SELECT l.schedule_id, l.component_id, MAX(l.component_status) AS component_status
        FROM source.schedule_components AS l
        GROUP BY l.schedule_id, l.component_id
    ) AS l
    GROUP BY l.schedule_id
),
incidents AS (
    SELECT h.schedule_id, COUNT(DISTINCT i.incident_id) AS incidents
    FROM schedules AS h
    INNER JOIN source.schedule_components AS l ON l.schedule_id = h.schedule_id
    INNER JOIN analytics.incident_impacts AS i
        ON i.component_id = l.component_id AND i.starts_at < h.ends_at AND i.ends_at > h.scheduled_at
    CROSS JOIN settings AS s
    WHERE i.is_public OR s.audience = 'all'
    GROUP BY h.schedule_id
)
SELECT
    h.schedule_id,
    h.name,
    h.status,
    h.scheduled_at AS starts_at,
    h.ends_at,
    h.is_capped,
    h.is_running,
    GREATEST(EXTRACT(EPOCH FROM LEAST(h.ends_at, h.as_of)) - EXTRACT(EPOCH FROM h.scheduled_at), 0) AS seconds,
    EXTRACT(EPOCH FROM h.scheduled_at) - EXTRACT(EPOCH FROM COALESCE(h.published_at, h.created_at)) AS announced_seconds,
    COALESCE(u.updates, 0) AS updates,
    COALESCE(l.components, 0) AS components,
    l.component_statuses,
    -- Cachet 2 has no status of maintenance to announce.
    COALESCE(l.is_odd AND h.cachet_version <> 2, FALSE) AS has_odd_status,
    COALESCE(i.incidents, 0) AS incidents
FROM schedules AS h
LEFT JOIN updates AS u ON u.schedule_id = h.schedule_id
LEFT JOIN links AS l ON l.schedule_id = h.schedule_id
LEFT JOIN incidents AS i ON i.schedule_id = h.schedule_id
