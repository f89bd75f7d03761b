//! `schedule` and `window`.

use serde_json::{Value, json};

use crate::kit::Shop;

#[test]
fn what_is_next_is_told_with_what_the_clocks_do() {
    let shop = Shop::sqlite();
    let args = [
        "schedule",
        "30 2 * * *",
        "--tz",
        "Europe/Paris",
        "--from",
        "2027-03-27T12:00:00Z",
        "--count",
        "2",
        "--json",
    ];
    let lines = shop.run(&args).ended(0).lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["nominal"], "2027-03-28T01:00:00.000Z");
    assert_eq!(lines[0]["local"], "2027-03-28T03:00:00+02:00");
    assert!(lines[0]["note"].as_str().unwrap().contains("the clocks skip 2027-03-28 02:30:00"), "{lines:?}");
    assert_eq!(lines[1]["local"], "2027-03-29T02:30:00+02:00");
    assert_eq!(lines[1]["note"], Value::Null);
    let args = [
        "schedule",
        "30 2 * * *",
        "--tz",
        "Europe/Paris",
        "--from",
        "2027-10-30T12:00:00Z",
        "--count",
        "2",
        "--json",
    ];
    let lines = shop.run(&args).ended(0).lines();
    assert_eq!(
        [&lines[0]["nominal"], &lines[1]["nominal"]],
        ["2027-10-31T00:30:00.000Z", "2027-11-01T01:30:00.000Z"]
    );
    assert!(lines[0]["note"].as_str().unwrap().contains("twice"), "{lines:?}");
    let args = ["schedule", "every 15m", "--from", "2027-01-01T00:00:00Z", "--count", "3", "--json"];
    let lines = shop.run(&args).ended(0).lines();
    assert_eq!(lines[2]["nominal"], "2027-01-01T00:45:00.000Z");
    let human = shop.run(&["schedule", "30 2 * * 1-5", "--tz", "Europe/Paris", "--count", "2"]).ended(0).out;
    assert!(
        human.starts_with("cron `30 2 * * 1-5` in Europe/Paris") && human.lines().count() == 3,
        "{human}"
    );
    let over = ["schedule", "0 0 0 1 1 * 2001", "--from", "2027-01-01T00:00:00Z"];
    assert!(shop.run(&over).ended(0).out.contains("never after"), "years that are over");
    let many = shop.run(&["schedule", "@hourly", "--count", "5000", "--json"]).ended(0);
    assert_eq!(many.out.lines().count(), 5000);
}

#[test]
fn what_is_no_schedule_is_a_usage_error() {
    let shop = Shop::sqlite();
    for (args, says) in [
        (&["schedule", "61 * * * *"][..], "minute"),
        (&["schedule", "0 0 30 2 *"], "never fires"),
        (&["schedule", "every 15"], "15"),
        (&["schedule", "every 1ms"], "period"),
        (&["schedule", "@daily", "--tz", "Europe/Pari"], "Europe/Pari"),
        (&["schedule", "@daily", "--from", "yesterday"], "--from"),
        (&["schedule", "@daily", "--from", "0001-01-01T00:00:00Z"], "from 0001-06-01 to 9998-06-01"),
        (&["schedule", "@daily", "--from", "9999-01-01T00:00:00Z"], "--from is 9999-01-01"),
        (&["schedule", "@daily", "--count", "0"], "0"),
        (&["schedule"], "EXPR"),
        (&["schedule", "@daily", "--odd"], "--odd"),
    ] {
        let given = shop.run(args).ended(2);
        assert!(given.err.contains(says), "{args:?}: {given:?}");
    }
}

fn window(shop: &Shop, args: &[&str], code: i32) -> Value {
    let args = [&["window"], args, &["--json"]].concat();
    shop.run(&args).ended(code).object()
}

#[test]
fn a_window_is_open_until_or_closed_until() {
    let shop = Shop::sqlite();
    let spec = "09:00-22:00 Mon-Fri Europe/Paris";
    let open = window(&shop, &[spec, "--at", "2026-07-31T12:00:00Z"], 0);
    assert_eq!((&open["state"], &open["opens"]), (&json!("open"), &Value::Null));
    assert_eq!(open["closes"], "2026-07-31T20:00:00.000Z");
    let closed = window(&shop, &[spec, "--at", "2026-07-31T21:00:00Z"], 75);
    assert_eq!((&closed["state"], &closed["closes"]), (&json!("closed"), &Value::Null));
    assert_eq!(
        (&closed["opens"], &closed["code"]),
        (&json!("2026-08-03T07:00:00.000Z"), &json!("window.after_hours"))
    );
    assert!(closed["why"].as_str().unwrap().contains("Friday"), "{closed}");
    let zoned =
        window(&shop, &["09:00-22:00 Mon-Fri", "--tz", "Europe/Paris", "--at", "2026-07-31T21:00:00Z"], 75);
    assert_eq!(zoned, closed, "the zone may stand beside it");
    window(&shop, &["00:00-24:00"], 0);
    let human = shop.run(&["window", spec, "--at", "2026-07-31T21:00:00Z"]).ended(75).out;
    assert!(human.contains("closed") && human.contains("Mon 2026-08-03 09:00:00 +02:00"), "{human}");
}

#[test]
fn a_zone_given_twice_must_be_the_same() {
    let shop = Shop::sqlite();
    let at = ["--at", "2026-07-31T12:00:00Z"];
    let same = [&["09:00-22:00 Europe/Paris", "--tz", "Europe/Paris"][..], &at].concat();
    assert_eq!(window(&shop, &same, 0)["state"], "open");
    for args in [
        &["09:00-22:00 Europe/Paris", "--tz", "Europe/Rome"][..],
        &["09:00-12:00 utc; 13:00-22:00 Europe/Rome"],
        &["09:00-22:00 utc Europe/Rome"],
    ] {
        let given = shop.run(&[&["window"], args].concat()).ended(2);
        assert!(given.err.contains("given twice"), "{args:?}: {given:?}");
    }
    for (args, says) in [
        (&["9-22"][..], "hours"),
        (&["09:00-22:00 Mon-Fry"], "zone"),
        (&["09:00-22:00", "--tz", "Mon"], "--tz"),
        (&["09:00-22:00", "--at", "soon"], "--at"),
        (&["09:00-22:00", "--odd"], "--odd"),
    ] {
        let given = shop.run(&[&["window"], args].concat()).ended(2);
        assert!(given.err.contains(says), "{args:?}: {given:?}");
    }
}
