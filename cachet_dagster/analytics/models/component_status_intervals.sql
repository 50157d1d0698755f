-- The status of each component at each moment: the worst of (running maintenance, else its own status) and of its
-- incidents. A sweep: each claim adds itself where it begins and takes itself back where it ends; what is left at a
-- moment are the claims that hold. Four channels go through the same sweep: the status that the page showed, the one
-- that figures go by (maintenance capped, the figures' audience), and the best and the worst that it can have been.
WITH settings AS (
    SELECT as_of, audience, cachet_version, maintenance_cap_seconds FROM analytics.build_settings
),
observations AS (
    SELECT
        h.component_id, h.observed_at, h.previous_observed_at, h.updated_at,
        CASE WHEN h.is_deleted THEN 5 ELSE COALESCE(h.status, 5) END AS status, h.is_deleted
    FROM source.component_history AS h
    CROSS JOIN settings AS s
    WHERE h.observed_at <= s.as_of
    UNION ALL
    SELECT c.id, s.as_of, NULL, c.updated_at, COALESCE(c.status, 5), FALSE
    FROM source.components AS c
    CROSS JOIN settings AS s
    WHERE NOT EXISTS (
        SELECT 1 FROM source.component_history AS h WHERE h.component_id = c.id AND h.observed_at <= s.as_of
    )
),
changes AS (
    SELECT
        o.component_id,
        o.observed_at,
        o.status,
        CASE WHEN o.is_dated THEN o.updated_at ELSE o.observed_at END AS changed_at,
        CASE WHEN o.is_dated THEN o.updated_at ELSE COALESCE(o.previous_observed_at, o.observed_at) END AS changed_at_earliest
    FROM (
        SELECT
            o.*,
            -- Cachet's own time of the change, where it lies between the two looks.
            COALESCE(
                NOT o.is_deleted AND o.updated_at <= o.observed_at
                AND (o.previous_observed_at IS NULL OR o.updated_at > o.previous_observed_at),
                FALSE
            ) AS is_dated,
            LAG(o.status) OVER (PARTITION BY o.component_id ORDER BY o.observed_at NULLS FIRST) AS status_before
        FROM observations AS o
    ) AS o
    WHERE o.status_before IS NULL OR o.status_before <> o.status
),
stretches AS (
    SELECT
        c.component_id,
        c.changed_at,
        c.observed_at,
        c.status,
        LEAD(c.changed_at) OVER (PARTITION BY c.component_id ORDER BY c.observed_at NULLS FIRST) AS next_at,
        LEAD(c.changed_at_earliest) OVER (PARTITION BY c.component_id ORDER BY c.observed_at NULLS FIRST) AS next_at_earliest,
        LEAD(c.status) OVER (PARTITION BY c.component_id ORDER BY c.observed_at NULLS FIRST) AS next_status
    FROM changes AS c
),
known_from AS (
    SELECT t.component_id, MIN(t.changed_at) AS known_from FROM stretches AS t GROUP BY t.component_id
),
own AS (
    -- Before anything is known a component is taken to be operational.
    SELECT l.component_id, l.starts_at, k.known_from AS ends_at, 1 AS status, 1 AS other_status, 4 AS evidence
    FROM analytics.component_lives AS l
    LEFT JOIN known_from AS k ON k.component_id = l.component_id
    UNION ALL
    -- Not changed since, says Cachet.
    SELECT t.component_id, t.changed_at, LEAST(t.observed_at, COALESCE(t.next_at_earliest, t.observed_at)), t.status, t.status, 2
    FROM stretches AS t
    UNION ALL
    SELECT t.component_id, t.observed_at, t.next_at_earliest, t.status, t.status, 1
    FROM stretches AS t
    UNION ALL
    SELECT t.component_id, GREATEST(t.next_at_earliest, t.changed_at), t.next_at, t.status, t.next_status, 1
    FROM stretches AS t
    WHERE t.next_at_earliest < t.next_at
),
maintenance AS (
    SELECT
        l.component_id,
        v.severity,
        h.scheduled_at AS starts_at,
        h.completed_at AS shown_ends_at,
        COALESCE(h.completed_at, h.scheduled_at + INTERVAL 1 SECOND * s.maintenance_cap_seconds) AS ends_at,
        h.published_at IS NULL OR h.published_at <= s.as_of AS is_public,
        s.audience,
        s.cachet_version
    FROM source.schedules AS h
    CROSS JOIN settings AS s
    INNER JOIN (
        SELECT l.schedule_id, l.component_id, MAX(l.component_status) AS component_status
        FROM source.schedule_components AS l
        GROUP BY l.schedule_id, l.component_id
    ) AS l ON l.schedule_id = h.id
    INNER JOIN analytics.component_severities AS v ON v.status = l.component_status
),
impacts AS (
    SELECT
        i.component_id,
        i.starts_at,
        -- Cachet 2 writes an incident into the component's own status: what is known of that rules.
        CASE WHEN s.cachet_version = 2 THEN LEAST(i.ends_at, COALESCE(k.known_from, i.ends_at)) ELSE i.ends_at END AS ends_at,
        CASE WHEN s.cachet_version = 2 THEN 5 ELSE i.status END AS status,
        CASE WHEN s.cachet_version = 2 THEN NULL ELSE i.status_best END AS status_best,
        CASE WHEN s.cachet_version = 2 THEN 5 ELSE i.status_worst END AS status_worst,
        i.is_public,
        i.is_public OR s.audience = 'all' AS counts
    FROM analytics.incident_impacts AS i
    CROSS JOIN settings AS s
    LEFT JOIN known_from AS k ON k.component_id = i.component_id
),
claims AS (
    SELECT
        o.component_id, o.starts_at, o.ends_at, 'own' AS layer, o.evidence,
        a.severity AS shown,
        a.severity AS status,
        LEAST(a.severity_best, b.severity_best) AS best,
        GREATEST(a.severity_worst, b.severity_worst) AS worst
    FROM own AS o
    INNER JOIN analytics.component_severities AS a ON a.status = o.status
    INNER JOIN analytics.component_severities AS b ON b.status = o.other_status
    UNION ALL
    SELECT
        m.component_id, m.starts_at, m.ends_at,
        -- Cachet 2's maintenance changes no status.
        CASE WHEN m.cachet_version = 2 THEN 'incident' ELSE 'maintenance' END,
        2,
        CASE WHEN m.is_public AND m.cachet_version <> 2 THEN m.severity END,
        CASE WHEN m.cachet_version = 2 THEN 3 ELSE m.severity END,
        CASE WHEN m.cachet_version = 2 THEN 3 ELSE m.severity END,
        CASE WHEN m.cachet_version = 2 THEN 3 ELSE m.severity END
    FROM maintenance AS m
    WHERE m.is_public OR m.audience = 'all'
    UNION ALL
    SELECT m.component_id, m.ends_at, NULL, 'maintenance', 2, m.severity, NULL, NULL, NULL
    FROM maintenance AS m
    WHERE m.shown_ends_at IS NULL AND m.is_public AND m.cachet_version <> 2
    UNION ALL
    SELECT
        i.component_id, i.starts_at, i.ends_at, 'incident', 2,
        CASE WHEN i.is_public THEN a.severity END,
        CASE WHEN i.counts THEN a.severity END,
        CASE WHEN i.counts THEN b.severity_best END,
        CASE WHEN i.counts THEN c.severity_worst END
    FROM impacts AS i
    LEFT JOIN analytics.component_severities AS a ON a.status = i.status
    LEFT JOIN analytics.component_severities AS b ON b.status = i.status_best
    LEFT JOIN analytics.component_severities AS c ON c.status = i.status_worst
    UNION ALL
    SELECT i.component_id, i.starts_at, i.ends_at, 'unspecified', 2, NULL, 1, NULL, NULL
    FROM impacts AS i
    WHERE i.status IS NULL AND i.counts
),
-- Clipped to the component's life.
clipped AS (
    SELECT
        c.component_id, c.layer, c.evidence, c.shown, c.status, c.best, c.worst,
        GREATEST(c.starts_at, l.starts_at) AS starts_at,
        LEAST(COALESCE(c.ends_at, l.ends_at), l.ends_at) AS ends_at
    FROM claims AS c
    INNER JOIN analytics.component_lives AS l ON l.component_id = c.component_id
),
events AS (
    SELECT
        c.component_id,
        k.channel,
        k.side,
        CASE WHEN k.side = 1 THEN c.starts_at ELSE c.ends_at END AS at,
        c.layer,
        c.evidence,
        CASE k.channel WHEN 'shown' THEN c.shown WHEN 'status' THEN c.status WHEN 'best' THEN c.best ELSE c.worst END AS severity
    FROM clipped AS c
    CROSS JOIN (
        VALUES
        ('shown', 1), ('status', 1), ('best', 1), ('worst', 1), ('shown', -1), ('status', -1), ('best', -1), ('worst', -1)
    ) AS k (channel, side)
    WHERE c.starts_at < c.ends_at
),
-- Small integers, since sums of wide ones over windows take half as long again.
steps AS (
    SELECT
        e.component_id,
        e.channel,
        e.at,
        CAST(SUM(CASE WHEN e.layer = 'own' THEN e.side * e.severity ELSE 0 END) AS INTEGER) AS own,
        CAST(SUM(CASE WHEN e.layer = 'own' THEN e.side * e.evidence ELSE 0 END) AS INTEGER) AS evidence,
        CAST(SUM(CASE WHEN e.layer = 'maintenance' AND e.severity = 1 THEN e.side ELSE 0 END) AS INTEGER) AS m1,
        CAST(SUM(CASE WHEN e.layer = 'maintenance' AND e.severity = 2 THEN e.side ELSE 0 END) AS INTEGER) AS m2,
        CAST(SUM(CASE WHEN e.layer = 'maintenance' AND e.severity = 3 THEN e.side ELSE 0 END) AS INTEGER) AS m3,
        CAST(SUM(CASE WHEN e.layer = 'maintenance' AND e.severity = 4 THEN e.side ELSE 0 END) AS INTEGER) AS m4,
        CAST(SUM(CASE WHEN e.layer = 'maintenance' AND e.severity = 5 THEN e.side ELSE 0 END) AS INTEGER) AS m5,
        CAST(SUM(CASE WHEN e.layer = 'maintenance' AND e.severity = 6 THEN e.side ELSE 0 END) AS INTEGER) AS m6,
        CAST(SUM(CASE WHEN e.layer = 'incident' AND e.severity = 2 THEN e.side ELSE 0 END) AS INTEGER) AS i2,
        CAST(SUM(CASE WHEN e.layer = 'incident' AND e.severity = 3 THEN e.side ELSE 0 END) AS INTEGER) AS i3,
        CAST(SUM(CASE WHEN e.layer = 'incident' AND e.severity = 4 THEN e.side ELSE 0 END) AS INTEGER) AS i4,
        CAST(SUM(CASE WHEN e.layer = 'incident' AND e.severity = 5 THEN e.side ELSE 0 END) AS INTEGER) AS i5,
        CAST(SUM(CASE WHEN e.layer = 'incident' AND e.severity = 6 THEN e.side ELSE 0 END) AS INTEGER) AS i6,
        CAST(SUM(CASE WHEN e.layer = 'unspecified' AND e.severity = 1 THEN e.side ELSE 0 END) AS INTEGER) AS unspecified
    FROM events AS e
    GROUP BY e.component_id, e.channel, e.at
),
held AS (
    SELECT
        s.component_id,
        s.channel,
        s.at,
        SUM(s.own) OVER sweep AS own,
        SUM(s.evidence) OVER sweep AS evidence,
        SUM(s.m1) OVER sweep AS m1,
        SUM(s.m2) OVER sweep AS m2,
        SUM(s.m3) OVER sweep AS m3,
        SUM(s.m4) OVER sweep AS m4,
        SUM(s.m5) OVER sweep AS m5,
        SUM(s.m6) OVER sweep AS m6,
        SUM(s.i2) OVER sweep AS i2,
        SUM(s.i3) OVER sweep AS i3,
        SUM(s.i4) OVER sweep AS i4,
        SUM(s.i5) OVER sweep AS i5,
        SUM(s.i6) OVER sweep AS i6,
        SUM(s.unspecified) OVER sweep AS unspecified
    FROM steps AS s
    WINDOW sweep AS (
        PARTITION BY s.component_id, s.channel ORDER BY s.at NULLS FIRST
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
levels AS (
    SELECT
        h.component_id,
        h.channel,
        h.at,
        h.own,
        h.evidence,
        h.unspecified > 0 AS unspecified,
        CASE
            WHEN h.m6 > 0 THEN 6 WHEN h.m5 > 0 THEN 5 WHEN h.m4 > 0 THEN 4
            WHEN h.m3 > 0 THEN 3 WHEN h.m2 > 0 THEN 2 WHEN h.m1 > 0 THEN 1 ELSE 0
        END AS maintenance,
        CASE
            WHEN h.i6 > 0 THEN 6 WHEN h.i5 > 0 THEN 5 WHEN h.i4 > 0 THEN 4
            WHEN h.i3 > 0 THEN 3 WHEN h.i2 > 0 THEN 2 ELSE 0
        END AS incident
    FROM held AS h
),
statuses AS (
    SELECT
        v.component_id,
        v.channel,
        v.at,
        v.unspecified,
        GREATEST(CASE WHEN v.maintenance > 0 THEN v.maintenance ELSE v.own END, v.incident) AS severity,
        CASE WHEN v.maintenance > 0 THEN v.maintenance ELSE v.own END = 3 AS in_maintenance,
        CASE
            WHEN v.maintenance > 0 OR v.incident > v.own THEN 'reported'
            WHEN v.evidence = 1 THEN 'observed' WHEN v.evidence = 2 THEN 'reported' ELSE 'assumed'
        END AS evidence
    FROM levels AS v
),
moments AS (
    SELECT
        t.component_id,
        t.at AS starts_at,
        LEAD(t.at) OVER (PARTITION BY t.component_id ORDER BY t.at NULLS FIRST) AS ends_at,
        t.shown,
        t.status,
        t.best,
        t.worst,
        t.has_unspecified_impact,
        t.in_maintenance,
        CASE WHEN t.best <> t.worst THEN 'inferred' ELSE t.evidence END AS evidence
    FROM (
        SELECT
            u.component_id,
            u.at,
            MAX(CASE WHEN u.channel = 'shown' THEN u.severity END) AS shown,
            MAX(CASE WHEN u.channel = 'status' THEN u.severity END) AS status,
            MAX(CASE WHEN u.channel = 'best' THEN u.severity END) AS best,
            MAX(CASE WHEN u.channel = 'worst' THEN u.severity END) AS worst,
            MAX(CASE WHEN u.channel = 'status' THEN u.evidence END) AS evidence,
            BOOL_OR(u.channel = 'status' AND u.unspecified) AS has_unspecified_impact,
            BOOL_OR(u.channel = 'status' AND u.in_maintenance) AS in_maintenance
        FROM statuses AS u
        GROUP BY u.component_id, u.at
    ) AS t
),
marked AS (
    SELECT
        m.*,
        CASE
            WHEN m.shown = LAG(m.shown) OVER neighbours AND m.status = LAG(m.status) OVER neighbours
                AND m.best = LAG(m.best) OVER neighbours AND m.worst = LAG(m.worst) OVER neighbours
                AND m.has_unspecified_impact = LAG(m.has_unspecified_impact) OVER neighbours
                AND m.in_maintenance = LAG(m.in_maintenance) OVER neighbours
                AND m.evidence = LAG(m.evidence) OVER neighbours
                THEN 0
            ELSE 1
        END AS differs
    FROM moments AS m
    WHERE m.ends_at IS NOT NULL
    WINDOW neighbours AS (PARTITION BY m.component_id ORDER BY m.starts_at NULLS FIRST)
),
runs AS (
    SELECT
        m.*,
        SUM(m.differs) OVER (
            PARTITION BY m.component_id ORDER BY m.starts_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS run
    FROM marked AS m
)
SELECT
    r.component_id,
    r.starts_at,
    r.ends_at,
    a.status,
    b.status AS status_best,
    c.status AS status_worst,
    d.status AS shown_status,
    r.has_unspecified_impact,
    r.in_maintenance,
    r.evidence
FROM (
    SELECT
        r.component_id,
        MIN(r.starts_at) AS starts_at,
        MAX(r.ends_at) AS ends_at,
        MIN(r.shown) AS shown,
        MIN(r.status) AS status,
        MIN(r.best) AS best,
        MIN(r.worst) AS worst,
        BOOL_OR(r.has_unspecified_impact) AS has_unspecified_impact,
        BOOL_OR(r.in_maintenance) AS in_maintenance,
        MIN(r.evidence) AS evidence
    FROM runs AS r
    GROUP BY r.component_id, r.run
) AS r
INNER JOIN analytics.component_severities AS a ON a.severity = r.status
INNER JOIN analytics.component_severities AS b ON b.severity = r.best
INNER JOIN analytics.component_severities AS c ON c.severity = r.worst
INNER JOIN analytics.component_severities AS d ON d.severity = r.shown
