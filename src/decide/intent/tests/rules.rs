//! What a difference is called.

use crate::base::explain::Explain;
use crate::decide::intent::tests::{file, folder, intent, millis, start};
use crate::decide::intent::{
    Calm, Change, Difference, Error, Hint, Intent, Judge, Kind, Lost, Mass, Policy, Root, Stamp, State,
    Trouble, What,
};

fn numbered(many: usize, at: i64) -> State {
    State::of((0..many).map(|n| file(&format!("src/{n:03}.rs"), 100 + n as u64, at)))
}

#[test]
fn one_path_is_single_a_few_are_few_and_from_six_on_it_is_bulk() {
    let before = numbered(10, 1);
    let changed = |many: usize| {
        let entry = |n: usize| file(&format!("src/{n:03}.rs"), 100 + n as u64, if n < many { 2 } else { 1 });
        Policy::default().judge(&before, &State::of((0..10).map(entry)))
    };
    assert_eq!(changed(0), Intent::Nothing(Calm::Same));
    assert_eq!(changed(1), Intent::Single(Change { path: "src/000.rs".into(), what: What::Modified }));
    assert!(matches!(changed(2), Intent::Few(changes) if changes.len() == 2));
    assert!(matches!(changed(5), Intent::Few(changes) if changes.len() == 5));
    match changed(6) {
        Intent::Bulk { count, roots, tally, why } => {
            assert_eq!((count, tally.modified, why), (6, 6, Mass::Many { bulk_from: 6 }));
            assert_eq!(roots, [std::path::PathBuf::from("src")]);
        }
        other => panic!("{other}"),
    }
    assert_eq!(changed(7).to_string(), "7 paths in src (7 modified): 6 or more are a bulk change");
    let codes = [changed(0), changed(1), changed(2), changed(6)].map(|intent| intent.code());
    assert_eq!(codes, ["intent.same", "intent.single", "intent.few", "intent.bulk"]);
}

#[test]
fn from_how_many_paths_on_it_is_bulk_is_a_knob() {
    let (before, after) = (numbered(4, 1), numbered(4, 2));
    assert!(matches!(Policy::default().bulk_from(5).judge(&before, &after), Intent::Few(_)));
    assert!(matches!(Policy::default().bulk_from(4).judge(&before, &after), Intent::Bulk { count: 4, .. }));
}

#[test]
fn what_is_written_beside_and_renamed_over_is_modified() {
    assert_eq!(intent(&State::of([file("a", 1, 1)]), &State::of([file("a", 2, 5)])), "a was modified");
    // Even if the tool sets the time of the old file, the change time tells.
    let (path, old) = file("a", 1, 1);
    let new = Stamp { ctime: 9, inode: 2, ..old };
    assert_eq!(intent(&State::of([(path.clone(), old)]), &State::of([(path, new)])), "a was modified");
}

#[test]
fn another_inode_alone_is_a_network_file_system_and_no_change() {
    assert_eq!(
        intent(&State::of([file("a", 1, 1)]), &State::of([file("a", 2, 1)])),
        "nothing is other than it was"
    );
}

#[test]
fn what_stands_elsewhere_with_its_inode_and_content_was_moved() {
    let (_, stamp) = file("a", 1, 1);
    // Renaming moves the change time.
    let there = Stamp { ctime: 7, ..stamp };
    let after = State::of([("b/c".into(), there), folder("b", 9)]);
    assert_eq!(intent(&State::of([file("a", 1, 1)]), &after), "b/c was moved there from a");
    // Over another file: that one is gone, and it is one thing that happened.
    let before = State::of([file("a", 1, 1), file("b", 2, 1)]);
    let after = State::of([("b".into(), there)]);
    assert_eq!(intent(&before, &after), "b was moved there from a");
}

#[test]
fn an_inode_that_was_given_again_is_no_move() {
    assert_eq!(
        intent(&State::of([file("a", 1, 1)]), &State::of([file("b", 1, 5)])),
        "a was removed, b was created"
    );
    // Where inodes are not known nothing moves.
    assert_eq!(
        intent(&State::of([file("a", 0, 1)]), &State::of([file("b", 0, 1)])),
        "a was removed, b was created"
    );
}

