//! What a URL says about encryption, and how it is done.

use deadpool_postgres::{Manager, ManagerConfig};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use crate::remember::store::Error;

/// What `url` says, and whether it demands encryption.
///
/// `verify-ca` and `verify-full` are what `require` is here: the certificate and the name in it are always verified. The
/// driver knows only the latter word.
pub(super) fn config_of(url: &str) -> Result<(Config, bool), Error> {
    let mut known = url.to_owned();
    for word in ["verify-full", "verify-ca"] {
        known = known.replace(&format!("sslmode={word}"), "sslmode=require");
    }
    // What the driver says of it may repeat a part of it, and that may be the password.
    let allowed = "postgres://user:password@host:port/database?sslmode=require, or host=… user=… dbname=…";
    let mut config: Config =
        known.parse().map_err(|_| Error::invalid("url", "not one that can be read", allowed))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(Error::invalid("url", "without a host", allowed));
    }
    let demanded = config.get_ssl_mode() == SslMode::Require;
    if !demanded {
        // A server's certificate that nobody can verify, which many have by default, must not stop a plain connection.
        config.ssl_mode(SslMode::Disable);
    }
    Ok((config, demanded))
}

/// Makes connections without TLS, or with the system's certificates where it is demanded.
#[cfg(feature = "postgres-tls")]
pub(super) fn manager(config: Config, recycling: ManagerConfig, demanded: bool) -> Result<Manager, Error> {
    use std::sync::Arc;
    if !demanded {
        return Ok(Manager::from_config(config, NoTls, recycling));
    }
    let refused =
        |found: String, needed: &str| Error::Setting { name: "sslmode", found, needed: needed.to_owned() };
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(refused(
            String::from("no certificates of authorities found"),
            "the system's certificates",
        ));
    }
    // Named, since a program may have another provider of cryptography beside this one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string(), "TLS 1.2 or 1.3"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Manager::from_config(config, tokio_postgres_rustls::MakeRustlsConnect::new(tls), recycling))
}

#[cfg(not(feature = "postgres-tls"))]
pub(super) fn manager(config: Config, recycling: ManagerConfig, demanded: bool) -> Result<Manager, Error> {
    if demanded {
        let (found, needed) =
            (String::from("require"), String::from("the feature postgres-tls of this crate"));
        return Err(Error::Setting { name: "sslmode", found, needed });
    }
    Ok(Manager::from_config(config, NoTls, recycling))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_what_the_url_demands() {
        for (mode, demands) in [
            ("", false),
            ("?sslmode=disable", false),
            ("?sslmode=prefer", false),
            ("?sslmode=require", true),
            ("?sslmode=verify-ca", true),
            ("?sslmode=verify-full", true),
        ] {
            let (config, demanded) = config_of(&format!("postgres://a:b@db.example/c{mode}")).unwrap();
            assert_eq!(demanded, demands, "{mode}");
            assert_eq!(config.get_ssl_mode() == SslMode::Require, demands, "{mode}: never halfway");
        }
        assert!(config_of("postgres://a:b@db.example/c?sslmode=nonsense").is_err());
        assert!(config_of("user=a dbname=c").is_err(), "no host");
    }
}
