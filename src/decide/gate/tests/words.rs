//! Policies as text.

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use crate::decide::gate::{Bound, Builder, Missing, Policy, Resource, Signal, Span, Stall};

#[test]
fn a_policy_is_read_as_people_write_it() {
    let policy: Policy = "cpu:50,mem:75,disk:/var:10GiB,mounted:/data,psi:20".parse().unwrap();
    let limits: Vec<(Signal, Bound)> =
        policy.limits().iter().map(|limit| (limit.signal().clone(), limit.bound())).collect();
    let above = |both: f64| Bound::Above { close: both, open: both };
    let ten = 10.0 * f64::from(1 << 30);
    assert_eq!(
        limits,
        [
            (Signal::Cpu, above(50.0)),
            (Signal::Memory, above(75.0)),
            (Signal::DiskFreeBytes("/var".into()), Bound::Below { close: ten, open: ten }),
            (Signal::Mounted("/data".into()), Bound::Yes),
            (Signal::memory_pressure(), above(20.0)),
        ]
    );
    assert_eq!(policy.dwell(), Duration::from_secs(30));
    assert_eq!(policy.limits().last().unwrap().missing(), Missing::Open);
    for (text, again) in [
        (" mem : ", None),
        ("mem:90% / 80%, dwell:1m", Some("mem:90/80,dwell:1m")),
        ("psi:full:io:avg60:5", Some("psi:io:full:avg60:5,dwell:30s")),
        ("psi:memory:some:avg10:5!", Some("psi:5!,dwell:30s")),
        ("disk:/a:b c/:10%/15%?", Some("disk:/a:b c/:10%/15%?,dwell:30s")),
        ("disk:/:1025B", Some("disk:/:1025B,dwell:30s")),
        ("port:[::1]:80", Some("answers:[::1]:80,dwell:30s")),
        ("custom:a%3A>5,custom:b:<2/3", Some("custom:a%3A>5,custom:b:<2/3,dwell:30s")),
        ("exists:/run/what%3F,load:1.5", Some("exists:/run/what%3F,load:1.5,dwell:30s")),
        ("cpu:50,give_up:2h,dwell:0s", None),
        ("cpu:50/40,give_up:2h,dwell:0s", Some("cpu:50/40,dwell:0s,give_up:2h")),
    ] {
        assert_eq!(text.parse::<Policy>().ok().map(|policy| policy.to_string()).as_deref(), again, "{text}");
    }
}

#[test]
fn a_text_that_is_no_policy_says_which_part() {
    for (text, says) in [
        ("", "a limit is \"\""),
        ("cpu", "a limit is \"cpu\""),
        ("gpu:50", "a limit is \"gpu:50\""),
        ("cpu:50,,mem:75", "a limit is \"\""),
        ("cpu:fast", "cpu is \"fast\""),
        ("cpu:NaN", "gate: close is NaN for processor use"),
        ("cpu:120", "gate: close is 120 for processor use, allowed is above 0 to 100"),
        ("mem:80/90", "gate: open is 90 % for memory use"),
        ("cpu:50,cpu:60", "gate: limits is processor use twice"),
        ("disk:/var", "disk is \"/var\""),
        ("disk:/var:10", "disk is \"10\""),
        ("psi:gpu:5", "psi is \"gpu\""),
        ("psi:io:io:5", "psi is \"io:io:5\""),
        ("mounted:", "gate: path is \"\""),
        ("exists:/a%2", "an escape is \"/a%2\""),
        ("exists:/%FF", "an escape is"),
        ("answers:db", "gate: address is \"db\""),
        ("dwell:30", "dwell is \"30\""),
        ("cpu:50,dwell:1s,dwell:2s", "dwell is given twice"),
        ("dwell:1s", "gate: limits is 0"),
    ] {
        let error = text.parse::<Policy>().unwrap_err().to_string();
        assert!(error.starts_with(says), "{text}: {error}");
    }
}

#[test]
fn a_policy_is_its_text_in_json_too() {
    let policy: Policy = "cpu:50/40,give_up:2h".parse().unwrap();
    let text = serde_json::to_string(&policy).unwrap();
    assert_eq!(text, "\"cpu:50/40,dwell:30s,give_up:2h\"");
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    assert!(serde_json::from_str::<Policy>("\"cpu:500\"").is_err());
}

fn limit() -> impl Strategy<Value = (Signal, Bound, Missing)> {
    let percents = (0.001..=100.0f64, 0.001..=1.0f64).prop_map(|(close, share)| (close, close * share));
    let above = percents.prop_map(|(close, open)| Bound::Above { close, open });
    let below =
        (1..1u64 << 50, 0..1u64 << 50).prop_map(|(close, more)| (close as f64, (close + more) as f64));
    let bytes = below.prop_map(|(close, open)| Bound::Below { close, open });
    let any_bound = (any::<bool>(), -1e18..1e18f64, 0.0..1e18f64).prop_map(|(is_above, close, more)| {
        if is_above {
            Bound::Above { close, open: close - more }
        } else {
            Bound::Below { close, open: close + more }
        }
    });
    let name = "[a-zA-Z,:%?! ></é.]{1,12}";
    let pressure = (
        prop::sample::select(vec![Resource::Cpu, Resource::Memory, Resource::Io]),
        prop::sample::select(vec![Stall::Some, Stall::Full]),
        prop::sample::select(vec![Span::Avg10, Span::Avg60]),
    );
    let pressure = pressure.prop_map(|(resource, kind, span)| Signal::Pressure { resource, kind, span });
    let signal = prop_oneof![
        (
            prop::sample::select(vec![Signal::Cpu, Signal::Memory, Signal::Swap, Signal::LoadPerCore]),
            above.clone()
        ),
        (pressure, above),
        (name.prop_map(|path| Signal::DiskFreeBytes(path.into())), bytes),
        (name.prop_map(|path| Signal::Mounted(path.into())), Just(Bound::Yes)),
        (name.prop_map(|path| Signal::Exists(path.into())), Just(Bound::Yes)),
        (name.prop_map(Signal::Custom), prop_oneof![Just(Bound::Yes), any_bound]),
    ];
    (signal, prop::sample::select(vec![Missing::Open, Missing::Closed]))
        .prop_map(|((signal, bound), missing)| (signal, bound, missing))
}

use proptest::prelude::Just;

proptest! {
    #[test]
    fn what_is_written_is_read(
        limits in prop::collection::vec(limit(), 1..8), dwell in 1..86_400_000u64, give_up in prop::option::of(any::<u32>()),
    ) {
        let built = limits.into_iter().fold(Policy::builder(), |builder: Builder, (signal, bound, missing)| {
            let builder = match bound {
                Bound::Above { close, open } => builder.above(signal.clone(), close, open),
                Bound::Below { close, open } => builder.below(signal.clone(), close, open),
                Bound::Yes => builder.needs(signal.clone()),
            };
            builder.missing(signal, missing)
        });
        let give_up = give_up.map(|more| Duration::from_millis(dwell + 1 + u64::from(more)));
        // Some signals come twice.
        if let Ok(policy) = built.dwell(Duration::from_millis(dwell)).give_up_after(give_up).build() {
            let text = policy.to_string();
            let read: Result<Policy, _> = text.parse();
            prop_assert_eq!(read.as_ref(), Ok(&policy), "{}", text);
        }
    }

    #[test]
    fn no_text_panics(text in "([a-z]{0,8}[:,%/?!0-9.]{0,4}){0,8}\\PC{0,10}") {
        drop(text.parse::<Policy>());
    }
}
