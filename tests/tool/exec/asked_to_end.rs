//! What happens to a command when somebody asks the tool to end, and who is told meanwhile.

use super::*;

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Put off once, and due.
fn put_off(shop: &Shop, job: &str, options: &[&str], script: &str) -> Value {
    shop.run(&["hold", &format!("job:{job}"), "--reason", "later"]).ended(0);
    let answer = exec(shop, job, options, script).ended(75).object();
    shop.run(&["release", &format!("job:{job}")]).ended(0);
    answer
}

fn tick_in_the_background(shop: &Shop, options: &[&str]) -> Child {
    let mut command = shop.command(&[&["--json"], options, &["tick"]].concat());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

const UNTIL_GO: &str = "touch up; while [ ! -e go ]; do sleep 0.05; done; echo x >> done";

#[test]
fn a_tick_that_is_asked_to_end_waits_for_its_command_and_begins_no_other() {
    let shop = Shop::sqlite();
    for job in ["one", "two"] {
        put_off(&shop, job, &["--effect", "unsafe"], UNTIL_GO);
    }
    let tick = tick_in_the_background(&shop, &[]);
    until("the first command is up", || shop.path("up").exists());
    signal(&tick, "-TERM");
    std::thread::sleep(Duration::from_millis(300));
    shop.file("go", "");
    let (code, answer, err) = ended(tick);
    assert_eq!((code, &answer["ran"]), (Some(0), &1.into()), "{answer} {err}");
    assert_eq!(lines(&shop, "done"), 1);
    assert_eq!(run_of(&shop, "one")["state"], "succeeded");
    assert_eq!(run_of(&shop, "two")["state"], "queued");
}

#[test]
fn asked_a_second_time_it_passes_that_on_to_its_command() {
    let shop = Shop::sqlite();
    put_off(&shop, "one", &["--effect", "unsafe"], UNTIL_GO);
    let tick = tick_in_the_background(&shop, &[]);
    until("the command is up", || shop.path("up").exists());
    signal(&tick, "-INT");
    std::thread::sleep(Duration::from_millis(300));
    signal(&tick, "-TERM");
    let (code, answer, err) = ended(tick);
    assert_eq!(code, Some(0), "{answer} {err}");
    assert_eq!(lines(&shop, "done"), 0);
    assert_eq!(run_of(&shop, "one")["state"], "cancelled");
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_is_closed_ends_the_command_and_not_where_nohup_was_typed() {
    let shop = Shop::sqlite();
    let child = begun(&shop, "one", &[], UNTIL_GO);
    until("it is up", || shop.path("up").exists());
    signal(&child, "-HUP");
    let (code, answer, err) = ended(child);
    assert_eq!((code, &answer["state"]), (Some(129), &"cancelled".into()), "{answer} {err}");
    std::fs::remove_file(shop.path("up")).unwrap();

    let typed = typed(&shop, &["--json"], "two", &[], UNTIL_GO);
    let mut nohup = std::process::Command::new("nohup");
    nohup.arg(typed.get_program()).args(typed.get_args()).current_dir(shop.folder()).env_clear();
    nohup.envs(typed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let child = nohup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it is up", || shop.path("up").exists());
    signal(&child, "-HUP");
    shop.file("go", "");
    let (code, answer, err) = ended(child);
    assert_eq!((code, &answer["state"]), (Some(0), &"succeeded".into()), "{answer} {err}");
}

#[test]
fn who_has_to_be_told_is_told_before_a_long_command_has_ended() {
    let shop = Shop::sqlite();
    let pager = format!("[alerts]\nfile = {:?}\n\n[jobs.dead]\nalert = \"first\"\n", shop.path("pages"));
    shop.file("jobs.toml", &pager);
    exec(&shop, "dead", &[], "exit 3").ended(3);
    put_off(&shop, "long", &["--effect", "unsafe"], UNTIL_GO);
    let tick = tick_in_the_background(&shop, &["--config", "jobs.toml"]);
    until("the command is up", || shop.path("up").exists());
    assert_eq!(lines(&shop, "pages"), 1);
    shop.file("go", "");
    let (code, answer, err) = ended(tick);
    assert_eq!((code, &answer["sent"], &answer["ran"]), (Some(0), &1.into(), &1.into()), "{answer} {err}");
}

#[test]
fn what_no_tick_can_run_is_named() {
    let shop = Shop::sqlite();
    let answer = put_off(&shop, "sec", &["--key", "k", "--secret-arg", "2"], "echo ran >> ran");
    assert!(answer["hint"].as_str().unwrap().contains("type the command again"), "{answer}");
    let answer = shop.run(&["tick", "--json"]).ended(0).object();
    assert_eq!(answer["ran"], 0, "{answer}");
    assert_eq!(answer["left"][0]["job"], "sec", "{answer}");
    assert!(answer["left"][0]["why"].as_str().unwrap().contains("type the command again"), "{answer}");
    let told = shop.run(&["tick", "-v"]).ended(0);
    assert!(told.err.contains("of sec is left alone"), "{told:?}");
    let run = run_of(&shop, "sec")["run_id"].as_str().unwrap().to_owned();
    let requeued = exec(&shop, "other", &["--key", "k", "--secret-arg", "2"], "exit 3").ended(3).object();
    let sent = shop.run(&["requeue", requeued["run_id"].as_str().unwrap()]).ended(0);
    assert!(sent.err.contains("type the command again"), "who sends it round has to know: {sent:?}");
    assert!(
        !shop.run(&["show", &run]).ended(0).out.contains("unattended replay"),
        "nor does a replay run it"
    );
    // Whoever types it again goes on with it: its secret is the script itself.
    exec(&shop, "sec", &["--key", "k", "--secret-arg", "2"], "echo ran >> ran").ended(0);
    assert_eq!((lines(&shop, "ran"), runs_of(&shop, "sec")), (1, 1));
}

#[test]
fn a_lock_outlives_a_tool_that_was_killed_for_as_long_as_its_command_runs() {
    let shop = Shop::sqlite();
    for effect in ["unsafe", "pure"] {
        let mut child = begun(&shop, "only", &["--lock", "--effect", effect], UNTIL_GO);
        until("it is up", || shop.path("up").exists());
        child.kill().unwrap();
        child.wait().unwrap();
        let busy = exec(&shop, "only", &["--lock", "--effect", effect], "echo twice >> twice").ended(75);
        assert_eq!(busy.object()["code"], "job.locked", "{busy:?}");
        shop.file("go", "");
        let options = ["--lock", "--on-busy", "wait", "--effect", effect];
        exec(&shop, "only", &options, "echo next >> next").ended(0);
        assert_eq!(lines(&shop, "twice"), 0);
        for file in ["up", "go"] {
            std::fs::remove_file(shop.path(file)).unwrap();
        }
    }
}

#[test]
fn what_is_logged_stands_in_nobodys_way() {
    let shop = Shop::sqlite();
    for format in ["json", "human"] {
        let log = ["--log", format];
        let job = format!("job-{format}");
        let given = crate::kit::given(typed(&shop, &log, &job, &[], "echo out; exit 75"), "").ended(75);
        assert!(given.out.contains("out") && given.err.contains("exit.75"), "{given:?}");
        let words = [&["supervise"], &log[..], &["--", "sh", "-c", "echo up"]].concat();
        assert_eq!(shop.run(&words).ended(0).out, "up\n");
    }
}

#[test]
fn an_attempt_is_one_start_wherever_it_is_told() {
    let shop = Shop::sqlite();
    let options = ["--effect", "idempotent", "--attempts", "3"];
    let failed = exec(&shop, "never", &options, "exit 75").ended(75).object();
    assert_eq!((&failed["attempts"], &run_of(&shop, "never")["attempts"]), (&3.into(), &3.into()));
    let script = "[ -e again ] || { touch again; exit 75; }";
    let well = exec(&shop, "second", &options, script).ended(0).object();
    assert_eq!((&well["attempts"], &run_of(&shop, "second")["attempts"]), (&2.into(), &2.into()));
    let shown = shop.run(&["show", "--json", "never"]).ended(0).object();
    let attempts: Vec<u64> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["code"].as_str().unwrap().starts_with("retry."))
        .map(|event| event["attempt"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts, [1, 2, 3], "{shown:#}");
}
