-- How long each incident took, by its own times. What is negative, since it was written down late, is null.
WITH settings AS (
    SELECT as_of, audience FROM analytics.build_settings
),
spans AS (
    SELECT
        p.incident_id,
        MIN(p.starts_at) AS starts_at,
        MAX(p.ends_at) AS ends_at,
        COUNT(*) AS spans,
        BOOL_OR(p.is_open) AS is_open,
        BOOL_OR(p.is_public) AS is_public,
        SUM(EXTRACT(EPOCH FROM p.ends_at) - EXTRACT(EPOCH FROM p.starts_at)) AS open_seconds,
        MAX(CASE WHEN p.nth_from_last = 1 THEN p.end_evidence END) AS end_evidence,
        TRIM(STRING_AGG(p.flags, ' ' ORDER BY p.span NULLS FIRST)) AS flags,
        BOOL_OR(p.flags LIKE '%end_unknown%') AS is_end_unknown
    FROM (
        SELECT p.*, ROW_NUMBER() OVER (PARTITION BY p.incident_id ORDER BY p.span DESC NULLS LAST) AS nth_from_last
        FROM analytics.incident_spans AS p
    ) AS p
    GROUP BY p.incident_id
),
updates AS (
    SELECT
        u.incident_id,
        COUNT(*) AS updates,
        MIN(u.created_at) AS first_at,
        MIN(CASE WHEN u.status = 2 THEN u.created_at END) AS identified_at,
        MIN(CASE WHEN u.status = 3 THEN u.created_at END) AS watching_at
    FROM source.incident_updates AS u
    GROUP BY u.incident_id
),
links AS (
    SELECT l.incident_id, COUNT(DISTINCT l.component_id) AS components
    FROM (
        SELECT l.incident_id, l.component_id FROM source.incident_components AS l
        UNION
        SELECT h.incident_id, h.component_id FROM source.incident_component_history AS h
    ) AS l
    GROUP BY l.incident_id
),
worst AS (
    SELECT i.incident_id, MAX(v.severity) AS severity
    FROM analytics.incident_impacts AS i
    INNER JOIN analytics.component_severities AS v ON v.status = i.status
    GROUP BY i.incident_id
),
described AS (
    SELECT i.id AS incident_id, i.name, i.status, i.created_at, TRUE AS is_listed
    FROM source.incidents AS i
    UNION ALL
    SELECT h.incident_id, h.name, h.status, h.created_at, FALSE
    FROM (
        SELECT h.*, ROW_NUMBER() OVER (PARTITION BY h.incident_id ORDER BY h.observed_at DESC NULLS LAST) AS nth_from_last
        FROM source.incident_history AS h
        CROSS JOIN settings AS s
        WHERE h.observed_at <= s.as_of
    ) AS h
    WHERE h.nth_from_last = 1 AND NOT EXISTS (SELECT 1 FROM source.incidents AS i WHERE i.id = h.incident_id)
),
timed AS (
    SELECT
        p.*,
        d.name,
        d.status,
        d.is_listed,
        COALESCE(u.updates, 0) AS updates,
        EXTRACT(EPOCH FROM d.created_at) - EXTRACT(EPOCH FROM p.starts_at) AS seconds_to_publish,
        EXTRACT(EPOCH FROM u.first_at) - EXTRACT(EPOCH FROM d.created_at) AS seconds_to_first_response,
        EXTRACT(EPOCH FROM u.identified_at) - EXTRACT(EPOCH FROM p.starts_at) AS seconds_to_identified,
        EXTRACT(EPOCH FROM u.watching_at) - EXTRACT(EPOCH FROM p.starts_at) AS seconds_to_watching,
        EXTRACT(EPOCH FROM p.ends_at) - EXTRACT(EPOCH FROM p.starts_at) AS seconds_to_fixed
    FROM spans AS p
    INNER JOIN described AS d ON d.incident_id = p.incident_id
    LEFT JOIN updates AS u ON u.incident_id = p.incident_id
)
SELECT
    t.incident_id,
    -- One that is gone may be one that is hidden from all: its title is not given away.
    CASE WHEN t.is_listed OR s.audience = 'all' THEN t.name ELSE 'Incident ' || CAST(t.incident_id AS TEXT) END AS name,
    t.status,
    t.is_public,
    t.is_open,
    t.starts_at,
    CASE WHEN NOT t.is_open AND NOT t.is_end_unknown THEN t.ends_at END AS ends_at,
    c.month,
    t.spans,
    t.open_seconds,
    CASE WHEN t.seconds_to_publish >= 0 THEN t.seconds_to_publish END AS seconds_to_publish,
    CASE WHEN t.seconds_to_first_response >= 0 THEN t.seconds_to_first_response END AS seconds_to_first_response,
    CASE WHEN t.seconds_to_identified >= 0 THEN t.seconds_to_identified END AS seconds_to_identified,
    CASE WHEN t.seconds_to_watching >= 0 THEN t.seconds_to_watching END AS seconds_to_watching,
    CASE WHEN NOT t.is_open AND NOT t.is_end_unknown THEN t.seconds_to_fixed END AS seconds_to_fixed,
    t.updates,
    COALESCE(l.components, 0) AS components,
    v.status AS worst_status,
    t.end_evidence,
    TRIM(
        t.flags
        || CASE WHEN COALESCE(l.components, 0) = 0 THEN ' no_components' ELSE '' END
        || CASE WHEN t.is_listed THEN '' ELSE ' deleted' END
    ) AS flags
FROM timed AS t
CROSS JOIN settings AS s
LEFT JOIN links AS l ON l.incident_id = t.incident_id
LEFT JOIN worst AS w ON w.incident_id = t.incident_id
LEFT JOIN analytics.component_severities AS v ON v.severity = w.severity
LEFT JOIN analytics.calendar_months AS c ON t.starts_at >= c.starts_at AND t.starts_at < c.ends_at
WHERE t.is_public OR s.audience = 'all'
