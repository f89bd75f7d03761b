-- The tables of format 1.

CREATE TABLE SCHEMA.store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    format integer NOT NULL,
    -- The oldest release's format that can still work with this store.
    reads_from integer NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

-- A batch takes one number; its writes take that one and those that follow, at most 256.
CREATE SEQUENCE SCHEMA.revision AS bigint INCREMENT BY 256 START WITH 256;
CREATE SEQUENCE SCHEMA.record_id AS bigint;

-- Instants are milliseconds since 1970, as everywhere in the seam; the views show them as instants.
CREATE TABLE SCHEMA.record (
    -- The namespace in the upper bits, so that the records of one lie together in the order of their creation.
    id bigint PRIMARY KEY,
    ns integer NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    fence bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    rank bigint NOT NULL,
    serial_key text COLLATE "C",
    owner text,
    lease_until bigint,
    -- No index has the lease's end in it, so that a renewal touches none.
    leased boolean GENERATED ALWAYS AS (lease_until IS NOT NULL) STORED,
    due_at bigint,
    expires_at bigint,
    paused boolean NOT NULL,
    cancelling boolean NOT NULL,
    reviewed_at bigint,
    fingerprint text,
    batch uuid NOT NULL,
    body text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    UNIQUE (ns, key)
) WITH (fillfactor = 80,
    -- What was due and is claimed stays in the indexes until it is cleared away, and each claim walks past it.
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX record_due ON SCHEMA.record (ns, rank DESC, due_at, id) WHERE due_at IS NOT NULL AND NOT leased;
-- The sum is in the order of the oldest too, so that the planner takes this index for it and never walks through the
-- finished in the order of their ids.
CREATE INDEX record_due_age ON SCHEMA.record (ns, (id + 0)) WHERE due_at IS NOT NULL AND NOT leased;
-- Who looks for undoings that wait must not walk through a long queue.
CREATE INDEX record_due_rare ON SCHEMA.record (ns, (id + 0))
    WHERE due_at IS NOT NULL AND NOT leased AND state <> 'queued' AND state <> 'failed_transient';
CREATE INDEX record_leased ON SCHEMA.record (ns) WHERE leased;
CREATE INDEX record_serial ON SCHEMA.record (ns, serial_key) WHERE serial_key IS NOT NULL;

CREATE TABLE SCHEMA.event (
    record_id bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    fence bigint NOT NULL,
    batch uuid NOT NULL,
    from_state text,
    to_state text NOT NULL,
    actor text NOT NULL,
    attempt bigint NOT NULL,
    step text,
    code text NOT NULL,
    why text NOT NULL,
    data text,
    PRIMARY KEY (record_id, seq)
);

-- Events go with their record. A foreign key would do the same, and look each event's record up once more when it is
-- written, where the functions hold its lock: a quarter of the time of a group of writes.
CREATE FUNCTION SCHEMA.forget_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM SCHEMA.event AS e USING gone WHERE e.record_id = gone.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_events AFTER DELETE ON SCHEMA.record REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION SCHEMA.forget_events();

-- The one clock: every lease and every due time is judged by it. A test may replace it.
CREATE FUNCTION SCHEMA.clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT clock_timestamp() $$;

CREATE FUNCTION SCHEMA.millis(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT floor(extract(epoch FROM at) * 1000)::bigint $$;

CREATE FUNCTION SCHEMA.instant(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT CASE WHEN ms BETWEEN -210000000000000 AND 9000000000000000
          THEN to_timestamp(0) + ms * interval '1 millisecond' END $$;
