//! What is written down, well and not.

use super::*;

fn read(source: &str) -> Result<Config, String> {
    let path = Path::new("jobs.toml");
    parse(source, path).map_err(|wrong| wrong.failure(source, path).message)
}

fn wrong(source: &str) -> String {
    read(source).unwrap_err()
}

#[test]
fn everything_that_can_be_written_down_is_read() {
    let config = read(
        r#"
[tick]
every = "5m"
[alerts]
command = ["/usr/local/bin/page", "-v"]
file = "/var/log/pages.jsonl"
webhook = "https://example.org/hook"
limit = "20/1h"
again_after = "1h"
again_max = "24h"
healthy_for = "15m"
[metrics]
file = "/run/x.prom"
[jobs.backup]
schedule = "30 2 * * *"
tz = "Europe/Paris"
effect = "verify:test -f /x"
dependencies = ["s3"]
alert = "first"
owner = "ada"
runbook = "https://example.org/backup"
retention = "30d"
[jobs."a b"]
every = "24h"
"#,
    )
    .unwrap();
    assert_eq!(config.tick, Duration::from_secs(300));
    assert_eq!(config.alerts.command, ["/usr/local/bin/page", "-v"]);
    assert_eq!(config.alerts.limit, Some((20, Duration::from_secs(3600))));
    assert_eq!(config.alerts.healthy_for, Some(Duration::from_secs(900)));
    let backup = config.job("backup").unwrap();
    assert_eq!(backup.alert, Some(Rule::First));
    assert_eq!(backup.effect.as_deref(), Some("verify:test -f /x"));
    assert_eq!(backup.retention, Some(Duration::from_secs(30 * 86_400)));
    assert!(
        matches!(&backup.expected, Some(Expected::Cron { expression, .. }) if expression == "30 2 * * *")
    );
    assert!(matches!(config.job("a b").unwrap().expected, Some(Expected::Every(_))));
    assert!(read("").unwrap().jobs.is_empty());
}

#[test]
fn what_is_wrong_is_told_with_its_line_its_field_and_what_is_allowed() {
    for (source, told) in [
        (
            "[jobs.backup]\nevery = \"soon\"\n",
            "jobs.toml:2:9: jobs.backup.every is \"soon\", allowed is a duration",
        ),
        ("[jobs.backup]\nevery = 5\n", "jobs.toml:2:9: jobs.backup.every is 5, allowed is"),
        ("[jobs.backup]\nevery = \"5ms\"\n", "jobs.backup.every is \"5ms\", allowed is a duration of 1s to"),
        (
            "[jobs.backup]\nschedule = \"30 2 * *\"\n",
            "jobs.toml:2:12: jobs.backup.schedule is \"30 2 * *\", allowed is",
        ),
        (
            "[jobs.backup]\nschedule = \"30 2 * * *\"\ntz = \"Europe/Atlantis\"\n",
            "jobs.toml:3:6: jobs.backup.tz is \"Europe/Atlantis\", allowed is",
        ),
        ("[jobs.a]\ntz = \"utc\"\n", "jobs.toml:2:6: jobs.a.tz needs jobs.a.schedule"),
        (
            "[jobs.a]\nevery = \"1h\"\nschedule = \"@daily\"\n",
            "jobs.toml:2:9: jobs.a.every and jobs.a.schedule",
        ),
        ("[jobs.a]\nevry = \"1h\"\n", "jobs.toml:2:1: unknown field `evry`, expected one of"),
        ("[job.a]\n", "jobs.toml:1:2: unknown field `job`"),
        ("[jobs.a\n", "jobs.toml:1:8: "),
        ("[jobs.a]\neffect = \"verify:\"\n", "jobs.toml:2:10: jobs.a.effect is \"verify:\", allowed is"),
        ("[jobs.a]\nalert = \"always\"\n", "jobs.toml:2:9: jobs.a.alert is \"always\", allowed is \"first\""),
        (
            "[jobs.a]\ndependencies = \"s3\"\n",
            "jobs.toml:2:16: jobs.a.dependencies is \"s3\", allowed is a list",
        ),
        ("[jobs.a]\nretention = \"0s\"\n", "jobs.toml:2:13: jobs.a.retention is \"0s\""),
        ("[jobs.a]\nowner = \"\"\n", "jobs.toml:2:9: jobs.a.owner is \"\", allowed is a text"),
        ("[jobs.\"\"]\n", "the name of the job is \"\", allowed is 1 to 200 bytes"),
        ("[alerts]\ncommand = []\n", "jobs.toml:2:11: alerts.command is an empty list, allowed is"),
        ("[alerts]\nlimit = \"0/1h\"\n", "jobs.toml:2:9: alerts.limit is \"0/1h\", allowed is"),
        ("[alerts]\nwebhook = \"ftp://me:pw@x\"\n", "jobs.toml:2:11: alerts.webhook is no address"),
        ("[jobs.a]\nevery = \"1h\"\nevery = \"2h\"\n", "jobs.toml:3:1: duplicate key"),
    ] {
        let error = wrong(source);
        assert!(error.contains(told), "{source}: {error}");
    }
    assert!(!wrong("[alerts]\nwebhook = \"ftp://me:pw@x\"\n").contains("pw@"), "it may hold a password");
}
