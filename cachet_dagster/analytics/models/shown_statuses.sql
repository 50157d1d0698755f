-- The status that the page shows of each component as of now, and what each rule of Cachet's makes it: the worst of all
-- (since 2026-07-26), or that of the newest open incident (before).
WITH now_worst AS (
    SELECT i.component_id, i.starts_at, i.shown_status
    FROM analytics.component_status_intervals AS i
    CROSS JOIN analytics.build_settings AS s
    WHERE i.ends_at = s.as_of
),
opened AS (
    SELECT
        l.component_id,
        l.component_status,
        ROW_NUMBER() OVER (
            PARTITION BY l.component_id ORDER BY i.created_at DESC NULLS LAST, i.id DESC NULLS LAST
        ) AS nth
    FROM source.incident_components AS l
    INNER JOIN source.incidents AS i ON i.id = l.incident_id
    CROSS JOIN analytics.build_settings AS s
    WHERE COALESCE(i.status, 0) <> 4 AND (i.scheduled_at IS NULL OR COALESCE(i.status, 0) <> 0) AND COALESCE(i.visible, 1) = 1
        AND (i.published_at IS NULL OR i.published_at <= s.as_of)
)
SELECT
    c.id AS component_id,
    w.starts_at AS since,
    c.latest_status AS page_status,
    w.shown_status AS worst_of_all,
    CASE WHEN o.component_id IS NULL THEN w.shown_status ELSE COALESCE(o.component_status, c.status) END AS newest_incident
FROM source.components AS c
INNER JOIN now_worst AS w ON w.component_id = c.id
LEFT JOIN opened AS o ON o.component_id = c.id AND o.nth = 1
