-- The writes of the seam. Batches that come together are judged and written in one statement and one commit, each as a
-- whole or not at all.

-- One row for each write. `verdict` 1: done, with what the record has now. 0: its batch was not applied; the rest is the
-- record under the key and what the batch's own earlier sending left there. 2: as 0, but not judged, because somebody
-- else is writing to one of the batch's records at this moment.
CREATE TYPE SCHEMA.answer AS (
    n integer,
    verdict integer,
    now bigint,
    proof_version bigint,
    proof_fence bigint,
    proof_at bigint,
    id bigint,
    ns integer,
    key text,
    version bigint,
    fence bigint,
    state text,
    kind text,
    rank bigint,
    serial_key text,
    owner text,
    lease_until bigint,
    due_at bigint,
    expires_at bigint,
    paused boolean,
    cancelling boolean,
    reviewed_at bigint,
    fingerprint text,
    batch uuid,
    body text,
    created_at bigint,
    updated_at bigint
);

-- What a claim hands over.
CREATE TYPE SCHEMA.claimed AS (
    orphan boolean,
    from_state text,
    now bigint,
    id bigint,
    ns integer,
    key text,
    version bigint,
    fence bigint,
    state text,
    kind text,
    rank bigint,
    serial_key text,
    owner text,
    lease_until bigint,
    due_at bigint,
    expires_at bigint,
    paused boolean,
    cancelling boolean,
    reviewed_at bigint,
    fingerprint text,
    batch uuid,
    body text,
    created_at bigint,
    updated_at bigint
);

-- Batches are numbered from 1 in the order of `b_id`; writes are in the order of their batches. `w_place` is a write's
-- place in its batch, from 0. `w_expect`: 0 absent, 1 the version `w_number`, 2 the fence `w_number`, 3 the version
-- `w_number` and no live lease. `w_lease`: nothing keeps it, 0 ends it, else it is for so many milliseconds. `w_set` has
-- a bit for each of serial_key, due_at, expires_at, reviewed_at and fingerprint (1, 2, 4, 8, 16) that is set, be it to
-- nothing; with 32 the due time is so many milliseconds from now. Every other field that is nothing is kept. `e_to` that is nothing means no event.
--
-- `patient` waits for records that somebody else is writing to; else their batches get the verdict 2.
CREATE FUNCTION SCHEMA.apply_set(
    handle text, patient boolean, b_id uuid[], b_resent boolean[],
    w_batch integer[], w_place integer[], w_ns integer[], w_key text[], w_expect integer[], w_number bigint[],
    w_grant boolean[], w_lease bigint[], w_owner text[], w_state text[], w_kind text[], w_rank bigint[],
    w_set integer[], w_serial text[], w_due bigint[], w_expires bigint[], w_reviewed bigint[], w_fingerprint text[],
    w_paused boolean[], w_cancelling boolean[], w_body text[],
    e_from text[], e_to text[], e_actor text[], e_attempt bigint[], e_step text[], e_code text[], e_why text[],
    e_data text[]
) RETURNS SETOF SCHEMA.answer LANGUAGE plpgsql VOLATILE
    -- A plan is made once for a session, maybe while the table is empty: these keep it to the indexes for good.
    SET plan_cache_mode = force_generic_plan
    SET jit = off
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET lock_timeout = '10s'
AS $$
DECLARE
    writes CONSTANT integer := cardinality(w_key);
    inserts CONSTANT boolean := 0 = ANY (w_expect);
    updates CONSTANT boolean := 0 < ANY (w_expect);
    at_now bigint;
    places bigint[];
    locked bigint[] := '{}';
    fenced bigint[];
    ids bigint[] := array_fill(NULL::bigint, ARRAY[writes]);
    fences bigint[] := ids;
    versions bigint[];
    refused integer[];
    dead integer[] := '{}';
    live boolean[] := array_fill(true, ARRAY[writes]);
    made bigint[] := '{}';
