//! `status`: how everything stands.

mod form;
mod gather;
mod human;

use crate::operate::cli::failure::{Exit, Stop};
use crate::operate::cli::session::{Need, Session};

/// What `status` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Status {}

pub(super) fn status(session: &mut Session<'_, '_>, _asked: Status) -> Result<Exit, Stop> {
    let config = session.config_or_none()?;
    let store = session.store(Need::Read)?;
    let answer = gather::all(session, &store, &config)?;
    let exit = if answer.is_well() { Exit::Done } else { Exit::Failed };
    if session.json() {
        session.object(&answer)?;
    } else {
        human::tell(session, &answer)?;
    }
    Ok(exit)
}
