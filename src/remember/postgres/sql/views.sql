-- What operators read with psql: a view for each concern, with the same columns as in SQLite.

-- A field of a body, or nothing where the body is no JSON. One body that cannot be read hides no other.
CREATE FUNCTION SCHEMA.field(body text, VARIADIC path text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN body::json #>> path;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

CREATE VIEW SCHEMA.runs AS
SELECT key AS id,
    split_part(kind, '@', 1) AS job,
    SCHEMA.field(body, 'schema')::bigint AS schema_version,
    state,
    SCHEMA.field(body, 'attempt')::bigint AS attempt,
    SCHEMA.field(body, 'crash_count')::bigint AS crash_count,
    owner,
    SCHEMA.instant(lease_until) AS lease_until,
    SCHEMA.instant(due_at) AS due_at,
    SCHEMA.instant(expires_at) AS expires_at,
    paused,
    cancelling,
    SCHEMA.instant(reviewed_at) AS reviewed_at,
    SCHEMA.field(body, 'code') AS code,
    SCHEMA.field(body, 'why') AS why,
    SCHEMA.field(body, 'key') AS idempotency_key,
    SCHEMA.field(body, 'replay_of') AS replay_of,
    SCHEMA.instant(created_at) AS created_at,
    SCHEMA.instant(updated_at) AS updated_at
FROM SCHEMA.record WHERE ns = 1;

CREATE VIEW SCHEMA.dead_letters AS
SELECT key AS id,
    split_part(kind, '@', 1) AS job,
    state,
    SCHEMA.field(body, 'attempt')::bigint AS attempt,
    SCHEMA.field(body, 'code') AS code,
    SCHEMA.field(body, 'why') AS why,
    SCHEMA.field(body, 'question', 'text') AS question,
    SCHEMA.field(body, 'key') AS idempotency_key,
    SCHEMA.instant(created_at) AS created_at,
    SCHEMA.instant(updated_at) AS updated_at
FROM SCHEMA.record WHERE ns = 1 AND state IN ('failed_permanent', 'needs_review') AND reviewed_at IS NULL;

CREATE VIEW SCHEMA.waiting AS
SELECT key AS id,
    split_part(kind, '@', 1) AS job,
    SCHEMA.field(body, 'wait', 'token') AS token,
    SCHEMA.field(body, 'wait', 'deadline') AS deadline,
    SCHEMA.instant(due_at) AS due_at,
    SCHEMA.instant(updated_at) AS since
FROM SCHEMA.record WHERE ns = 1 AND state = 'waiting_external';

CREATE VIEW SCHEMA.run_history AS
SELECT record.key AS run,
    event.seq,
    SCHEMA.instant(event.at) AS at,
    event.from_state, event.to_state, event.actor, event.attempt, event.step, event.code, event.why, event.data
FROM SCHEMA.event JOIN SCHEMA.record ON record.id = event.record_id WHERE record.ns = 1;

CREATE VIEW SCHEMA.ledger AS
SELECT key,
    state AS status,
    fingerprint,
    SCHEMA.field(body, 'run') AS run,
    SCHEMA.field(body, 'generation')::bigint AS generation,
    owner,
    SCHEMA.instant(lease_until) AS lease_until,
    SCHEMA.instant(expires_at) AS expires_at,
    SCHEMA.instant(created_at) AS created_at,
    SCHEMA.instant(updated_at) AS updated_at
FROM SCHEMA.record WHERE ns = 2;

CREATE VIEW SCHEMA.saved_states AS
SELECT key AS name,
    kind,
    version,
    body AS value,
    SCHEMA.instant(updated_at) AS updated_at
FROM SCHEMA.record WHERE ns = 3;

CREATE VIEW SCHEMA.leases AS
SELECT key AS name,
    state,
    owner,
    fence,
    SCHEMA.instant(lease_until) AS lease_until,
    SCHEMA.instant(updated_at) AS updated_at
FROM SCHEMA.record WHERE ns = 4;
