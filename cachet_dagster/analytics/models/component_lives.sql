-- Since when each component lives, and who sees it. Links name components that the API does not list.
WITH settings AS (
    SELECT as_of, audience FROM analytics.build_settings
),
recorded AS (
    SELECT
        h.component_id, h.name, h.enabled, h.component_group_id, h.is_public, h.visibility_seen_as, h.created_at,
        h.observed_at, h.is_deleted,
        LAG(h.is_public) OVER (PARTITION BY h.component_id ORDER BY h.observed_at NULLS FIRST) AS was_public,
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
-- Groups that everyone sees: one that is not listed is not known to be one.
page_groups AS (
    SELECT g.id, g.name, COALESCE(g.visible, 1) = 1 AS is_public FROM source.components_groups AS g
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
        -- Who is not shown it now cannot tell whether it is gone or hidden.
        CASE WHEN c.id IS NULL THEN r.is_deleted ELSE c.enabled END
        AND COALESCE(r.is_public, r.enabled, TRUE)
        AND (
            COALESCE(c.component_group_id, r.component_group_id, 0) = 0
            OR COALESCE(g.is_public, FALSE)
        ) AS is_public,
        c.id IS NOT NULL OR COALESCE(r.visibility_seen_as, 'guest') IN ('token', 'full') AS is_name_known,
        t.public_since,
        g.name AS component_group_name,
        COALESCE(g.is_public, FALSE) AS is_group_public,
        CASE WHEN c.id IS NULL AND r.is_deleted THEN r.observed_at END AS deleted_at
    FROM known AS k
    LEFT JOIN source.components AS c ON c.id = k.component_id
    LEFT JOIN recorded AS r ON r.component_id = k.component_id AND r.nth_from_last = 1
    LEFT JOIN page_groups AS g ON g.id = COALESCE(c.component_group_id, r.component_group_id)
    LEFT JOIN (
        SELECT r.component_id, MAX(r.observed_at) AS public_since
        FROM recorded AS r
        WHERE r.is_public AND NOT r.was_public
        GROUP BY r.component_id
    ) AS t ON t.component_id = k.component_id
    LEFT JOIN (
        SELECT l.component_id, MAX(l.component_name) AS component_name FROM linked AS l GROUP BY l.component_id
    ) AS l ON l.component_id = k.component_id
)
SELECT
    d.component_id,
    -- A name that the audience does not see is not given away.
    CASE
        WHEN s.audience = 'all' OR (COALESCE(d.is_public, FALSE) AND d.is_name_known) THEN d.component_name
        ELSE 'Component ' || CAST(d.component_id AS TEXT)
    END AS component_name,
    d.component_group_id,
    CASE WHEN s.audience = 'all' OR d.is_group_public THEN d.component_group_name END AS component_group_name,
    LEAST(
        GREATEST(
            LEAST(COALESCE(d.created_at, i.starts_at, s.as_of), COALESCE(i.starts_at, d.created_at, s.as_of)),
            -- The public's figures begin when the public began to see it.
            CASE WHEN s.audience = 'public' THEN d.public_since END
        ),
        s.as_of
    ) AS starts_at,
    LEAST(COALESCE(d.deleted_at, s.as_of), s.as_of) AS ends_at,
    d.is_listed,
    COALESCE(d.is_public, FALSE) AS is_public,
    s.audience = 'all' OR COALESCE(d.is_public, FALSE) AS in_audience
FROM described AS d
CROSS JOIN settings AS s
LEFT JOIN impacts AS i ON i.component_id = d.component_id
