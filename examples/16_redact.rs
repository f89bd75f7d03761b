//! What is about to be written down loses its secrets first: they are found by the names that they stand under.

use unattended::redact::{Names, Redact};

fn main() {
    let names = Names::new().and("x-customer-number");
    for (name, value) in [
        ("Authorization", "Bearer eyJhbGciOi"),
        ("X-Customer-Number", "4711"),
        ("Location", "https://example.org/back?code=4%2F0Ab&state=7"),
        ("Accept", "application/json"),
    ] {
        println!("{name}: {}", names.header(name, value));
    }
    println!("{}", names.url("https://ada:s3cr3t@example.org/v1/videos?page=2&api_key=s3cr3t"));
    for body in [
        r#"{"user":"ada","auth":{"access_token":"s3cr3t","expires_in":3600}}"#,
        "grant_type=refresh_token&client_secret=s3cr3t&scope=upload",
        r#"{"token":"cut off in the mid"#,
    ] {
        println!("{}", names.body(body.as_bytes()));
    }
}
