-- When each incident was open: its start, then its updates, then what its own status says beyond them.
-- Deleted incidents have lost their updates; what loads recorded of them takes their place.
WITH settings AS (
    SELECT as_of, cachet_version FROM analytics.build_settings
),
recorded AS (
    SELECT
        h.incident_id,
        h.observed_at,
        h.previous_observed_at,
        h.updated_at,
        h.status,
        h.occurred_at,
        h.created_at,
        h.visible,
        h.published_at,
        h.is_deleted,
        -- The change lies between the two looks, and not after Cachet's time of the last edit.
        CASE
            WHEN NOT h.is_deleted AND h.updated_at <= h.observed_at AND h.updated_at > h.previous_observed_at
                THEN h.updated_at
            ELSE h.observed_at
        END AS changed_at,
        COALESCE(h.previous_observed_at, h.observed_at) AS changed_at_earliest,
        COALESCE(h.status = 4, FALSE) AS is_fixed,
        ROW_NUMBER() OVER (PARTITION BY h.incident_id ORDER BY h.observed_at NULLS FIRST) AS nth,
        ROW_NUMBER() OVER (PARTITION BY h.incident_id ORDER BY h.observed_at DESC NULLS LAST) AS nth_from_last
    FROM source.incident_history AS h
    CROSS JOIN settings AS s
    WHERE h.observed_at <= s.as_of
),
incidents AS (
    SELECT
        i.id AS incident_id,
        i.status,
        i.occurred_at,
        i.created_at,
        i.updated_at,
        COALESCE(i.visible, 1) = 1 AND COALESCE(r.visible, 1) = 1
        AND (i.published_at IS NULL OR i.published_at <= s.as_of) AS is_public,
        TRUE AS is_listed
    FROM source.incidents AS i
    CROSS JOIN settings AS s
    LEFT JOIN recorded AS r ON r.incident_id = i.id AND r.nth_from_last = 1
    -- What Cachet 2.3 has in place of a schedule is no incident.
    WHERE i.scheduled_at IS NULL OR COALESCE(i.status, 0) <> 0
    UNION ALL
    SELECT
        r.incident_id,
        r.status,
        r.occurred_at,
        r.created_at,
        r.updated_at,
        -- Who is not shown it now cannot tell whether it is gone or hidden.
        r.is_deleted AND COALESCE(r.visible, 1) = 1
        AND (r.published_at IS NULL OR r.published_at <= r.observed_at) AS is_public,
        FALSE AS is_listed
    FROM recorded AS r
    WHERE r.nth_from_last = 1
        AND NOT EXISTS (SELECT 1 FROM source.incidents AS i WHERE i.id = r.incident_id)
),
begun AS (
    SELECT
        i.incident_id,
        i.status,
        i.updated_at,
        i.created_at,
        i.is_public,
        i.is_listed,
        s.as_of,
        s.cachet_version,
        COALESCE(i.occurred_at, i.created_at) > s.as_of AS is_in_future,
        i.occurred_at IS NULL AND i.created_at IS NULL AS is_untimed,
        CASE
            WHEN COALESCE(i.occurred_at, i.created_at) <= s.as_of THEN COALESCE(i.occurred_at, i.created_at)
            WHEN i.created_at <= s.as_of THEN i.created_at
            ELSE COALESCE(
                (SELECT MIN(r.observed_at) FROM recorded AS r WHERE r.incident_id = i.incident_id), s.as_of
            )
        END AS starts_at
    FROM incidents AS i
    CROSS JOIN settings AS s
),
updates AS (
    SELECT
        u.incident_id,
        u.id AS update_id,
        u.created_at,
        u.status = 4 AS is_fixed,
        ROW_NUMBER() OVER (
            PARTITION BY u.incident_id ORDER BY u.created_at DESC NULLS LAST, u.id DESC NULLS LAST
        ) AS nth_from_last
    FROM source.incident_updates AS u
    WHERE u.status IS NOT NULL
),
-- The first of the trailing run of recorded rows that say what the incident says now.
transitions AS (
    SELECT r.incident_id, r.changed_at, r.changed_at_earliest
    FROM (
        SELECT
            a.incident_id,
            a.changed_at,
            a.changed_at_earliest,
            a.nth,
            ROW_NUMBER() OVER (PARTITION BY a.incident_id ORDER BY a.nth DESC NULLS LAST) AS newest
        FROM (
            SELECT
                r.incident_id,
                r.changed_at,
                r.changed_at_earliest,
                r.nth,
                r.is_fixed,
                LAG(r.is_fixed) OVER (PARTITION BY r.incident_id ORDER BY r.nth NULLS FIRST) AS was_fixed
            FROM recorded AS r
        ) AS a
        WHERE a.is_fixed <> a.was_fixed
    ) AS r
    WHERE r.newest = 1
),
events AS (
    SELECT
        b.incident_id,
        0 AS place,
        0 AS update_id,
        b.starts_at AS at,
        b.starts_at AS at_earliest,
        FALSE AS is_fixed,
        CASE WHEN b.is_untimed OR b.is_in_future THEN 'assumed' ELSE 'reported' END AS evidence,
        TRIM(CASE WHEN b.is_in_future THEN 'start_in_future' ELSE '' END) AS flag
    FROM begun AS b
    UNION ALL
    SELECT
        b.incident_id,
        1 AS place,
        u.update_id,
        LEAST(
            GREATEST(COALESCE(u.created_at + INTERVAL 1 SECOND * COALESCE(r.seconds, 0), b.starts_at), b.starts_at), b.as_of
        ) AS at,
        LEAST(GREATEST(COALESCE(u.created_at, b.starts_at), b.starts_at), b.as_of) AS at_earliest,
        u.is_fixed,
        CASE WHEN r.seconds IS NULL THEN 'reported' ELSE 'inferred' END AS evidence,
        CASE
            WHEN u.is_fixed AND r.seconds IS NOT NULL THEN 'repeated_hour'
            WHEN u.is_fixed AND u.created_at < b.starts_at THEN 'end_before_start'
            ELSE ''
        END AS flag
    FROM updates AS u
    INNER JOIN begun AS b ON b.incident_id = u.incident_id
    -- Both in an hour that the clock shows twice, read as its first time: the update may be one of the second time.
    LEFT JOIN analytics.repeated_hours AS r
        ON b.cachet_version <> 2 AND b.starts_at >= r.starts_at AND b.starts_at < r.ends_at
        AND u.created_at >= r.starts_at AND u.created_at < r.starts_at + INTERVAL 1 SECOND * r.seconds
    WHERE b.is_listed
    UNION ALL
    -- A status that no update set: the recorded transition, else the row's last change as a bound.
    SELECT
        b.incident_id,
        2 AS place,
        0 AS update_id,
        LEAST(
            GREATEST(
                CASE
                    WHEN t.changed_at IS NOT NULL THEN t.changed_at
                    WHEN b.updated_at > b.created_at THEN b.updated_at
                    ELSE COALESCE(b.created_at, b.starts_at)
                END,
                b.starts_at
            ),
            b.as_of
        ) AS at,
        LEAST(GREATEST(COALESCE(t.changed_at_earliest, u.created_at, b.starts_at), b.starts_at), b.as_of) AS at_earliest,
        b.status = 4 AS is_fixed,
        CASE
            WHEN t.changed_at > t.changed_at_earliest THEN 'inferred'
            WHEN t.changed_at IS NOT NULL THEN 'observed'
            WHEN b.updated_at > b.created_at THEN 'inferred'
            ELSE 'assumed'
        END AS evidence,
        CASE
            WHEN b.status <> 4 THEN ''
            WHEN t.changed_at > t.changed_at_earliest THEN 'end_is_upper_bound'
            WHEN t.changed_at IS NOT NULL THEN ''
            WHEN b.updated_at > b.created_at THEN 'end_is_upper_bound'
            ELSE 'end_unknown'
        END AS flag
    FROM begun AS b
    LEFT JOIN updates AS u ON u.incident_id = b.incident_id AND u.nth_from_last = 1
    LEFT JOIN transitions AS t
        ON t.incident_id = b.incident_id AND (u.created_at IS NULL OR t.changed_at >= u.created_at)
    WHERE b.is_listed AND COALESCE(b.status = 4, FALSE) <> COALESCE(u.is_fixed, FALSE)
    UNION ALL
    -- Of a deleted incident: what was recorded; what was open when it went ended then.
    SELECT
        b.incident_id,
        1 AS place,
        r.nth AS update_id,
        GREATEST(CASE WHEN r.nth = 1 AND r.is_fixed THEN COALESCE(r.updated_at, r.observed_at) ELSE r.changed_at END,
            b.starts_at) AS at,
        GREATEST(CASE WHEN r.nth = 1 THEN b.starts_at ELSE r.changed_at_earliest END, b.starts_at) AS at_earliest,
        r.is_fixed OR r.is_deleted AS is_fixed,
        CASE WHEN r.nth = 1 OR r.changed_at > r.changed_at_earliest THEN 'inferred' ELSE 'observed' END AS evidence,
        CASE
            WHEN NOT (r.is_fixed OR r.is_deleted) THEN ''
            WHEN r.nth = 1 OR r.changed_at > r.changed_at_earliest THEN 'end_is_upper_bound'
            ELSE ''
        END AS flag
    FROM recorded AS r
    INNER JOIN begun AS b ON b.incident_id = r.incident_id
    WHERE NOT b.is_listed
),
numbered AS (
    SELECT
        e.incident_id,
        e.at_earliest,
        e.is_fixed,
        e.evidence,
        e.flag,
        ROW_NUMBER() OVER (
            PARTITION BY e.incident_id ORDER BY e.place NULLS FIRST, e.at NULLS FIRST, e.update_id NULLS FIRST
        ) AS nth,
        -- No later event lies before an earlier one.
        MAX(e.at) OVER (
            PARTITION BY e.incident_id
            ORDER BY e.place NULLS FIRST, e.at NULLS FIRST, e.update_id NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS at
    FROM events AS e
),
turns AS (
    SELECT n.*
    FROM (
        SELECT
            n.*,
            LAG(n.is_fixed) OVER (PARTITION BY n.incident_id ORDER BY n.nth NULLS FIRST) AS was_fixed
        FROM numbered AS n
    ) AS n
    WHERE n.was_fixed IS NULL OR n.was_fixed <> n.is_fixed
),
spans AS (
    SELECT
        t.incident_id,
        t.is_fixed,
        t.at AS starts_at,
        t.evidence AS start_evidence,
        t.flag AS start_flag,
        LEAD(t.at) OVER (PARTITION BY t.incident_id ORDER BY t.nth NULLS FIRST) AS ends_at,
        LEAD(t.at_earliest) OVER (PARTITION BY t.incident_id ORDER BY t.nth NULLS FIRST) AS ends_at_earliest,
        LEAD(t.evidence) OVER (PARTITION BY t.incident_id ORDER BY t.nth NULLS FIRST) AS end_evidence,
        LEAD(t.flag) OVER (PARTITION BY t.incident_id ORDER BY t.nth NULLS FIRST) AS end_flag,
        SUM(CASE WHEN t.is_fixed THEN 0 ELSE 1 END) OVER (
            PARTITION BY t.incident_id ORDER BY t.nth NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS span
    FROM turns AS t
)
SELECT
    p.incident_id,
    p.span,
    p.starts_at,
    COALESCE(p.ends_at, b.as_of) AS ends_at,
    LEAST(GREATEST(COALESCE(p.ends_at_earliest, b.as_of), p.starts_at), COALESCE(p.ends_at, b.as_of)) AS ends_at_earliest,
    p.ends_at IS NULL AS is_open,
    p.start_evidence,
    COALESCE(p.end_evidence, 'observed') AS end_evidence,
    TRIM(p.start_flag || ' ' || COALESCE(p.end_flag, '')) AS flags,
    b.is_public
FROM spans AS p
INNER JOIN begun AS b ON b.incident_id = p.incident_id
WHERE NOT p.is_fixed
