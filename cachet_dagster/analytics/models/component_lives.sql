-- Since when each component lives, and who sees it. Links name components that the API does not list.
WITH settings AS (
    SELECT as_of, audience FROM analytics.build_settings
),
recorded AS (
    SELECT
        h.component_id, h.name, h.enabled, h.component_group_id, h.created_at, h.observed_at, h.is_deleted,
        ROW_NUMBER() OVER (PARTITION BY h.component_id ORDER BY h.observed_at DESC NULLS LAST) AS nth_from_last
    FROM source.component_history AS h
    CROSS JOIN settings AS s
    WHERE h.observed_at <= s.as_of
),
linked AS (
    SELECT l.component_id, l.component_name FROM source.incident_components AS l
    UNION ALL
    SELECT l.component_id, l.component_name FROM source.schedule_components AS l
),
impacts AS (
    SELECT i.component_id, MIN(i.starts_at) AS starts_at
    FROM analytics.incident_impacts AS i
    GROUP BY i.component_id
),
known AS (
    SELECT c.id AS component_id FROM source.components AS c
    UNION
    SELECT r.component_id FROM recorded AS r
    UNION
    SELECT l.component_id FROM linked AS l
    UNION
    SELECT i.component_id FROM impacts AS i
),
described AS (
    SELECT
        k.component_id,
        COALESCE(c.name, r.name, l.component_name) AS component_name,
        COALESCE(c.component_group_id, CASE WHEN c.id IS NULL THEN r.component_group_id END) AS component_group_id,
        COALESCE(c.created_at, r.created_at) AS created_at,
        c.id IS NOT NULL AS is_listed,
        COALESCE(c.enabled, r.enabled, FALSE) AS enabled,
        CASE WHEN c.id IS NULL AND r.is_deleted THEN r.observed_at END AS deleted_at
    FROM known AS k
    LEFT JOIN source.components AS c ON c.id = k.component_id
    LEFT JOIN recorded AS r ON r.component_id = k.component_id AND r.nth_from_last = 1
    LEFT JOIN (
        SELECT l.component_id, MAX(l.component_name) AS component_name FROM linked AS l GROUP BY l.component_id
    ) AS l ON l.component_id = k.component_id
)
SELECT
    d.component_id,
    d.component_name,
    d.component_group_id,
    g.name AS component_group_name,
    LEAST(COALESCE(d.created_at, i.starts_at, s.as_of), COALESCE(i.starts_at, d.created_at, s.as_of), s.as_of) AS starts_at,
    LEAST(COALESCE(d.deleted_at, s.as_of), s.as_of) AS ends_at,
    d.is_listed,
    d.enabled AND COALESCE(g.visible, 1) = 1 AS is_public,
    s.audience = 'all' OR (d.enabled AND COALESCE(g.visible, 1) = 1) AS in_audience
FROM described AS d
CROSS JOIN settings AS s
LEFT JOIN impacts AS i ON i.component_id = d.component_id
LEFT JOIN source.components_groups AS g ON g.id = d.component_group_id
