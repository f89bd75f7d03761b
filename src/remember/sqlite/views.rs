//! What operators read with any SQLite tool: a view for each concern, with the same columns as in PostgreSQL.

/// The second format: the views, and indexes for work that is not to run at the same time, for the oldest that is due, and
/// for what is due beside a long queue.
///
/// A table of somebody's own that has such a name already is left alone, and that view is left out. None of them is
/// built on another, so that this breaks no other. A body that is no JSON shows as empty columns.
pub(super) const V2: &str = r"
CREATE INDEX record_serial ON record (ns, serial_key) WHERE serial_key IS NOT NULL;
CREATE INDEX record_oldest ON record (ns) WHERE due_at IS NOT NULL AND lease_ends IS NULL;
CREATE INDEX record_due_rare ON record (ns, due_at)
    WHERE due_at IS NOT NULL AND lease_ends IS NULL AND state <> 'queued' AND state <> 'failed_transient';

CREATE VIEW IF NOT EXISTS runs AS
SELECT key AS id,
    CASE instr(kind, '@') WHEN 0 THEN kind ELSE substr(kind, 1, instr(kind, '@') - 1) END AS job,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.schema') END AS schema_version,
    state,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.attempt') END AS attempt,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.crash_count') END AS crash_count,
    owner,
    strftime('%Y-%m-%dT%H:%M:%fZ', lease_until / 1000.0, 'unixepoch') AS lease_until,
    strftime('%Y-%m-%dT%H:%M:%fZ', due_at / 1000.0, 'unixepoch') AS due_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', expires_at / 1000.0, 'unixepoch') AS expires_at,
    paused,
    cancelling,
    strftime('%Y-%m-%dT%H:%M:%fZ', reviewed_at / 1000.0, 'unixepoch') AS reviewed_at,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.code') END AS code,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.why') END AS why,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.key') END AS idempotency_key,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.replay_of') END AS replay_of,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at
FROM record WHERE ns = 1;

CREATE VIEW IF NOT EXISTS dead_letters AS
SELECT key AS id,
    CASE instr(kind, '@') WHEN 0 THEN kind ELSE substr(kind, 1, instr(kind, '@') - 1) END AS job,
    state,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.attempt') END AS attempt,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.code') END AS code,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.why') END AS why,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.question.text') END AS question,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.key') END AS idempotency_key,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at
FROM record WHERE ns = 1 AND state IN ('failed_permanent', 'needs_review') AND reviewed_at IS NULL;

CREATE VIEW IF NOT EXISTS waiting AS
SELECT key AS id,
    CASE instr(kind, '@') WHEN 0 THEN kind ELSE substr(kind, 1, instr(kind, '@') - 1) END AS job,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.wait.token') END AS token,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.wait.deadline') END AS deadline,
    strftime('%Y-%m-%dT%H:%M:%fZ', due_at / 1000.0, 'unixepoch') AS due_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS since
FROM record WHERE ns = 1 AND state = 'waiting_external';

CREATE VIEW IF NOT EXISTS run_history AS
SELECT record.key AS run,
    event.seq,
    strftime('%Y-%m-%dT%H:%M:%fZ', event.at / 1000.0, 'unixepoch') AS at,
    event.from_state, event.to_state, event.actor, event.attempt, event.step, event.code, event.why, event.data
FROM event JOIN record ON record.id = event.record_id WHERE record.ns = 1;

CREATE VIEW IF NOT EXISTS ledger AS
SELECT key,
    state AS status,
    fingerprint,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.run') END AS run,
    CASE WHEN json_valid(body) THEN json_extract(body, '$.generation') END AS generation,
    owner,
    strftime('%Y-%m-%dT%H:%M:%fZ', lease_until / 1000.0, 'unixepoch') AS lease_until,
    strftime('%Y-%m-%dT%H:%M:%fZ', expires_at / 1000.0, 'unixepoch') AS expires_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at
FROM record WHERE ns = 2;

CREATE VIEW IF NOT EXISTS saved_states AS
SELECT key AS name,
    kind,
    version,
    body AS value,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at
FROM record WHERE ns = 3;

CREATE VIEW IF NOT EXISTS leases AS
SELECT key AS name,
    state,
    owner,
    fence,
    strftime('%Y-%m-%dT%H:%M:%fZ', lease_until / 1000.0, 'unixepoch') AS lease_until,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at
FROM record WHERE ns = 4;
";
