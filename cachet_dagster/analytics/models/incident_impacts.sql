-- What each incident made of each of its components, and when: its open spans cut where the severity changed.
-- A severity before the first look is taken to be the first one seen.
WITH settings AS (
    SELECT as_of FROM analytics.build_settings
),
recorded AS (
    SELECT
        h.incident_id,
        h.component_id,
        h.component_status AS status,
        h.is_deleted,
        CASE WHEN h.nth > 1 THEN h.observed_at END AS starts_at,
        LEAD(h.observed_at) OVER (PARTITION BY h.incident_id, h.component_id ORDER BY h.nth NULLS FIRST) AS ends_at,
        LEAD(COALESCE(h.previous_observed_at, h.observed_at)) OVER (
            PARTITION BY h.incident_id, h.component_id ORDER BY h.nth NULLS FIRST
        ) AS ends_at_earliest,
        LEAD(h.component_status) OVER (
            PARTITION BY h.incident_id, h.component_id ORDER BY h.nth NULLS FIRST
        ) AS next_status,
        LEAD(h.is_deleted) OVER (
            PARTITION BY h.incident_id, h.component_id ORDER BY h.nth NULLS FIRST
        ) AS next_is_deleted
    FROM (
        SELECT
            h.*,
            ROW_NUMBER() OVER (PARTITION BY h.incident_id, h.component_id ORDER BY h.observed_at NULLS FIRST) AS nth
        FROM source.incident_component_history AS h
        CROSS JOIN settings AS s
        WHERE h.observed_at <= s.as_of
            -- A link that went with its incident was not taken back.
            AND (NOT h.is_deleted OR EXISTS (SELECT 1 FROM source.incidents AS i WHERE i.id = h.incident_id))
    ) AS h
),
severities AS (
    SELECT
        r.incident_id, r.component_id, r.status, r.status AS status_best, r.status AS status_worst,
        r.starts_at, COALESCE(r.ends_at_earliest, r.ends_at) AS ends_at
    FROM recorded AS r
    WHERE NOT r.is_deleted
    UNION ALL
    SELECT
        r.incident_id,
        r.component_id,
        CASE WHEN r.is_deleted THEN NULL ELSE r.status END AS status,
        CASE
            WHEN r.is_deleted OR r.next_is_deleted THEN NULL
            WHEN COALESCE(a.severity, 0) <= COALESCE(b.severity, 0) THEN r.status
            ELSE r.next_status
        END AS status_best,
        CASE
            WHEN r.is_deleted THEN r.next_status
            WHEN r.next_is_deleted OR COALESCE(a.severity, 0) >= COALESCE(b.severity, 0) THEN r.status
            ELSE r.next_status
        END AS status_worst,
        r.ends_at_earliest AS starts_at,
        r.ends_at
    FROM recorded AS r
    LEFT JOIN analytics.component_severities AS a ON a.status = r.status
    LEFT JOIN analytics.component_severities AS b ON b.status = r.next_status
    WHERE r.ends_at_earliest < r.ends_at
    UNION ALL
    SELECT
        l.incident_id, l.component_id, l.component_status, l.component_status, l.component_status,
        NULL AS starts_at, NULL AS ends_at
    FROM (
        SELECT l.incident_id, l.component_id, MAX(l.component_status) AS component_status
        FROM source.incident_components AS l
        GROUP BY l.incident_id, l.component_id
    ) AS l
    WHERE NOT EXISTS (
        SELECT 1 FROM recorded AS r WHERE r.incident_id = l.incident_id AND r.component_id = l.component_id
    )
),
spans AS (
    SELECT p.incident_id, p.is_public, FALSE AS may_be_over, p.starts_at, p.ends_at_earliest AS ends_at
    FROM analytics.incident_spans AS p
    WHERE p.starts_at < p.ends_at_earliest
    UNION ALL
    SELECT p.incident_id, p.is_public, TRUE AS may_be_over, p.ends_at_earliest AS starts_at, p.ends_at
    FROM analytics.incident_spans AS p
    WHERE p.ends_at_earliest < p.ends_at
)
SELECT
    i.incident_id,
    i.component_id,
    i.starts_at,
    i.ends_at,
    i.status,
    i.status_best,
    i.status_worst,
    i.is_public
FROM (
    SELECT
        p.incident_id,
        v.component_id,
        GREATEST(p.starts_at, COALESCE(v.starts_at, p.starts_at)) AS starts_at,
        LEAST(p.ends_at, COALESCE(v.ends_at, p.ends_at)) AS ends_at,
        v.status,
        CASE WHEN p.may_be_over THEN NULL ELSE v.status_best END AS status_best,
        v.status_worst,
        p.is_public
    FROM spans AS p
    INNER JOIN severities AS v ON v.incident_id = p.incident_id
) AS i
WHERE i.starts_at < i.ends_at
