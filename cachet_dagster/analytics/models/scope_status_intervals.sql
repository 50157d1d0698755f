-- Each group and the page as the worst of their components at each moment: the same sweep over components' intervals.
WITH members AS (
    SELECT 'group' AS scope, l.component_group_id AS scope_id, l.component_id
    FROM analytics.component_lives AS l
    WHERE l.in_audience AND l.component_group_id IS NOT NULL
    UNION ALL
    SELECT 'page', 0, l.component_id
    FROM analytics.component_lives AS l
    WHERE l.in_audience
),
intervals AS (
    SELECT
        i.component_id, i.starts_at, i.ends_at, i.has_unspecified_impact, i.in_maintenance,
        CASE i.evidence WHEN 'observed' THEN 1 WHEN 'reported' THEN 2 WHEN 'inferred' THEN 3 ELSE 4 END AS evidence,
        a.severity AS status,
        b.severity AS best,
        c.severity AS worst
    FROM analytics.component_status_intervals AS i
    INNER JOIN analytics.component_severities AS a ON a.status = i.status
    INNER JOIN analytics.component_severities AS b ON b.status = i.status_best
    INNER JOIN analytics.component_severities AS c ON c.status = i.status_worst
),
events AS (
    SELECT
        m.scope,
        m.scope_id,
        CASE WHEN k.side = 1 THEN i.starts_at ELSE i.ends_at END AS at,
        k.side, i.status, i.best, i.worst, i.evidence, i.has_unspecified_impact, i.in_maintenance
    FROM members AS m
    INNER JOIN intervals AS i ON i.component_id = m.component_id
    CROSS JOIN (VALUES (1), (-1)) AS k (side)
),
-- Small integers, since sums of wide ones over windows take half as long again.
steps AS (
    SELECT
        e.scope,
        e.scope_id,
        e.at,
        CAST(SUM(e.side) AS INTEGER) AS alive,
        CAST(SUM(CASE WHEN e.status = 2 THEN e.side ELSE 0 END) AS INTEGER) AS s2,
        CAST(SUM(CASE WHEN e.status = 3 THEN e.side ELSE 0 END) AS INTEGER) AS s3,
        CAST(SUM(CASE WHEN e.status = 4 THEN e.side ELSE 0 END) AS INTEGER) AS s4,
        CAST(SUM(CASE WHEN e.status = 5 THEN e.side ELSE 0 END) AS INTEGER) AS s5,
        CAST(SUM(CASE WHEN e.status = 6 THEN e.side ELSE 0 END) AS INTEGER) AS s6,
        CAST(SUM(CASE WHEN e.best = 2 THEN e.side ELSE 0 END) AS INTEGER) AS b2,
        CAST(SUM(CASE WHEN e.best = 3 THEN e.side ELSE 0 END) AS INTEGER) AS b3,
        CAST(SUM(CASE WHEN e.best = 4 THEN e.side ELSE 0 END) AS INTEGER) AS b4,
        CAST(SUM(CASE WHEN e.best = 5 THEN e.side ELSE 0 END) AS INTEGER) AS b5,
        CAST(SUM(CASE WHEN e.best = 6 THEN e.side ELSE 0 END) AS INTEGER) AS b6,
        CAST(SUM(CASE WHEN e.worst = 2 THEN e.side ELSE 0 END) AS INTEGER) AS w2,
        CAST(SUM(CASE WHEN e.worst = 3 THEN e.side ELSE 0 END) AS INTEGER) AS w3,
        CAST(SUM(CASE WHEN e.worst = 4 THEN e.side ELSE 0 END) AS INTEGER) AS w4,
        CAST(SUM(CASE WHEN e.worst = 5 THEN e.side ELSE 0 END) AS INTEGER) AS w5,
        CAST(SUM(CASE WHEN e.worst = 6 THEN e.side ELSE 0 END) AS INTEGER) AS w6,
        CAST(SUM(CASE WHEN e.evidence = 2 THEN e.side ELSE 0 END) AS INTEGER) AS reported,
        CAST(SUM(CASE WHEN e.evidence = 4 THEN e.side ELSE 0 END) AS INTEGER) AS assumed,
        CAST(SUM(CASE WHEN e.has_unspecified_impact THEN e.side ELSE 0 END) AS INTEGER) AS unspecified,
        CAST(SUM(CASE WHEN e.in_maintenance THEN e.side ELSE 0 END) AS INTEGER) AS maintained
    FROM events AS e
    GROUP BY e.scope, e.scope_id, e.at
),
held AS (
    SELECT
        s.scope,
        s.scope_id,
        s.at,
        LEAD(s.at) OVER (PARTITION BY s.scope, s.scope_id ORDER BY s.at NULLS FIRST) AS ends_at,
        SUM(s.alive) OVER sweep AS alive,
        SUM(s.s2) OVER sweep AS s2,
        SUM(s.s3) OVER sweep AS s3,
        SUM(s.s4) OVER sweep AS s4,
        SUM(s.s5) OVER sweep AS s5,
        SUM(s.s6) OVER sweep AS s6,
        SUM(s.b2) OVER sweep AS b2,
        SUM(s.b3) OVER sweep AS b3,
        SUM(s.b4) OVER sweep AS b4,
        SUM(s.b5) OVER sweep AS b5,
        SUM(s.b6) OVER sweep AS b6,
        SUM(s.w2) OVER sweep AS w2,
        SUM(s.w3) OVER sweep AS w3,
        SUM(s.w4) OVER sweep AS w4,
        SUM(s.w5) OVER sweep AS w5,
        SUM(s.w6) OVER sweep AS w6,
        SUM(s.reported) OVER sweep AS reported,
        SUM(s.assumed) OVER sweep AS assumed,
        SUM(s.unspecified) OVER sweep AS unspecified,
        SUM(s.maintained) OVER sweep AS maintained
    FROM steps AS s
    WINDOW sweep AS (
        PARTITION BY s.scope, s.scope_id ORDER BY s.at NULLS FIRST
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
levels AS (
    SELECT
        h.scope,
        h.scope_id,
        h.at AS starts_at,
        h.ends_at,
        CASE
            WHEN h.s6 > 0 THEN 6 WHEN h.s5 > 0 THEN 5 WHEN h.s4 > 0 THEN 4
            WHEN h.s3 > 0 THEN 3 WHEN h.s2 > 0 THEN 2 ELSE 1
        END AS status,
        CASE
            WHEN h.b6 > 0 THEN 6 WHEN h.b5 > 0 THEN 5 WHEN h.b4 > 0 THEN 4
            WHEN h.b3 > 0 THEN 3 WHEN h.b2 > 0 THEN 2 ELSE 1
        END AS best,
        CASE
            WHEN h.w6 > 0 THEN 6 WHEN h.w5 > 0 THEN 5 WHEN h.w4 > 0 THEN 4
            WHEN h.w3 > 0 THEN 3 WHEN h.w2 > 0 THEN 2 ELSE 1
        END AS worst,
        CASE WHEN h.assumed > 0 THEN 'assumed' WHEN h.reported > 0 THEN 'reported' ELSE 'observed' END AS evidence,
        h.unspecified > 0 AS has_unspecified_impact,
        -- Left out by a policy that leaves maintenance out only while nothing else is there to be up.
        h.maintained = h.alive AS in_maintenance
    FROM held AS h
    WHERE h.alive > 0 AND h.ends_at IS NOT NULL
),
marked AS (
    SELECT
        v.*,
        CASE WHEN v.best <> v.worst THEN 'inferred' ELSE v.evidence END AS told,
        CASE
            WHEN v.starts_at = LAG(v.ends_at) OVER neighbours
                AND v.status = LAG(v.status) OVER neighbours AND v.best = LAG(v.best) OVER neighbours
                AND v.worst = LAG(v.worst) OVER neighbours AND v.evidence = LAG(v.evidence) OVER neighbours
                AND v.has_unspecified_impact = LAG(v.has_unspecified_impact) OVER neighbours
                AND v.in_maintenance = LAG(v.in_maintenance) OVER neighbours
                THEN 0
            ELSE 1
        END AS differs
    FROM levels AS v
    WINDOW neighbours AS (PARTITION BY v.scope, v.scope_id ORDER BY v.starts_at NULLS FIRST)
),
runs AS (
    SELECT
        m.*,
        SUM(m.differs) OVER (
            PARTITION BY m.scope, m.scope_id ORDER BY m.starts_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS run
    FROM marked AS m
)
SELECT
    r.scope,
    r.scope_id,
    r.starts_at,
    r.ends_at,
    a.status,
    b.status AS status_best,
    c.status AS status_worst,
    r.has_unspecified_impact,
    r.in_maintenance,
    r.evidence
FROM (
    SELECT
        r.scope,
        r.scope_id,
        MIN(r.starts_at) AS starts_at,
        MAX(r.ends_at) AS ends_at,
        MIN(r.status) AS status,
        MIN(r.best) AS best,
        MIN(r.worst) AS worst,
        BOOL_OR(r.has_unspecified_impact) AS has_unspecified_impact,
        BOOL_OR(r.in_maintenance) AS in_maintenance,
        MIN(r.told) AS evidence
    FROM runs AS r
    GROUP BY r.scope, r.scope_id, r.run
) AS r
INNER JOIN analytics.component_severities AS a ON a.severity = r.status
INNER JOIN analytics.component_severities AS b ON b.severity = r.best
INNER JOIN analytics.component_severities AS c ON c.severity = r.worst
