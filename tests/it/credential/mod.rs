//! Credentials under simulated time: when they are refreshed, by how many at once, and what is served meanwhile.

mod alone;
mod faces;
mod random;
mod runs;
mod shared;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::credential::{Builder, Credential, Error, Given, Refusing, Token};
use unattended::fault::{Class, Fault};
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Sleep, Timestamp};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn sim() -> Sim {
    Sim::new(Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000), 7)
}

/// The other side: gives tokens called `token-N`, each refresh needs the one before, and a wrong one is refused.
pub(crate) struct Provider {
    sim: Sim,
    lifetime: Duration,
    pub(crate) takes: Mutex<Duration>,
    /// The class of each answer to come; none means a token.
    pub(crate) answers: Mutex<VecDeque<Option<Class>>>,
    pub(crate) calls: AtomicU32,
    under_way: AtomicU32,
    pub(crate) most_at_once: AtomicU32,
    issued: AtomicU32,
    /// Refreshes that came with another token than the last one: what a rotating provider takes for theft.
    pub(crate) out_of_turn: AtomicU32,
}

impl Provider {
    pub(crate) fn new(sim: &Sim, lifetime: Duration) -> Arc<Self> {
        Arc::new(Self {
            sim: sim.clone(),
            lifetime,
            takes: Mutex::new(Duration::from_secs(1)),
            answers: Mutex::default(),
            calls: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            most_at_once: AtomicU32::new(0),
            issued: AtomicU32::new(0),
            out_of_turn: AtomicU32::new(0),
        })
    }

    pub(crate) fn then(&self, answers: &[Option<Class>]) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(SeqCst)
    }

    pub(crate) async fn refresh(self: Arc<Self>, old: Option<Token<String>>) -> Result<Token<String>, Fault> {
        self.calls.fetch_add(1, SeqCst);
        let at_once = self.under_way.fetch_add(1, SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, SeqCst);
        let asked = self.sim.now().wall;
        let takes = *self.takes.lock().unwrap();
        self.sim.sleep(takes).await;
        self.under_way.fetch_sub(1, SeqCst);
        let answer = self.answers.lock().unwrap().pop_front();
        self.answer(answer.flatten(), old, asked)
    }

    pub(crate) fn answer(
        &self,
        class: Option<Class>,
        old: Option<Token<String>>,
        asked: Timestamp,
    ) -> Result<Token<String>, Fault> {
        if let Some(class) = class {
            return Err(Fault::new(class, "provider.said_no"));
        }
        let last = self.issued.fetch_add(1, SeqCst);
        let given = old.map(|old| old.expose().clone());
        if given != (last > 0).then(|| name(last)) {
            self.out_of_turn.fetch_add(1, SeqCst);
        }
        Ok(Token::lasting(name(last + 1), asked, self.lifetime))
    }
}

pub(crate) fn name(number: u32) -> String {
    format!("token-{number}")
}

pub(crate) fn builder(provider: &Arc<Provider>) -> Builder<String, Fault> {
    let (provider, sim) = (Arc::clone(provider), provider.sim.clone());
    Credential::named("youtube")
        .refresh(move |old: Option<Token<String>>| Arc::clone(&provider).refresh(old))
        .on(sim)
        .seed(1)
}

pub(crate) fn alone(provider: &Arc<Provider>) -> Credential<String> {
    builder(provider).build().unwrap()
}

/// One call, at which time moves as far as it needs.
pub(crate) fn get(sim: &Sim, credential: &Credential<String>) -> Result<Given<String>, Error> {
    sim.block_on(credential.get()).unwrap()
}

pub(crate) fn refusal(result: Result<Given<String>, Error>) -> Refusing {
    match result {
        Err(Error::Refused { why, .. }) => why,
        other => panic!("not refused: {other:?}"),
    }
}
