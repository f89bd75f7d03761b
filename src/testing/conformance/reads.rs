//! Scans, pages and events.

use super::kit::{
    LEASE, NS, SEC, applied, ensure, event, full, get, get_in, insert, keys, same, state, store, write,
};
use super::{Check, Harness, Verdict};
use crate::remember::store::{
    Batch, Change, Cursor, Error, Event, Expect, Ns, Order, PAGE_MAX, Page, Put, Query, StoredEvent, Write,
};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "each filter of a scan lets through what it names", run: filters },
    Check { name: "prefix and suffix are compared literally", run: literally },
    Check { name: "newest and oldest go by creation, whatever the wall clock does", run: orders },
    Check {
        name: "rank goes by highest rank, no due time first, earliest due, first created",
        run: rank_order,
    },
    Check { name: "pages show everything once in every order", run: pages },
    Check { name: "pages neither skip nor repeat while records are inserted", run: stable_pages },
    Check { name: "a page size or a cursor that cannot be is refused", run: wrong_queries },
    Check { name: "events come oldest first, after a sequence number, up to a limit", run: events },
    Check { name: "every field of an event comes back", run: event_fields },
    Check { name: "a write of nothing can store an event", run: event_alone },
];

fn filters(h: &dyn Harness) -> Verdict {
    let put = |state: &str, kind: &str| Put {
        state: Some(state.into()),
        kind: Some(kind.into()),
        ..Put::nothing()
    };
    for (key, state, kind) in
        [("a/1", "queued", "x"), ("a/2", "done", "x"), ("b/1", "queued", "y"), ("b/2", "failed", "z")]
    {
        write(h, insert(key, put(state, kind)), "insert")?;
    }
    h.advance(SEC);
    let reviewed = Put { reviewed_at: Change::to(get(h, "a/1")?.created_at), ..put("failed", "x") };
    write(h, insert("c/1", reviewed), "insert")?;
    write(h, Write::new(Ns::LEDGER, "a/1", Expect::Absent, put("queued", "x")), "insert elsewhere")?;
    let oldest = Query { order: Order::Oldest, ..Query::all(NS) };
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<String>>();
    let since = get(h, "c/1")?.created_at;
    let cases = [
        (oldest.clone(), "a/1 a/2 b/1 b/2 c/1"),
        (Query { states: list(&["queued"]), ..oldest.clone() }, "a/1 b/1"),
        (Query { states: list(&["done", "failed"]), ..oldest.clone() }, "a/2 b/2 c/1"),
        (Query { kinds: list(&["x"]), ..oldest.clone() }, "a/1 a/2 c/1"),
        (Query { kinds: list(&["y", "z"]), states: list(&["failed"]), ..oldest.clone() }, "b/2"),
        (Query { key_prefix: Some("a/".into()), ..oldest.clone() }, "a/1 a/2"),
        (Query { key_suffix: Some("/1".into()), ..oldest.clone() }, "a/1 b/1 c/1"),
        (Query { key_prefix: Some("b".into()), key_suffix: Some("2".into()), ..oldest.clone() }, "b/2"),
        (Query { created_from: Some(since), ..oldest.clone() }, "c/1"),
        (Query { reviewed: Some(true), ..oldest.clone() }, "c/1"),
        (Query { reviewed: Some(false), states: list(&["failed"]), ..oldest.clone() }, "b/2"),
        (Query { states: list(&["nowhere"]), ..oldest.clone() }, ""),
        (Query { ns: Ns::LEDGER, ..oldest.clone() }, "a/1"),
        (Query { ns: Ns::SNAPSHOT, ..oldest }, ""),
    ];
    for (query, expected) in cases {
        same!(keys(h, &query)?.join(" "), expected, format!("{query:?}"));
    }
    Ok(())
}

fn literally(h: &dyn Harness) -> Verdict {
    for key in ["a%b", "axb", "a_b", "A%b", "ab", "🦀x", "🦀", "é", "a\u{10FFFF}", "a\u{10FFFF}z", "b"] {
        write(h, insert(key, state("s")), "insert")?;
    }
    let with = |prefix: Option<&str>, suffix: Option<&str>| Query {
        order: Order::Oldest,
        key_prefix: prefix.map(str::to_owned),
        key_suffix: suffix.map(str::to_owned),
        ..Query::all(NS)
    };
    let cases = [
        (with(Some("a%"), None), vec!["a%b"]),
        (with(Some("a_"), None), vec!["a_b"]),
        (with(Some("A"), None), vec!["A%b"]),
        (with(Some("🦀"), None), vec!["🦀x", "🦀"]),
        (with(Some("a\u{10FFFF}"), None), vec!["a\u{10FFFF}", "a\u{10FFFF}z"]),
        (with(None, Some("%b")), vec!["a%b", "A%b"]),
        (with(None, Some("🦀")), vec!["🦀"]),
        (with(None, Some("b")), vec!["a%b", "axb", "a_b", "A%b", "ab", "b"]),
        (with(Some("ab"), Some("ab")), vec!["ab"]),
        (with(Some("axb"), Some("longer than the key")), vec![]),
    ];
    for (query, expected) in cases {
        same!(keys(h, &query)?, expected, format!("{:?} {:?}", query.key_prefix, query.key_suffix));
    }
    same!(keys(h, &with(Some(""), Some("")))?, keys(h, &with(None, None))?, "an empty prefix and suffix");
    Ok(())
}

