-- What holds of each group and of the page from one event to the next: the worst of their components. A page has too many
-- stretches for each to be held against all components, so running sums count them. A component adds the weight of its
-- severity where a stretch begins and takes it back where that ends. `heavy` counts severities 6, 5 and 4 in the digits
-- of one number, five digits each, and `light` 3, 2 and 1; the first digits that are not zero tell the worst:
--
--     component 1   |---1---|--------6--------|       light 10^0, heavy 10^10, ...
--     component 2   |--------5--------|---1---|       heavy 10^5, ...
--     heavy         |00001 00000|1 00001 00000|1 00000 00000|
--     worst         |-----5-----|------6------|------6------|
WITH members AS (
    SELECT 'group' AS scope, l.component_group_id AS scope_id, l.component_id
    FROM analytics.component_lives AS l
    WHERE l.in_audience AND l.component_group_id IS NOT NULL
    UNION ALL
    SELECT 'page', 0, l.component_id
    FROM analytics.component_lives AS l
    WHERE l.in_audience
),
weighed AS (
    SELECT
        w.component_id, w.starts_at, w.ends_at, a.heavy, a.light,
        b.heavy AS best_heavy, b.light AS best_light, c.heavy AS worst_heavy, c.light AS worst_light,
        CASE w.evidence WHEN 'assumed' THEN 1e5 WHEN 'reported' THEN 1 ELSE 0 END AS evidence,
        CASE WHEN w.has_unspecified_impact THEN 1 ELSE 0 END AS unspecified,
        CASE WHEN w.in_maintenance THEN 0 ELSE 1 END AS unmaintained
    FROM analytics.component_sweep AS w
    INNER JOIN analytics.component_severities AS a ON a.severity = w.status
    INNER JOIN analytics.component_severities AS b ON b.severity = w.best
    INNER JOIN analytics.component_severities AS c ON c.severity = w.worst
),
events AS (
    SELECT w.*, w.starts_at AS at, 1 AS side FROM weighed AS w
    UNION ALL
    SELECT w.*, w.ends_at AS at, -1 AS side FROM weighed AS w
),
steps AS (
    SELECT
        m.scope,
        m.scope_id,
        e.at,
        SUM(e.side * e.heavy) AS heavy,
        SUM(e.side * e.light) AS light,
        SUM(e.side * e.best_heavy) AS best_heavy,
        SUM(e.side * e.best_light) AS best_light,
        SUM(e.side * e.worst_heavy) AS worst_heavy,
        SUM(e.side * e.worst_light) AS worst_light,
        SUM(e.side * e.evidence) AS evidence,
        CAST(SUM(e.side * e.unspecified) AS INTEGER) AS unspecified,
        CAST(SUM(e.side * e.unmaintained) AS INTEGER) AS unmaintained
    FROM members AS m
    INNER JOIN events AS e ON e.component_id = m.component_id
    GROUP BY m.scope, m.scope_id, e.at
),
held AS (
    SELECT
        s.scope,
        s.scope_id,
        s.at AS starts_at,
        LEAD(s.at) OVER (PARTITION BY s.scope, s.scope_id ORDER BY s.at NULLS FIRST) AS ends_at,
        SUM(s.heavy) OVER sweep AS heavy,
        SUM(s.light) OVER sweep AS light,
        SUM(s.best_heavy) OVER sweep AS best_heavy,
        SUM(s.best_light) OVER sweep AS best_light,
        SUM(s.worst_heavy) OVER sweep AS worst_heavy,
        SUM(s.worst_light) OVER sweep AS worst_light,
        SUM(s.evidence) OVER sweep AS evidence,
        SUM(s.unspecified) OVER sweep AS unspecified,
        SUM(s.unmaintained) OVER sweep AS unmaintained
    FROM steps AS s
    WINDOW sweep AS (
        PARTITION BY s.scope, s.scope_id ORDER BY s.at NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
told AS (
    SELECT
        h.scope,
        h.scope_id,
        h.starts_at,
        h.ends_at,
        CASE
            WHEN h.heavy >= 1e10 THEN 6 WHEN h.heavy >= 1e5 THEN 5 WHEN h.heavy >= 1 THEN 4
            WHEN h.light >= 1e10 THEN 3 WHEN h.light >= 1e5 THEN 2 WHEN h.light >= 1 THEN 1 ELSE 0
        END AS status,
        CASE
            WHEN h.best_heavy >= 1e10 THEN 6 WHEN h.best_heavy >= 1e5 THEN 5 WHEN h.best_heavy >= 1 THEN 4
            WHEN h.best_light >= 1e10 THEN 3 WHEN h.best_light >= 1e5 THEN 2 WHEN h.best_light >= 1 THEN 1 ELSE 0
        END AS best,
        CASE
            WHEN h.worst_heavy >= 1e10 THEN 6 WHEN h.worst_heavy >= 1e5 THEN 5 WHEN h.worst_heavy >= 1 THEN 4
            WHEN h.worst_light >= 1e10 THEN 3 WHEN h.worst_light >= 1e5 THEN 2 WHEN h.worst_light >= 1 THEN 1 ELSE 0
        END AS worst,
        h.unspecified > 0 AS has_unspecified_impact,
        -- Left out by a policy that leaves maintenance out only while nothing else is there to be up.
        h.unmaintained = 0 AS in_maintenance,
        CASE WHEN h.evidence >= 1e5 THEN 'assumed' WHEN h.evidence >= 1 THEN 'reported' ELSE 'observed' END AS evidence
    FROM held AS h
    -- Where no component lives, nothing is there to have a status.
    WHERE h.ends_at IS NOT NULL AND h.heavy + h.light > 0
)
SELECT
    t.scope,
    t.scope_id,
    t.starts_at,
    t.ends_at,
    t.status,
    t.best,
    t.worst,
    t.has_unspecified_impact,
    t.in_maintenance,
    CASE WHEN t.best <> t.worst THEN 'inferred' ELSE t.evidence END AS evidence
FROM told AS t
