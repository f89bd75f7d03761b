//! Addresses of databases as people write them, also where they are written wrongly: they may hold a password, so none of
//! them is taken for a path, and what is wrong is told without repeating it.

use std::error::Error;

use tokio_postgres::Config;

/// The schemes of PostgreSQL, with what follows them.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// What people call a server where its scheme should stand.
const SERVERS: [&str; 7] = ["postgres", "postgresql", "pg", "pgsql", "psql", "mysql", "mariadb"];
/// Words before `=` in a connection string of libpq, and what others call the same.
const WORDS: [&str; 16] = [
    "application_name",
    "connect_timeout",
    "database",
    "dbname",
    "host",
    "hostaddr",
    "passfile",
    "passwd",
    "password",
    "port",
    "pwd",
    "service",
    "sslmode",
    "target_session_attrs",
    "user",
    "username",
];
/// A longer name of a parameter is not repeated.
const NAME_MAX: usize = 40;

/// What follows the scheme of PostgreSQL, in whatever case that is written.
pub(super) fn after_scheme(text: &str) -> Option<&str> {
    let text = text.trim();
    SCHEMES.iter().find_map(|scheme| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Whether it plainly is meant as the address of a database, though it is none that can be read. A path that looks so is
/// written with `./` before it.
pub(super) fn is_meant(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("//") {
        return rest.split('/').next().is_some_and(has_password);
    }
    if ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start)) {
        return false;
    }
    has_word(text) || has_password(text) || names_a_server(text)
}

/// `password=s3cr3t` among its words.
fn has_word(text: &str) -> bool {
    text.match_indices('=').any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default().trim_end();
        let word = before.rsplit(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default();
        WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
    })
}

/// `bob:s3cr3t@`.
fn has_password(text: &str) -> bool {
    text.split_once('@').is_some_and(|(before, _)| before.contains(':'))
}

/// `postgres//bob@host`.
fn names_a_server(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let known = SERVERS.iter().any(|server| word.eq_ignore_ascii_case(server));
    let (one, two) = (rest.starts_with('/'), rest.starts_with("//"));
    !word.is_empty() && (two && (known || rest.contains('@')) || one && known && rest.contains('@'))
}

/// What is wrong with an address that the driver does not take, which is `postgres://…`. What the driver says may repeat a part of it,
/// and that may be the password, so each part is tried by itself.
pub(super) fn wrong_in(url: &str) -> String {
    let rest = after_scheme(url).unwrap_or_default();
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, _) = place.split_once('/').unwrap_or((place, ""));
    if query.contains('@') || rest.split('?').next().is_some_and(|login| login.matches('@').count() > 1) {
        return String::from(
            "it cannot be read; in a password the characters @ : / ? # and % are written %40 %3A %2F %3F %23 and %25",
        );
    }
    if let Some(wrong) = query.split('&').find_map(wrong_parameter) {
        return wrong;
    }
    let (login, hosts) = place.split_once('@').map_or((None, place), |(login, hosts)| (Some(login), hosts));
    match hosts.split(',').find(|host| reads(host).is_err()).map(|host| host.rsplit_once(':')) {
        // Without a login it may be one, and the port its password.
        Some(Some((_, port))) if login.is_some() && is_number(port) => {
            format!("the port is {port}, allowed is 1 to 65535")
        }
        Some(Some(_)) => {
            String::from("what stands behind the host's colon is no port, allowed is 1 to 65535")
        }
        Some(None) => String::from("the host cannot be read"),
        None => String::from("the address cannot be read"),
    }
}

fn wrong_parameter(part: &str) -> Option<String> {
    let error = reads(&format!("?{part}")).err()?;
    let Some((name, _)) = part.split_once('=') else {
        return Some(String::from("a parameter behind its ? has no = and value"));
    };
    let plain = name.len() <= NAME_MAX && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let name = if plain { format!("the parameter {name}") } else { String::from("a parameter") };
    let unknown = error.source().is_some_and(|source| source.to_string().starts_with("unknown option"));
    let what = if unknown { "is not known" } else { "has a value that is not allowed" };
    Some(format!("{name} {what}"))
}

fn reads(part: &str) -> Result<Config, tokio_postgres::Error> {
    format!("postgres://{part}").parse()
}

fn is_number(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_as_an_address_is_not_a_path() {
        for address in [
            "host=127.0.0.1 user=bob password=s3cr3t",
            "dbname=jobs",
            "Password = s3cr3t host = h",
            "Server=h;User Id=bob;Password=s3cr3t",
            "hots=127.0.0.1 password=s3cr3t",
            "postgres//bob:s3cr3t@h/db",
            "postgres:/bob:s3cr3t@h/db",
            "postgrse/bob:s3cr3t@h/db",
            "postgres/bob@h/db",
            "postgres//h/db",
            "odd//bob@h/db",
            "//bob:s3cr3t@h/db",
            "bob:s3cr3t@h/db",
        ] {
            assert!(is_meant(address), "{address}");
        }
        for path in [
            "./postgres/x.db",
            "postgres/x.db",
            "/data/a=b/x.db",
            "a=b/x.db",
            "/data/host=1/x.db",
            "./host=1",
            "/var/lib/bob:x@y.db",
            "backups/ada@host/x.db",
            "data//x.db",
            "//tmp/x.db",
            "odd:name",
            "~/x@y:z",
            "",
        ] {
            assert!(!is_meant(path), "{path}");
        }
    }

    #[test]
    fn a_scheme_is_one_in_any_case() {
        for text in ["postgres://h/db", "Postgres://h/db", " POSTGRESQL://h/db "] {
            assert_eq!(after_scheme(text), Some("h/db"), "{text}");
        }
        for text in ["postgres:/h", "mysql://h", "", "é"] {
            assert_eq!(after_scheme(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_secret() {
        let says = |rest: &str| wrong_in(&format!("postgres://{rest}"));
        assert_eq!(says("bob:x@h:1/db?bogus=1"), "the parameter bogus is not known");
        assert_eq!(says("bob:x@h/db?sslmode=soon"), "the parameter sslmode has a value that is not allowed");
        assert_eq!(says("bob:x@h:99999/db"), "the port is 99999, allowed is 1 to 65535");
        for (rest, part) in [
            ("bob:hunter2@h:hunter3/db", "no port"),
            ("bob:hunter2", "no port"),
            ("bob:99999", "no port"),
            ("bob:hunt@hunter2:x@h/db", "%40"),
            ("bob:hunt?hunter2@h/db", "%3F"),
            ("bob@h/db?hunter2", "no ="),
            ("bob@h/db?HUNTER2=hunter", "a parameter is not known"),
        ] {
            let said = says(rest);
            assert!(said.contains(part) && !said.to_lowercase().contains("hunt"), "{rest}: {said}");
            assert!(!said.contains("99999"), "{rest}: {said}");
        }
    }
}