fn orders(h: &dyn Harness) -> Verdict {
    for key in ["b", "a", "c"] {
        write(h, insert(key, state("s")), "insert")?;
        // The wall clock goes back while records are made, if it can.
        h.step_wall(-5_000);
    }
    let touched = get(h, "b")?.version;
    write(h, Write::new(NS, "b", Expect::Version(touched), state("t")), "a later write to the oldest")?;
    same!(keys(h, &Query { order: Order::Oldest, ..Query::all(NS) })?, ["b", "a", "c"], "oldest first");
    same!(keys(h, &Query::all(NS))?, ["c", "a", "b"], "newest first");
    Ok(())
}

fn ranked(h: &dyn Harness) -> Verdict {
    write(h, insert("first", state("s")), "insert")?;
    let at = get(h, "first")?.created_at;
    let put = |rank, due: Option<u32>| Put {
        rank: Some(rank),
        due_at: due.map_or(Change::Keep, |due| Change::to(at + SEC * due)),
        ..state("s")
    };
    for (key, rank, due) in [
        ("low", -1, Some(0)),
        ("late", 5, Some(9)),
        ("early", 5, Some(1)),
        ("early2", 5, Some(1)),
        ("never", 5, None),
        ("high", 7, Some(99)),
    ] {
        write(h, insert(key, put(rank, due)), "insert")?;
    }
    Ok(())
}

fn rank_order(h: &dyn Harness) -> Verdict {
    ranked(h)?;
    let expected = ["high", "never", "early", "early2", "late", "first", "low"];
    for limit in [1, 2, 3, 100] {
        let query = Query { order: Order::Rank, limit, ..Query::all(NS) };
        same!(keys(h, &query)?, expected, format!("by rank, pages of {limit}"));
    }
    Ok(())
}

fn pages(h: &dyn Harness) -> Verdict {
    let made: Vec<String> = (0..23).map(|index| format!("k{index:02}")).collect();
    for (index, key) in made.iter().enumerate() {
        let kind = if index % 2 == 0 { "even" } else { "odd" };
        let put = Put { kind: Some(kind.into()), rank: Some((index % 3) as i64), ..state("s") };
        write(h, insert(key, put), "insert")?;
    }
    for order in [Order::Newest, Order::Oldest, Order::Rank] {
        let whole = keys(h, &Query { order, limit: PAGE_MAX, ..Query::all(NS) })?;
        let mut sorted = whole.clone();
        sorted.sort();
        same!(sorted, made, format!("one page in order {order:?}"));
        for limit in [1, 5, 23, 24] {
            let paged = keys(h, &Query { order, limit, ..Query::all(NS) })?;
            same!(paged, whole, format!("pages of {limit} in order {order:?}"));
        }
        let odd = Query { order, limit: 4, kinds: vec!["odd".into()], ..Query::all(NS) };
        same!(keys(h, &odd)?.len(), 11, format!("filtered pages in order {order:?}"));
    }
    let page = page(h, Query { limit: 23, ..Query::all(NS) })?;
    same!(page.next, None, "the cursor of a page that holds everything");
    Ok(())
}

fn page(h: &dyn Harness, query: Query) -> Result<Page, String> {
    store(h).scan(query).map_err(|error| format!("scan: {}", full(&error)))
}

fn stable_pages(h: &dyn Harness) -> Verdict {
    for order in [Order::Newest, Order::Oldest, Order::Rank] {
        let tag = format!("{order:?}");
        let kinds = vec![tag.clone()];
        let put = |rank| Put { kind: Some(tag.clone()), rank: Some(rank), ..state("s") };
        for index in 0..9 {
            write(h, insert(&format!("{tag}-old-{index}"), put(0)), "insert")?;
        }
        let mut query = Query { order, limit: 2, kinds, ..Query::all(NS) };
        let mut seen = Vec::new();
        for round in 0..20 {
            let page = page(h, query.clone())?;
            seen.extend(page.records.into_iter().map(|record| record.key));
            write(
                h,
                insert(&format!("{tag}-new-{round}"), put(if round % 2 == 0 { 1 } else { -1 })),
                "insert",
            )?;
            query.cursor = page.next;
            if query.cursor.is_none() || seen.len() > 40 {
                break;
            }
        }
        let old = seen.iter().filter(|key| key.contains("old")).count();
        same!(old, 9, format!("records that were there before the first page, in order {tag}: {seen:?}"));
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        same!(once.len(), seen.len(), format!("records shown twice in order {tag}: {seen:?}"));
    }
    Ok(())
}

