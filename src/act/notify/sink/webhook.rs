//! An address to which each page is posted.

use std::fmt;
use std::time::Duration;

use crate::act::notify::{Page, Sink, SinkError};
use crate::base::secret::Secret;

/// How long it may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many bytes of an answer that says no are read.
const SAID_MAX: u64 = 300;

/// An address to which each page is posted as JSON; any answer of 2xx is taken for arrived. Redirections are not followed. The address is
/// taken to be a secret, as those of chat services are: nothing but its host is ever shown.
#[derive(Clone)]
pub struct Webhook {
    url: Secret<String>,
    timeout: Duration,
    agent: ureq::Agent,
}

impl Webhook {
    /// Posts to `url`, which has 10 s for a page.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: Secret::new(url.into()), timeout: TIMEOUT, agent: agent(TIMEOUT) }
    }

    /// How long it has for a page; default 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self.agent = agent(timeout);
        self
    }

    /// The scheme and the host: what may be shown.
    fn shown(&self) -> String {
        let url = self.url.expose();
        let Some((scheme, rest)) = url.split_once("://") else { return String::from("the webhook") };
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}")
    }

    fn failed(&self, why: impl fmt::Display) -> SinkError {
        let shown = self.shown();
        let why = why.to_string().replace(self.url.expose().as_str(), &shown);
        SinkError::failed(format_args!("{shown}: {why}"))
    }
}

fn agent(timeout: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false);
    config.build().into()
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.shown()).field("timeout", &self.timeout).finish()
    }
}

impl Sink for Webhook {
    fn send(&self, page: &Page) -> Result<(), SinkError> {
        let body = serde_json::to_vec(page).map_err(SinkError::failed)?;
        let asked = self.agent.post(self.url.expose()).header("Content-Type", "application/json");
        let mut answer = asked.send(&body[..]).map_err(|error| self.failed(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = answer.body_mut().with_config().limit(SAID_MAX).read_to_string().unwrap_or_default();
        Err(self.failed(format_args!("it answers {status}: {}", said.trim())))
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout.saturating_add(Duration::from_secs(2)))
    }
}
