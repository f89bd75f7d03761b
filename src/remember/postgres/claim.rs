//! Claims of what needs attention: found, leased and told of in one statement, past what others are just claiming.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::remember::postgres::error::Failed;
use crate::remember::postgres::link::{Link, Param};
use crate::remember::postgres::rows::{self, get};
use crate::remember::postgres::write::{check, lease_ms, told};
use crate::remember::store::{
    Batch, BatchId, ClaimDue, Claimed, Error, Expect, LeaseChange, Order, PAGE_MAX, Put, Write,
};

/// How often a claim is sent whose answer was lost; the later ones take over what an earlier one claimed.
const SENDINGS_MAX: u32 = 3;

pub(super) async fn claim_due(link: &Link, claim: &ClaimDue) -> Result<Vec<Claimed>, Error> {
    let call = Uuid::from_bytes(*BatchId::new().as_bytes());
    let _place = link.place().await?;
    let mut sendings = 1;
    loop {
        match send(link, claim, call, sendings > 1).await {
            Ok(rows) => return claimed(&rows),
            Err(Failed::Open(_)) if sendings < SENDINGS_MAX => sendings += 1,
            Err(failed) => return Err(failed.into_error()),
        }
    }
}

/// Holds the claim to the bounds that a batch of it would have.
pub(super) fn check_claim(claim: &ClaimDue) -> Result<(), Error> {
    let put = Put { owner: claim.owner.clone(), ..Put::claim(&claim.state, claim.lease) };
    check(&Batch::of(Write::new(claim.ns, "claim", Expect::Absent, put)))
}

async fn send(link: &Link, claim: &ClaimDue, call: Uuid, resent: bool) -> Result<Vec<Row>, Failed> {
    let name = match claim.order {
        Order::Rank => "claim_by_rank",
        Order::Oldest => "claim_oldest",
        Order::Newest => "claim_newest",
    };
    let places: Vec<String> = (1..=14).map(|place| format!("${place}")).collect();
    let sql = format!("SELECT * FROM SCHEMA.{name}({})", places.join(", "));
    let any = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let (kinds, states) = (any(&claim.kinds), any(&claim.states));
    let ns = i32::from(claim.ns.number());
    let most = i32::try_from(claim.limit.clamp(1, PAGE_MAX)).unwrap_or(i32::MAX);
    let owner = claim.owner.as_deref().unwrap_or(&link.owner);
    let lease = lease_ms(LeaseChange::For(claim.lease));
    let [actor, due, due_why, orphan, orphan_why] =
        [&claim.actor, &claim.due.0, &claim.due.1, &claim.orphan.0, &claim.orphan.1].map(|text| told(text));
    let params: [Param<'_>; 14] = [
        (&ns, Type::INT4),
        (&kinds, Type::TEXT_ARRAY),
        (&states, Type::TEXT_ARRAY),
        (&most, Type::INT4),
        (&call, Type::UUID),
        (&resent, Type::BOOL),
        (&owner, Type::TEXT),
        (&lease, Type::INT8),
        (&claim.state, Type::TEXT),
        (&actor, Type::TEXT),
        (&due, Type::TEXT),
        (&due_why, Type::TEXT),
        (&orphan, Type::TEXT),
        (&orphan_why, Type::TEXT),
    ];
    link.ask("cannot claim", &link.sql(&sql), &params).await
}

fn claimed(answer: &[Row]) -> Result<Vec<Claimed>, Error> {
    let one = |row: &Row| {
        let (_, record) = rows::record(row, 3, get(row, 2)?)?;
        Ok(Claimed { record, from: get(row, 1)?, orphan: get(row, 0)? })
    };
    let mut claimed = answer.iter().map(one).collect::<Result<Vec<_>, Error>>()?;
    // They were numbered in the order that was asked for; rows come in any.
    claimed.sort_by_key(|one| one.record.version);
    Ok(claimed)
}