#[test]
fn of_two_names_of_one_file_each_moves_once() {
    let before = State::of([file("a", 1, 1), file("b", 1, 1)]);
    let after = State::of([file("c", 1, 1), file("d", 1, 1), file("e", 1, 1)]);
    assert_eq!(
        Difference::between(&before, &after).tally().to_string(),
        "1 created, 2 moved",
        "{:?}",
        Difference::between(&before, &after)
    );
}

#[test]
fn a_folder_counts_only_where_it_is_bare() {
    let empty = State::of([]);
    let bare = State::of([folder("a", 1), folder("a/b", 2)]);
    assert_eq!(intent(&empty, &bare), "a/b was created");
    assert_eq!(intent(&bare, &empty), "a/b was removed");
    let filled = State::of([folder("a", 1), folder("a/b", 2), file("a/b/c", 3, 1)]);
    assert_eq!(intent(&empty, &filled), "a/b/c was created");
    assert_eq!(intent(&filled, &empty), "a/b/c was removed");
    // What happens in a folder modifies its times, not it.
    let (path, stamp) = folder("a", 1);
    let touched = Stamp { mtime: 9, ctime: 9, size: 8192, ..stamp };
    assert_eq!(
        intent(&State::of([(path.clone(), stamp)]), &State::of([(path, touched)])),
        "nothing is other than it was"
    );
}

#[test]
fn what_becomes_another_kind_is_modified() {
    let after = State::of([folder("a", 1), file("a/b", 3, 5)]);
    assert_eq!(intent(&State::of([file("a", 1, 1)]), &after), "a was modified, a/b was created");
}

#[test]
fn attributes_count_only_if_it_is_said() {
    let (path, stamp) = file("a", 1, 1);
    let (before, after) =
        (State::of([(path.clone(), stamp)]), State::of([(path, Stamp { ctime: 5, ..stamp })]));
    assert_eq!(intent(&before, &after), "nothing is other than it was");
    let counted = Policy::default().attributes(true).judge(&before, &after);
    assert_eq!(counted.to_string(), "a has other attributes");
    assert_eq!(Difference::between(&before, &after).tally().attributes, 1);
}

#[test]
fn a_root_that_is_gone_is_no_removal_of_everything() {
    let (before, gone) = (numbered(50, 1), State::default().with_root(Root::Missing));
    let policy = Policy::default();
    let Intent::Resync { why: Lost::RootGone, found } = policy.judge(&before, &gone) else { panic!() };
    assert_eq!(*found, Intent::Nothing(Calm::Unseen));
    // It is kept in mind, so that what has changed meanwhile is found.
    let kept = before.followed_by(gone.clone());
    assert_eq!((kept.root(), kept.len()), (Root::Missing, 50));
    assert_eq!(policy.judge(&kept, &gone), Intent::Nothing(Calm::StillGone));
    let mut entries: Vec<_> = numbered(50, 1).iter().map(|(path, stamp)| (path.to_owned(), *stamp)).collect();
    entries.pop();
    let Intent::Resync { why: Lost::RootBack, found } = policy.judge(&kept, &State::of(entries)) else {
        panic!()
    };
    assert_eq!(found.to_string(), "src/049.rs was removed");
}

#[test]
fn another_folder_at_the_root_is_told() {
    let (before, after) =
        (numbered(2, 1).with_root(Root::Folder(5)), numbered(2, 1).with_root(Root::Folder(6)));
    assert!(matches!(
        Policy::default().judge(&before, &after),
        Intent::Resync { why: Lost::RootReplaced, found } if *found == Intent::Nothing(Calm::Same)
    ));
    for (root, code) in [
        (Root::NotFolder(Kind::File), "intent.root_not_folder"),
        (Root::Unreadable, "intent.root_unreadable"),
    ] {
        let intent = Policy::default().judge(&before, &State::default().with_root(root));
        assert_eq!(intent.code(), code);
    }
}

