-- Leases what needs attention and hands it over, past what others are just claiming. The same function once for each
-- order.

-- `kinds` and `states` that are nothing mean any. `given` names the call: where the answer to an earlier one was lost,
-- `resent` hands over what that one claimed and still holds.
CREATE FUNCTION SCHEMA.CLAIM_NAME(
    wanted_ns integer, kinds text[], states text[], most integer, given uuid, resent boolean,
    new_owner text, lease_ms bigint, new_state text, new_actor text,
    due_code text, due_why text, orphan_code text, orphan_why text
) RETURNS SETOF SCHEMA.claimed LANGUAGE plpgsql VOLATILE
    SET plan_cache_mode = force_generic_plan
    SET jit = off
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_sort = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
DECLARE
    at_now bigint := floor(extract(epoch FROM SCHEMA.clock()) * 1000)::bigint;
    -- Each of them counts as a batch of its own: the call's name, with the place (at most 1,000) for its last 12 bits.
    stem CONSTANT text := left(given::text, 33);
    ids bigint[];
    orphans boolean[];
    froms text[];
    versions bigint[];
BEGIN
    IF resent THEN
        RETURN QUERY SELECT e.code = orphan_code AND e.why = orphan_why, e.from_state, at_now,
            r.id, r.ns, r.key, r.version, r.fence, r.state, r.kind, r.rank, r.serial_key, r.owner, r.lease_until,
            r.due_at, r.expires_at, r.paused, r.cancelling, r.reviewed_at, r.fingerprint, r.batch, r.body,
            r.created_at, r.updated_at
        FROM SCHEMA.record AS r JOIN SCHEMA.event AS e ON e.record_id = r.id AND e.seq = r.version
        WHERE r.ns = wanted_ns AND r.leased AND r.batch BETWEEN (stem || '000')::uuid AND (stem || 'fff')::uuid;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    -- Each half has an index of its own. What is locked and then not taken is free again at the commit.
    WITH due AS MATERIALIZED (
        SELECT r.id, r.rank, r.due_at, r.serial_key, r.state, false AS orphan FROM SCHEMA.record AS r
        WHERE r.ns = wanted_ns AND r.due_at IS NOT NULL AND NOT r.leased AND r.due_at <= at_now AND NOT r.paused
            AND (kinds IS NULL OR r.kind = ANY (kinds)) AND (states IS NULL OR r.state = ANY (states))
            AND (r.serial_key IS NULL OR NOT EXISTS (SELECT 1 FROM SCHEMA.record AS o
                WHERE o.ns = r.ns AND o.serial_key = r.serial_key AND o.id <> r.id
                    AND o.leased AND o.lease_until > at_now))
        ORDER BY DUE_ORDER LIMIT most FOR NO KEY UPDATE OF r SKIP LOCKED
    ), orphaned AS MATERIALIZED (
        SELECT r.id, r.rank, r.due_at, r.serial_key, r.state, true AS orphan FROM SCHEMA.record AS r
        WHERE r.ns = wanted_ns AND r.leased AND r.lease_until <= at_now AND NOT r.paused
            AND (kinds IS NULL OR r.kind = ANY (kinds)) AND (states IS NULL OR r.state = ANY (states))
            AND (r.serial_key IS NULL OR NOT EXISTS (SELECT 1 FROM SCHEMA.record AS o
                WHERE o.ns = r.ns AND o.serial_key = r.serial_key AND o.id <> r.id
                    AND o.leased AND o.lease_until > at_now))
        ORDER BY ALL_ORDER LIMIT most FOR NO KEY UPDATE OF r SKIP LOCKED
    ), both_kinds AS (
        SELECT r.*, row_number() OVER (ORDER BY ALL_ORDER) AS place
        FROM (SELECT * FROM due UNION ALL SELECT * FROM orphaned) AS r ORDER BY place LIMIT most
    ), turns AS (
        SELECT r.*, row_number() OVER (PARTITION BY r.serial_key ORDER BY r.place) AS turn FROM both_kinds AS r
    )
    SELECT array_agg(r.id ORDER BY r.place), array_agg(r.orphan ORDER BY r.place), array_agg(r.state ORDER BY r.place)
    INTO ids, orphans, froms FROM turns AS r WHERE r.serial_key IS NULL OR r.turn = 1;
    IF ids IS NULL THEN
        RETURN;
    END IF;

    SELECT array_agg(nextval('SCHEMA.revision') ORDER BY n) INTO versions FROM generate_series(1, cardinality(ids)) AS n;
    RETURN QUERY UPDATE SCHEMA.record AS r SET
        version = w.version, fence = w.version, batch = (stem || lpad(to_hex(w.n), 3, '0'))::uuid, updated_at = at_now,
        lease_until = at_now + lease_ms, owner = new_owner, state = new_state, due_at = NULL
    FROM unnest(ids, versions, orphans, froms) WITH ORDINALITY AS w(id, version, orphan, from_state, n)
    WHERE r.id = w.id
    RETURNING w.orphan, w.from_state, at_now,
        r.id, r.ns, r.key, r.version, r.fence, r.state, r.kind, r.rank, r.serial_key, r.owner, r.lease_until,
        r.due_at, r.expires_at, r.paused, r.cancelling, r.reviewed_at, r.fingerprint, r.batch, r.body, r.created_at,
        r.updated_at;
    INSERT INTO SCHEMA.event (record_id, seq, at, fence, batch, from_state, to_state, actor, attempt, code, why)
    SELECT w.id, w.version, at_now, w.version, (stem || lpad(to_hex(w.n), 3, '0'))::uuid, w.from_state, new_state, new_actor, 0,
        CASE WHEN w.orphan THEN orphan_code ELSE due_code END, CASE WHEN w.orphan THEN orphan_why ELSE due_why END
    FROM unnest(ids, versions, orphans, froms) WITH ORDINALITY AS w(id, version, orphan, from_state, n);
END $$;
