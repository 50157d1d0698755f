-- What holds of each component from one event to the next: the worst of (running maintenance, else its own status) and
-- of its incidents. Everything that says something of a component is a claim with a begin and an end; the ends of all
-- claims cut its life into stretches, and each stretch takes the worst of the claims that cover it:
--
--     own status   |---1---|--------4--------|---1---|
--     maintenance               |--3--|
--     incident 7        |----5----|
--     stretches    |-1-|-5-|-5--|-5-|-3-|--4--|--1---|      (severities: 1 operational to 6 major outage)
--
-- Claims speak of four things side by side: the status that the page showed (`shown`), the one that figures go by
-- (`status`), and the best and the worst that it can have been.
WITH settings AS (
    SELECT as_of, audience, cachet_version, maintenance_cap_seconds FROM analytics.build_settings
),
-- When each endpoint was read last: since then nothing is known of what it tells.
last_reads AS (
    SELECT
        o.endpoint,
        MAX(CASE WHEN o.outcome = 'read' THEN o.observed_at END) AS read_at,
        MAX(CASE WHEN o.outcome = 'read' THEN o.started_at END) AS known_until,
        MAX(CASE WHEN o.outcome = 'read' AND o.rights IN ('token', 'full') THEN o.observed_at END) AS token_read_at,
        MAX(CASE WHEN o.outcome = 'read' AND o.rights IN ('token', 'full') THEN o.started_at END) AS token_known_until
    FROM source.endpoint_observations AS o
    CROSS JOIN settings AS s
    WHERE o.observed_at <= s.as_of AND o.outcome <> 'not offered'
    GROUP BY o.endpoint
),
observations AS (
    SELECT
        h.component_id, h.observed_at, h.previous_observed_at, h.unedited_until, h.updated_at,
        CASE WHEN h.is_deleted THEN 5 ELSE COALESCE(h.status, 5) END AS status, h.is_deleted
    FROM source.component_history AS h
    CROSS JOIN settings AS s
    WHERE h.observed_at <= s.as_of
    UNION ALL
    SELECT c.id, s.as_of, NULL, NULL, c.updated_at, COALESCE(c.status, 5), FALSE
    FROM source.components AS c
    CROSS JOIN settings AS s
    WHERE NOT EXISTS (
        SELECT 1 FROM source.component_history AS h WHERE h.component_id = c.id AND h.observed_at <= s.as_of
    )
),
-- Cachet says when a component was last edited. Two looks that see the same time had nothing in between.
edits AS (
    SELECT
        o.component_id,
        o.observed_at,
        o.previous_observed_at,
        o.status,
        o.unedited_until,
        -- Since its last edit it is what the look saw.
        CASE
            WHEN NOT o.is_deleted AND o.updated_at <= o.observed_at
                AND (o.status_before IS NULL OR (
                    o.updated_at IS DISTINCT FROM o.updated_before AND o.updated_at >= o.unedited_until
                ))
                THEN o.updated_at
            ELSE o.observed_at
        END AS holds_from
    FROM (
        SELECT
            o.component_id, o.observed_at, o.previous_observed_at, o.updated_at, o.status, o.is_deleted,
            COALESCE(o.unedited_until, LAG(o.observed_at) OVER looks) AS unedited_until,
            LAG(o.status) OVER looks AS status_before,
            LAG(o.updated_at) OVER looks AS updated_before
        FROM observations AS o
        WINDOW looks AS (PARTITION BY o.component_id ORDER BY o.observed_at NULLS FIRST)
    ) AS o
    WHERE o.status_before IS NULL OR o.status_before <> o.status OR o.updated_at IS DISTINCT FROM o.updated_before
),
held AS (
    SELECT
        e.component_id, e.observed_at, e.previous_observed_at, e.status, e.unedited_until,
        ROW_NUMBER() OVER (PARTITION BY e.component_id ORDER BY e.observed_at NULLS FIRST) AS nth,
        MAX(e.holds_from) OVER (
            PARTITION BY e.component_id ORDER BY e.observed_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS holds_from
    FROM edits AS e
),
looks AS (
    SELECT
        h.component_id, h.nth, h.observed_at, h.previous_observed_at, h.status, h.holds_from,
        LEAD(h.nth) OVER edits IS NULL AS is_last,
        COALESCE(LEAD(h.unedited_until) OVER edits, g.known_until) AS unedited_until,
        COALESCE(LEAD(h.holds_from) OVER edits, CASE WHEN g.known_until IS NOT NULL THEN s.as_of END) AS next_holds_from
    FROM held AS h
    CROSS JOIN settings AS s
    LEFT JOIN (
        -- Until when a component was looked at, where that is not the as-of time. A guest does not see all of them.
        SELECT
            k.component_id,
            CASE WHEN c.id IS NULL THEN r.token_known_until ELSE r.known_until END AS known_until
        FROM (SELECT DISTINCT o.component_id FROM observations AS o) AS k
        CROSS JOIN settings AS s
        INNER JOIN last_reads AS r ON r.endpoint = 'components'
        LEFT JOIN source.components AS c ON c.id = k.component_id
        WHERE CASE WHEN c.id IS NULL THEN r.token_read_at ELSE r.read_at END < s.as_of - INTERVAL 1 SECOND
    ) AS g ON g.component_id = h.component_id
    WINDOW edits AS (PARTITION BY h.component_id ORDER BY h.observed_at NULLS FIRST)
),
own AS (
    -- Before anything is known a component is taken to be operational.
    SELECT
        l.component_id, l.starts_at, LEAST(COALESCE(k.previous_observed_at, k.holds_from), k.holds_from) AS ends_at,
        1 AS status, FALSE AS is_edited, 4 AS evidence
    FROM analytics.component_lives AS l
    LEFT JOIN looks AS k ON k.component_id = l.component_id AND k.nth = 1
    UNION ALL
    -- It came up between two looks, and was edited since.
    SELECT k.component_id, k.previous_observed_at, k.holds_from, 1, TRUE, 4
    FROM looks AS k
    WHERE k.nth = 1
    UNION ALL
    -- Not edited since, says Cachet.
    SELECT k.component_id, k.holds_from, LEAST(k.observed_at, COALESCE(k.unedited_until, k.observed_at)), k.status, FALSE, 2
    FROM looks AS k
    UNION ALL
    SELECT k.component_id, k.observed_at, k.unedited_until, k.status, FALSE, 1
    FROM looks AS k
    UNION ALL
    -- Edited, perhaps there and back, or not looked at any more: its status can have been any.
    SELECT
        k.component_id, GREATEST(k.unedited_until, k.holds_from), k.next_holds_from,
        CASE WHEN k.is_last THEN 5 ELSE k.status END, TRUE, 1
    FROM looks AS k
    WHERE k.next_holds_from IS NOT NULL
),
maintenance AS (
    SELECT
        l.component_id,
        v.severity AS shown,
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
    LEFT JOIN analytics.component_severities AS v ON v.status = l.component_status
),
known_from AS (
    SELECT k.component_id, MIN(k.holds_from) AS known_from FROM looks AS k GROUP BY k.component_id
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
        v.severity AS shown,
        v.severity AS status,
        CASE WHEN o.is_edited THEN 1 ELSE v.severity_best END AS best,
        CASE WHEN o.is_edited THEN 6 ELSE v.severity_worst END AS worst
    FROM own AS o
    INNER JOIN analytics.component_severities AS v ON v.status = o.status
    UNION ALL
    -- Announced maintenance is maintenance, whatever status it gives the component.
    SELECT m.component_id, m.starts_at, m.ends_at, 'maintenance', NULL, NULL, 3, 3, 3
    FROM maintenance AS m
    WHERE m.is_public OR m.audience = 'all'
    UNION ALL
    -- The page shows that status, for ever where the maintenance has no end. That of Cachet 2 changes no status.
    SELECT m.component_id, m.starts_at, m.shown_ends_at, 'maintenance', NULL, m.shown, NULL, NULL, NULL
    FROM maintenance AS m
    WHERE m.is_public AND m.cachet_version <> 2
    UNION ALL
    SELECT
        i.component_id, i.starts_at, i.ends_at, 'incident', NULL,
        CASE WHEN i.is_public THEN a.severity END,
        CASE WHEN i.counts THEN a.severity END,
        CASE WHEN i.counts THEN b.severity_best END,
        CASE WHEN i.counts THEN c.severity_worst END
    FROM impacts AS i
    LEFT JOIN analytics.component_severities AS a ON a.status = i.status
    LEFT JOIN analytics.component_severities AS b ON b.status = i.status_best
    LEFT JOIN analytics.component_severities AS c ON c.status = i.status_worst
    UNION ALL
    SELECT i.component_id, i.starts_at, i.ends_at, 'unspecified', NULL, NULL, NULL, NULL, NULL
    FROM impacts AS i
    WHERE i.status IS NULL AND i.counts
    UNION ALL
    -- Incidents that nobody could read may have made anything of it; unread schedules, maintenance.
    SELECT
        l.component_id, COALESCE(r.known_until, l.starts_at), NULL,
        CASE WHEN r.endpoint = 'schedules' THEN 'unread schedules' ELSE 'incident' END, NULL, NULL,
        CASE WHEN r.endpoint = 'schedules' THEN NULL ELSE 2 END,
        NULL,
        CASE WHEN r.endpoint = 'schedules' THEN NULL ELSE 6 END
    FROM last_reads AS r
    CROSS JOIN settings AS s
    CROSS JOIN analytics.component_lives AS l
    WHERE r.endpoint IN ('incidents', 'incidents_by_id', 'schedules')
        AND (r.read_at IS NULL OR r.read_at < s.as_of - INTERVAL 1 SECOND)
),
-- Clipped to the component's life.
clipped AS (
    SELECT c.*
    FROM (
        SELECT
            c.component_id, c.layer, c.evidence, c.shown, c.status, c.best, c.worst,
            GREATEST(c.starts_at, l.starts_at) AS starts_at,
            LEAST(COALESCE(c.ends_at, l.ends_at), l.ends_at) AS ends_at
        FROM claims AS c
        INNER JOIN analytics.component_lives AS l ON l.component_id = c.component_id
        WHERE c.starts_at IS NOT NULL
    ) AS c
    WHERE c.starts_at < c.ends_at
),
stretches AS (
    SELECT
        e.component_id, e.at AS starts_at,
        LEAD(e.at) OVER (PARTITION BY e.component_id ORDER BY e.at NULLS FIRST) AS ends_at
    FROM (
        SELECT c.component_id, c.starts_at AS at FROM clipped AS c
        UNION
        SELECT c.component_id, c.ends_at FROM clipped AS c
    ) AS e
),
levels AS (
    SELECT
        t.component_id,
        t.starts_at,
        t.ends_at,
        MAX(CASE WHEN c.layer = 'own' THEN c.status END) AS own,
        MAX(CASE WHEN c.layer = 'own' THEN c.best END) AS own_best,
        MAX(CASE WHEN c.layer = 'own' THEN c.worst END) AS own_worst,
        MAX(c.evidence) AS evidence,
        MAX(CASE WHEN c.layer = 'maintenance' THEN c.status END) AS maintenance,
        MAX(CASE WHEN c.layer = 'maintenance' THEN c.shown END) AS shown_maintenance,
        COALESCE(MAX(CASE WHEN c.layer = 'incident' THEN c.shown END), 0) AS shown_incident,
        COALESCE(MAX(CASE WHEN c.layer = 'incident' THEN c.status END), 0) AS incident,
        COALESCE(MAX(CASE WHEN c.layer = 'incident' THEN c.best END), 0) AS best_incident,
        COALESCE(MAX(CASE WHEN c.layer = 'incident' THEN c.worst END), 0) AS worst_incident,
        BOOL_OR(c.layer = 'unspecified') AS has_unspecified_impact,
        BOOL_OR(c.layer = 'unread schedules') AS may_be_in_maintenance
    FROM stretches AS t
    INNER JOIN clipped AS c
        ON c.component_id = t.component_id AND c.starts_at <= t.starts_at AND c.ends_at > t.starts_at
    WHERE t.ends_at IS NOT NULL
    GROUP BY t.component_id, t.starts_at, t.ends_at
),
told AS (
    SELECT
        v.component_id,
        v.starts_at,
        v.ends_at,
        v.evidence,
        GREATEST(COALESCE(v.shown_maintenance, v.own), v.shown_incident) AS shown,
        GREATEST(COALESCE(v.maintenance, v.own), v.incident) AS status,
        GREATEST(
            COALESCE(v.maintenance, CASE WHEN v.may_be_in_maintenance THEN LEAST(v.own_best, 3) ELSE v.own_best END),
            v.best_incident
        ) AS best,
        GREATEST(
            COALESCE(v.maintenance, CASE WHEN v.may_be_in_maintenance THEN GREATEST(v.own_worst, 3) ELSE v.own_worst END),
            v.worst_incident
        ) AS worst,
        v.has_unspecified_impact,
        -- For certain, since a policy may leave such time out.
        COALESCE(v.maintenance, CASE WHEN v.own_best = v.own_worst THEN v.own ELSE 0 END) = 3 AS in_maintenance,
        v.maintenance IS NOT NULL OR v.incident > v.own AS is_reported
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
    CASE
        WHEN t.best <> t.worst THEN 'inferred'
        WHEN t.is_reported OR t.evidence = 2 THEN 'reported'
        WHEN t.evidence = 1 THEN 'observed'
        ELSE 'assumed'
    END AS evidence
FROM told AS t