BEGIN
    -- Others must not wait long for one who inserts a key that somebody else is just inserting.
    IF NOT patient THEN
        PERFORM set_config('lock_timeout', '500ms', true);
    END IF;
    -- What is there is locked, always in the same order, and each judged by the clock as it is once its lock is held.
    IF updates AND patient THEN
        PERFORM FROM unnest(w_ns, w_key, w_expect) AS w(ns, key, expect)
        JOIN SCHEMA.record AS r ON r.ns = w.ns AND r.key = w.key
        WHERE w.expect > 0 ORDER BY r.ns, r.key FOR NO KEY UPDATE OF r;
    END IF;
    IF updates THEN
        SELECT array_agg(l.n), array_agg(l.id), array_agg(l.fence),
            array_agg(l.batch) FILTER (WHERE CASE l.expect
                WHEN 1 THEN l.version = l.number
                WHEN 2 THEN l.fence = l.number
                WHEN 3 THEN l.version = l.number AND (l.lease_until IS NULL
                    OR l.lease_until <= floor(extract(epoch FROM SCHEMA.clock()) * 1000)::bigint)
                END IS NOT TRUE)
        INTO places, locked, fenced, dead FROM (
            SELECT w.n, w.batch, w.expect, w.number, r.id, r.fence, r.version, r.lease_until
            FROM unnest(w_batch, w_ns, w_key, w_expect, w_number) WITH ORDINALITY AS w(batch, ns, key, expect, number, n)
            JOIN SCHEMA.record AS r ON r.ns = w.ns AND r.key = w.key
            WHERE w.expect > 0 ORDER BY r.ns, r.key FOR NO KEY UPDATE OF r SKIP LOCKED) AS l;
        locked := coalesce(locked, '{}');
        dead := coalesce(dead, '{}');
        FOR i IN 1 .. cardinality(locked) LOOP
            ids[places[i]] := locked[i];
            fences[places[i]] := fenced[i];
        END LOOP;
        -- What is not there, or is being written by somebody else, refuses its batch too.
        FOR i IN 1 .. writes LOOP
            IF ids[i] IS NULL AND w_expect[i] > 0 THEN
                dead := dead || w_batch[i];
            END IF;
        END LOOP;
    END IF;
    at_now := floor(extract(epoch FROM SCHEMA.clock()) * 1000)::bigint;
    -- A batch that was sent before and has left its mark is not applied again.
    IF true = ANY (b_resent) THEN
        SELECT dead || coalesce(array_agg(DISTINCT w.batch), '{}') INTO dead
        FROM unnest(w_batch, w_ns, w_key) AS w(batch, ns, key)
        JOIN SCHEMA.record AS r ON r.ns = w.ns AND r.key = w.key
        WHERE b_resent[w.batch] AND (r.batch = b_id[w.batch]
            OR EXISTS (SELECT 1 FROM SCHEMA.event AS e WHERE e.record_id = r.id AND e.batch = b_id[w.batch]));
    END IF;
    IF cardinality(dead) > 0 THEN
        SELECT array_agg(NOT w.batch = ANY (dead) ORDER BY w.n) INTO live
        FROM unnest(w_batch) WITH ORDINALITY AS w(batch, n);
    END IF;

    -- Numbers are taken under the locks, so that those of one record ascend.
    SELECT array_agg(nextval('SCHEMA.revision') ORDER BY b.n) INTO versions FROM generate_series(1, cardinality(b_id)) AS b(n);
    IF writes > cardinality(b_id) THEN
        SELECT array_agg(versions[w.batch] + w.place ORDER BY w.n) INTO versions
        FROM unnest(w_batch, w_place) WITH ORDINALITY AS w(batch, place, n);
    END IF;

    IF inserts THEN
        SELECT array_agg(CASE WHEN w.expect = 0 THEN (w.ns::bigint << 47) | nextval('SCHEMA.record_id') ELSE w.id END ORDER BY w.n)
        INTO ids FROM unnest(w_ns, w_expect, ids) WITH ORDINALITY AS w(ns, expect, id, n);
        WITH i AS (
            INSERT INTO SCHEMA.record (id, ns, key, version, fence, state, kind, rank, serial_key, owner, lease_until, due_at,
                expires_at, paused, cancelling, reviewed_at, fingerprint, batch, body, created_at, updated_at)
            SELECT w.id, w.ns, w.key, w.version, CASE WHEN w.granted THEN w.version ELSE 0 END, coalesce(w.state, ''),
                coalesce(w.kind, ''), coalesce(w.rank, 0), w.serial,
                coalesce(w.owner, CASE WHEN w.granted AND w.lease > 0 THEN handle END),
                CASE WHEN w.lease > 0 THEN at_now + w.lease END,
                CASE WHEN w.set & 32 > 0 THEN at_now + w.due ELSE w.due END, w.expires, coalesce(w.paused, false),
                coalesce(w.cancelling, false), w.reviewed, w.fingerprint, b_id[w.batch], coalesce(w.body, '{}'), at_now, at_now
            FROM unnest(ids, live, versions, w_batch, w_ns, w_key, w_expect, w_grant, w_lease, w_owner, w_state, w_kind, w_rank,
                w_set, w_serial, w_due, w_expires, w_reviewed, w_fingerprint, w_paused, w_cancelling, w_body)
                AS w(id, live, version, batch, ns, key, expect, granted, lease, owner, state, kind, rank, set, serial, due, expires,
                reviewed, fingerprint, paused, cancelling, body)
            WHERE w.live AND w.expect = 0 ORDER BY w.ns, w.key COLLATE "C"
            ON CONFLICT (ns, key) DO NOTHING RETURNING id)
        SELECT coalesce(array_agg(i.id), '{}') INTO made FROM i;
        -- Who did not get one of its keys loses the others too.
        SELECT array_agg(DISTINCT w.batch) INTO refused FROM unnest(w_batch, live, w_expect, ids) AS w(batch, live, expect, id)
        WHERE w.live AND w.expect = 0 AND NOT w.id = ANY (made);
        IF refused IS NOT NULL THEN
            dead := dead || refused;
            DELETE FROM SCHEMA.record AS r WHERE r.id IN (
                SELECT w.id FROM unnest(w_batch, w_expect, ids) AS w(batch, expect, id)
                WHERE w.expect = 0 AND w.batch = ANY (refused) AND w.id = ANY (made));
            SELECT array_agg(NOT w.batch = ANY (dead) ORDER BY w.n) INTO live
            FROM unnest(w_batch) WITH ORDINALITY AS w(batch, n);
        END IF;
        RETURN QUERY SELECT w.n::integer, 1, at_now, NULL::bigint, NULL::bigint, NULL::bigint, w.id, NULL::integer, NULL::text, w.version, NULL::bigint, NULL::text, NULL::text, NULL::bigint,
            NULL::text, NULL::text, NULL::bigint, NULL::bigint, NULL::bigint, NULL::boolean, NULL::boolean,
            NULL::bigint, NULL::text, NULL::uuid, NULL::text, NULL::bigint, NULL::bigint
        FROM unnest(live, w_expect, ids, versions) WITH ORDINALITY AS w(live, expect, id, version, n)
        WHERE w.live AND w.expect = 0;
    END IF;

    IF updates THEN
        RETURN QUERY UPDATE SCHEMA.record AS r SET
            version = w.version, batch = b_id[w.batch], updated_at = at_now,
            fence = CASE WHEN w.granted THEN w.version ELSE r.fence END,
            lease_until = CASE WHEN w.lease IS NULL THEN r.lease_until WHEN w.lease > 0 THEN at_now + w.lease END,
            owner = coalesce(w.owner, CASE WHEN w.granted AND w.lease > 0 THEN handle END, r.owner),
            state = coalesce(w.state, r.state), kind = coalesce(w.kind, r.kind), rank = coalesce(w.rank, r.rank),
            serial_key = CASE WHEN w.set & 1 > 0 THEN w.serial ELSE r.serial_key END,
            due_at = CASE WHEN w.set & 32 > 0 THEN at_now + w.due WHEN w.set & 2 > 0 THEN w.due ELSE r.due_at END,
            expires_at = CASE WHEN w.set & 4 > 0 THEN w.expires ELSE r.expires_at END,
            reviewed_at = CASE WHEN w.set & 8 > 0 THEN w.reviewed ELSE r.reviewed_at END,
            fingerprint = CASE WHEN w.set & 16 > 0 THEN w.fingerprint ELSE r.fingerprint END,
            paused = coalesce(w.paused, r.paused), cancelling = coalesce(w.cancelling, r.cancelling),
            body = coalesce(w.body, r.body)
        FROM unnest(ids, live, versions, w_batch, w_expect, w_grant, w_lease, w_owner, w_state, w_kind, w_rank, w_set, w_serial,
            w_due, w_expires, w_reviewed, w_fingerprint, w_paused, w_cancelling, w_body) WITH ORDINALITY
            AS w(id, live, version, batch, expect, granted, lease, owner, state, kind, rank, set, serial, due, expires,
            reviewed, fingerprint, paused, cancelling, body, n)
        WHERE w.live AND w.expect > 0 AND r.id = w.id
        RETURNING w.n::integer, 1, at_now, NULL::bigint, NULL::bigint, NULL::bigint, r.id, NULL::integer, NULL::text, r.version, r.fence, NULL::text, NULL::text, NULL::bigint, NULL::text,
            r.owner, r.lease_until, NULL::bigint, NULL::bigint, r.paused, r.cancelling, NULL::bigint, NULL::text,
            NULL::uuid, NULL::text, NULL::bigint, NULL::bigint;
    END IF;

    INSERT INTO SCHEMA.event (record_id, seq, at, fence, batch, from_state, to_state, actor, attempt, step, code, why, data)
    SELECT e.id, e.version, at_now, CASE WHEN e.granted THEN e.version ELSE coalesce(e.fence, 0) END, b_id[e.batch],
        e.from_state, e.to_state, e.actor, e.attempt, e.step, e.code, e.why, e.data
    FROM unnest(ids, live, versions, fences, w_batch, w_grant, e_from, e_to, e_actor, e_attempt, e_step, e_code, e_why, e_data)
        AS e(id, live, version, fence, batch, granted, from_state, to_state, actor, attempt, step, code, why, data)
    WHERE e.live AND e.to_state IS NOT NULL;

    IF cardinality(dead) > 0 THEN
        RETURN QUERY SELECT w.n::integer,
            CASE WHEN NOT patient AND w.expect > 0 AND r.id IS NOT NULL AND NOT r.id = ANY (locked) THEN 2 ELSE 0 END,
            at_now,
            CASE WHEN r.batch = b_id[w.batch] THEN r.version ELSE e.seq END,
            CASE WHEN r.batch = b_id[w.batch] THEN r.fence ELSE e.fence END,
            CASE WHEN r.batch = b_id[w.batch] THEN r.updated_at ELSE e.at END,
            r.id, r.ns, r.key, r.version, r.fence, r.state, r.kind, r.rank, r.serial_key, r.owner, r.lease_until,
            r.due_at, r.expires_at, r.paused, r.cancelling, r.reviewed_at, r.fingerprint, r.batch, r.body,
            r.created_at, r.updated_at
        FROM unnest(live, w_batch, w_ns, w_key, w_expect) WITH ORDINALITY AS w(live, batch, ns, key, expect, n)
        LEFT JOIN SCHEMA.record AS r ON r.ns = w.ns AND r.key = w.key
        LEFT JOIN LATERAL (SELECT e.seq, e.fence, e.at FROM SCHEMA.event AS e
            WHERE e.record_id = r.id AND e.batch = b_id[w.batch] ORDER BY e.seq DESC LIMIT 1) AS e ON true
        WHERE NOT w.live;
    END IF;
END $$;