fn wrong_queries(h: &dyn Harness) -> Verdict {
    for key in ["a", "b", "c"] {
        write(h, insert(key, state("s")), "insert")?;
    }
    let one = |order| Query { order, limit: 1, ..Query::all(NS) };
    let newest = page(h, one(Order::Newest))?.next.ok_or("a page of 1 of 3 records has no cursor")?;
    let cases = [
        ("a limit of 0", Query { limit: 0, ..Query::all(NS) }),
        ("a limit over the most", Query { limit: PAGE_MAX + 1, ..Query::all(NS) }),
        ("a cursor of another order", Query { cursor: Some(newest.clone()), ..one(Order::Oldest) }),
        ("a cursor of another order", Query { cursor: Some(newest), ..one(Order::Rank) }),
        ("a cursor that is none", Query { cursor: Some(Cursor(String::from("🦀"))), ..one(Order::Newest) }),
    ];
    for (what, query) in cases {
        let found = store(h).scan(query);
        ensure!(
            matches!(found, Err(Error::Invalid { .. })),
            "{what}: expected Error::Invalid, found {found:?}"
        );
    }
    Ok(())
}

fn events(h: &dyn Harness) -> Verdict {
    let mut version = write(h, insert("a", state("s")).event(event("0")), "insert")?.version;
    let mut versions = vec![version];
    write(h, insert("b", state("s")).event(event("other")), "insert")?;
    for code in ["1", "2", "3"] {
        let put = Write::new(NS, "a", Expect::Version(version), state("s")).event(event(code));
        version = write(h, put, "write")?.version;
        versions.push(version);
    }
    let quiet =
        write(h, Write::new(NS, "a", Expect::Version(version), state("s")), "a write without an event")?;
    let all = list(h, "a", 0, 100)?;
    same!(
        all.iter().map(|stored| stored.seq).collect::<Vec<_>>(),
        versions,
        "sequence numbers, oldest first"
    );
    same!(
        all.iter().map(|stored| &*stored.event.code).collect::<Vec<_>>(),
        ["0", "1", "2", "3"],
        "the events"
    );
    same!(list(h, "a", versions[1], 100)?, all[2..], "the events after the second");
    same!(list(h, "a", 0, 3)?, all[..3], "the first three events");
    same!(list(h, "a", quiet.version, 100)?.len(), 0, "events after the last");
    same!(list(h, "a", 0, 0)?.len(), 0, "events up to a limit of 0");
    same!(list(h, "missing", 0, 100)?.len(), 0, "events of a record that is not there");
    let elsewhere = store(h).events(Ns::LEDGER, "a", 0, 100).map_err(|error| full(&error))?;
    same!(elsewhere.len(), 0, "events of the same key in another namespace");
    Ok(())
}

fn list(h: &dyn Harness, key: &str, after: u64, limit: u32) -> Result<Vec<StoredEvent>, String> {
    store(h).events(NS, key, after, limit).map_err(|error| format!("events: {}", full(&error)))
}

fn event_fields(h: &dyn Harness) -> Verdict {
    let whole = Event {
        from: Some("queued".into()),
        to: "processing".into(),
        actor: "worker:'7'".into(),
        attempt: u32::MAX,
        step: Some("load".into()),
        code: "retry.out_of_time".into(),
        why: "a sentence, with \"quotes\" and 🦀".into(),
        data: Some(r#"{"n":9007199254740993}"#.into()),
    };
    let batch = Batch::of(insert("a", Put::claim("processing", LEASE)).event(whole.clone()));
    let id = batch.id();
    let done = applied(store(h).apply(batch), "insert with an event")?;
    let stored = list(h, "a", 0, 1)?.pop().ok_or("the event is missing")?;
    same!(stored.event, whole, "the event");
    same!((stored.batch, stored.at), (id, done.now), "batch and time of the event");
    same!(
        (stored.seq, stored.fence),
        (done.writes[0].version, done.writes[0].fence),
        "version and fence of it"
    );
    let bare = Event { step: None, data: None, from: None, attempt: 0, ..whole };
    write(h, insert("b", state("s")).event(bare.clone()), "insert with a bare event")?;
    same!(
        list(h, "b", 0, 1)?.pop().map(|stored| stored.event),
        Some(bare),
        "an event without the optional parts"
    );
    Ok(())
}

fn event_alone(h: &dyn Harness) -> Verdict {
    write(h, insert("a", state("queued")), "insert")?;
    let before = get(h, "a")?;
    let note = Write::new(NS, "a", Expect::Version(before.version), Put::nothing()).event(event("note"));
    let noted = write(h, note, "a note")?;
    let after = get_in(h, NS, "a")?.ok_or("the record is missing")?;
    same!((after.version, &after.state), (noted.version, &before.state), "version and state after a note");
    same!(list(h, "a", 0, 9)?.len(), 1, "the events");
    Ok(())
}
