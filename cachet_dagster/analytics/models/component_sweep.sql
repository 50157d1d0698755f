-- What holds of each component from one event to the next: the worst of (running maintenance, else its own status) and
-- of its incidents. A sweep: each claim adds itself where it begins and takes itself back where it ends; what is left
-- at a moment are the claims that hold. Four statuses go through it side by side: the one that the page showed, the one
-- that figures go by (maintenance capped, the figures' audience), and the best and the worst that it can have been.
-- Severities are told from sums of their weights (`component_severities`): the greatest that is left is the worst one.
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
weighed AS (
    SELECT
        c.component_id, c.layer, c.evidence, c.starts_at, c.ends_at, c.status, c.best, c.worst,
        a.heavy AS shown_heavy, a.light AS shown_light, b.heavy, b.light,
        d.heavy AS best_heavy, d.light AS best_light, e.heavy AS worst_heavy, e.light AS worst_light
    FROM clipped AS c
    LEFT JOIN analytics.component_severities AS a ON a.severity = c.shown
    LEFT JOIN analytics.component_severities AS b ON b.severity = c.status
    LEFT JOIN analytics.component_severities AS d ON d.severity = c.best
    LEFT JOIN analytics.component_severities AS e ON e.severity = c.worst
    WHERE c.starts_at < c.ends_at
),
events AS (
    SELECT w.*, w.starts_at AS at, 1 AS side FROM weighed AS w
    UNION ALL
    SELECT w.*, w.ends_at AS at, -1 AS side FROM weighed AS w
),
-- One thing at a time is a component's own: its sums are numbers, and small, since sums of wide ones take longer.
steps AS (
    SELECT
        e.component_id,
        e.at,
        CAST(SUM(CASE WHEN e.layer = 'own' THEN e.side * e.status ELSE 0 END) AS INTEGER) AS own,
        CAST(SUM(CASE WHEN e.layer = 'own' THEN e.side * e.best ELSE 0 END) AS INTEGER) AS own_best,
        CAST(SUM(CASE WHEN e.layer = 'own' THEN e.side * e.worst ELSE 0 END) AS INTEGER) AS own_worst,
        CAST(SUM(CASE WHEN e.layer = 'own' THEN e.side * e.evidence ELSE 0 END) AS INTEGER) AS evidence,
        CAST(SUM(CASE WHEN e.layer = 'unspecified' THEN e.side ELSE 0 END) AS INTEGER) AS unspecified,
        SUM(CASE WHEN e.layer = 'maintenance' THEN e.side * e.shown_heavy ELSE 0 END) AS shown_heavy_maintenance,
        SUM(CASE WHEN e.layer = 'maintenance' THEN e.side * e.shown_light ELSE 0 END) AS shown_light_maintenance,
        SUM(CASE WHEN e.layer = 'maintenance' THEN e.side * e.heavy ELSE 0 END) AS heavy_maintenance,
        SUM(CASE WHEN e.layer = 'maintenance' THEN e.side * e.light ELSE 0 END) AS light_maintenance,
        SUM(CASE WHEN e.layer = 'incident' THEN e.side * e.shown_heavy ELSE 0 END) AS shown_heavy,
        SUM(CASE WHEN e.layer = 'incident' THEN e.side * e.shown_light ELSE 0 END) AS shown_light,
        SUM(CASE WHEN e.layer = 'incident' THEN e.side * e.heavy ELSE 0 END) AS heavy,
        SUM(CASE WHEN e.layer = 'incident' THEN e.side * e.light ELSE 0 END) AS light,
        SUM(CASE WHEN e.layer = 'incident' THEN e.side * e.best_heavy ELSE 0 END) AS best_heavy,
        SUM(CASE WHEN e.layer = 'incident' THEN e.side * e.best_light ELSE 0 END) AS best_light,
        SUM(CASE WHEN e.layer = 'incident' THEN e.side * e.worst_heavy ELSE 0 END) AS worst_heavy,
        SUM(CASE WHEN e.layer = 'incident' THEN e.side * e.worst_light ELSE 0 END) AS worst_light
    FROM events AS e
    GROUP BY e.component_id, e.at
),
held AS (
    SELECT
        s.component_id,
        s.at AS starts_at,
        LEAD(s.at) OVER (PARTITION BY s.component_id ORDER BY s.at NULLS FIRST) AS ends_at,
        SUM(s.own) OVER sweep AS own,
        SUM(s.own_best) OVER sweep AS own_best,
        SUM(s.own_worst) OVER sweep AS own_worst,
        SUM(s.evidence) OVER sweep AS evidence,
        SUM(s.unspecified) OVER sweep AS unspecified,
        SUM(s.shown_heavy_maintenance) OVER sweep AS shown_heavy_maintenance,
        SUM(s.shown_light_maintenance) OVER sweep AS shown_light_maintenance,
        SUM(s.heavy_maintenance) OVER sweep AS heavy_maintenance,
        SUM(s.light_maintenance) OVER sweep AS light_maintenance,
        SUM(s.shown_heavy) OVER sweep AS shown_heavy,
        SUM(s.shown_light) OVER sweep AS shown_light,
        SUM(s.heavy) OVER sweep AS heavy,
        SUM(s.light) OVER sweep AS light,
        SUM(s.best_heavy) OVER sweep AS best_heavy,
        SUM(s.best_light) OVER sweep AS best_light,
        SUM(s.worst_heavy) OVER sweep AS worst_heavy,
        SUM(s.worst_light) OVER sweep AS worst_light
    FROM steps AS s
    WINDOW sweep AS (
        PARTITION BY s.component_id ORDER BY s.at NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
levels AS (
    SELECT
        h.*,
        CASE
            WHEN h.shown_heavy_maintenance >= 1e10 THEN 6 WHEN h.shown_heavy_maintenance >= 1e5 THEN 5 WHEN h.shown_heavy_maintenance >= 1 THEN 4
            WHEN h.shown_light_maintenance >= 1e10 THEN 3 WHEN h.shown_light_maintenance >= 1e5 THEN 2 WHEN h.shown_light_maintenance >= 1 THEN 1 ELSE 0
        END AS shown_maintenance,
        CASE
            WHEN h.heavy_maintenance >= 1e10 THEN 6 WHEN h.heavy_maintenance >= 1e5 THEN 5 WHEN h.heavy_maintenance >= 1 THEN 4
            WHEN h.light_maintenance >= 1e10 THEN 3 WHEN h.light_maintenance >= 1e5 THEN 2 WHEN h.light_maintenance >= 1 THEN 1 ELSE 0
        END AS maintenance,
        CASE
            WHEN h.shown_heavy >= 1e10 THEN 6 WHEN h.shown_heavy >= 1e5 THEN 5 WHEN h.shown_heavy >= 1 THEN 4
            WHEN h.shown_light >= 1e10 THEN 3 WHEN h.shown_light >= 1e5 THEN 2 WHEN h.shown_light >= 1 THEN 1 ELSE 0
        END AS shown_incident,
        CASE
            WHEN h.heavy >= 1e10 THEN 6 WHEN h.heavy >= 1e5 THEN 5 WHEN h.heavy >= 1 THEN 4
            WHEN h.light >= 1e10 THEN 3 WHEN h.light >= 1e5 THEN 2 WHEN h.light >= 1 THEN 1 ELSE 0
        END AS incident,
        CASE
            WHEN h.best_heavy >= 1e10 THEN 6 WHEN h.best_heavy >= 1e5 THEN 5 WHEN h.best_heavy >= 1 THEN 4
            WHEN h.best_light >= 1e10 THEN 3 WHEN h.best_light >= 1e5 THEN 2 WHEN h.best_light >= 1 THEN 1 ELSE 0
        END AS best_incident,
        CASE
            WHEN h.worst_heavy >= 1e10 THEN 6 WHEN h.worst_heavy >= 1e5 THEN 5 WHEN h.worst_heavy >= 1 THEN 4
            WHEN h.worst_light >= 1e10 THEN 3 WHEN h.worst_light >= 1e5 THEN 2 WHEN h.worst_light >= 1 THEN 1 ELSE 0
        END AS worst_incident
    FROM held AS h
    WHERE h.ends_at IS NOT NULL
),
told AS (
    SELECT
        v.component_id,
        v.starts_at,
        v.ends_at,
        GREATEST(CASE WHEN v.shown_maintenance > 0 THEN v.shown_maintenance ELSE v.own END, v.shown_incident) AS shown,
        GREATEST(CASE WHEN v.maintenance > 0 THEN v.maintenance ELSE v.own END, v.incident) AS status,
        GREATEST(CASE WHEN v.maintenance > 0 THEN v.maintenance ELSE v.own_best END, v.best_incident) AS best,
        GREATEST(CASE WHEN v.maintenance > 0 THEN v.maintenance ELSE v.own_worst END, v.worst_incident) AS worst,
        v.unspecified > 0 AS has_unspecified_impact,
        CASE WHEN v.maintenance > 0 THEN v.maintenance ELSE v.own END = 3 AS in_maintenance,
        CASE
            WHEN v.maintenance > 0 OR v.incident > v.own THEN 'reported'
            WHEN v.evidence = 1 THEN 'observed' WHEN v.evidence = 2 THEN 'reported' ELSE 'assumed'
        END AS evidence
    FROM levels AS v
)
SELECT
    t.component_id,
    t.starts_at,
    t.ends_at,
    t.shown,
    t.status,
    t.best,
    t.worst,
    t.has_unspecified_impact,
    t.in_maintenance,
    CASE WHEN t.best <> t.worst THEN 'inferred' ELSE t.evidence END AS evidence
FROM told AS t