#[test]
fn what_is_below_a_folder_that_cannot_be_read_is_taken_to_be_as_it_was() {
    let before = State::of([folder("a", 1), file("a/x", 2, 1), file("a/y", 3, 1), file("b", 4, 1)]);
    let hidden = State::of([folder("a", 1), file("b", 4, 9)]).with_unreadable(["a".into()]);
    let policy = Policy::default();
    let Intent::Resync { why, found } = policy.judge(&before, &hidden) else { panic!() };
    assert_eq!(why, Lost::Unreadable { path: "a".into(), count: 1 });
    assert_eq!(found.to_string(), "b was modified");
    let kept = before.followed_by(hidden.clone());
    assert_eq!((kept.len(), kept.unreadable().len()), (4, 1));
    assert_eq!(policy.judge(&kept, &hidden), Intent::Nothing(Calm::Same));
    let back = State::of([folder("a", 1), file("a/x", 2, 5), file("a/y", 3, 1), file("b", 4, 9)]);
    let Intent::Resync { why: Lost::ReadableAgain { .. }, found } = policy.judge(&kept, &back) else {
        panic!()
    };
    assert_eq!(found.to_string(), "a/x was modified");
    // Removed while it could not be read: that is a removal.
    let removed = State::of([file("b", 4, 9)]);
    assert_eq!(policy.judge(&kept, &removed).to_string(), "a/x was removed, a/y was removed");
}

#[test]
fn a_tree_that_was_cut_is_not_judged() {
    let cut = numbered(3, 2).with_cut(3);
    let Intent::Resync { why, found } = Policy::default().judge(&numbered(3, 1), &cut) else { panic!() };
    assert_eq!((why, *found), (Lost::TooMany { entries_max: 3 }, Intent::Nothing(Calm::Unseen)));
    let many = State::default().with_unreadable((0..1001).map(|n| format!("{n}").into()));
    assert_eq!((many.unreadable().len(), many.cut_at()), (1000, Some(0)));
}

#[test]
fn an_overflow_is_a_resync_with_what_was_found_all_the_same() {
    let mut judge = Judge::new(Policy::default()).unwrap();
    judge.observe(Hint::Changed, start());
    judge.observe(Hint::Overflow, start());
    let now = start().after(millis(500));
    let intent = judge.judge(&numbered(9, 1), &numbered(9, 2), now);
    let Intent::Resync { why: Lost::Overflow { times: 1 }, found } = intent else { panic!("{intent}") };
    assert!(matches!(*found, Intent::Bulk { count: 9, .. }));
    // It is forgotten with that.
    judge.observe(Hint::Changed, now);
    assert!(matches!(judge.judge(&numbered(9, 1), &numbered(9, 2), now), Intent::Bulk { .. }));
    judge.observe(Hint::Trouble(Trouble::WatchLimit), now);
    assert_eq!(judge.judge(&numbered(1, 1), &numbered(1, 1), now).code(), "intent.watch_limit");
    judge.observe(Hint::Trouble(Trouble::Broken), now);
    assert_eq!(judge.judge(&numbered(1, 1), &numbered(1, 1), now).code(), "intent.source_broken");
}

#[test]
fn names_for_a_terminal_hide_nothing() {
    let after = State::of([file("a\u{1b}[2J", 1, 1)]);
    assert_eq!(intent(&State::of([]), &after), "a\\u{1b}[2J was created");
}

#[test]
fn of_a_path_that_comes_twice_the_last_stands() {
    let state = State::of([file("b", 1, 1), file("a", 2, 1), file("b", 3, 1)]);
    assert_eq!(state.len(), 2);
    assert_eq!(state.get("b".as_ref()).map(|stamp| stamp.inode), Some(3));
    assert!(state.is_like(&state.clone()) && !state.is_like(&State::default()));
}

#[test]
fn a_policy_that_makes_no_sense_is_refused_with_the_knob() {
    let refused = |policy: Policy| match Judge::new(policy) {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let policy = Policy::default();
    assert_eq!(refused(policy.quiet(millis(0))), "quiet");
    assert_eq!(refused(policy.quiet(millis(900)).longest_wait(millis(800))), "longest_wait");
    assert_eq!(refused(policy.longest_wait(std::time::Duration::MAX)), "longest_wait");
    assert_eq!(refused(policy.announced_max(millis(0))), "announced_max");
    assert_eq!(refused(policy.bulk_from(1)), "bulk_from");
    assert_eq!(refused(policy.roots_max(0)), "roots_max");
    let text = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    assert_eq!(serde_json::from_str::<Policy>(r#"{"bulk_from":9}"#).unwrap(), policy.bulk_from(9));
    assert!(serde_json::from_str::<Policy>(r#"{"bulk_from":1}"#).is_err());
}
