//! Stores around another one, for tests: what they do not meddle with goes straight to the one inside.

/// Calls of a [`Store`](unattended::store::Store) that are those of the store in a field:
/// `forward!(caps owner events => (inner));`.
macro_rules! forward {
    ($($call:ident)+ => $inner:tt) => { $( $crate::forward::forward!(@$call $inner); )+ };
    (@caps ($($inner:tt)+)) => {
        fn caps(&self) -> ::unattended::store::Caps {
            self.$($inner)+.caps()
        }
    };
    (@owner ($($inner:tt)+)) => {
        fn owner(&self) -> &str {
            self.$($inner)+.owner()
        }
    };
    (@apply ($($inner:tt)+)) => {
        fn apply(
            &self,
            batch: ::unattended::store::Batch,
        ) -> ::unattended::time::BoxFuture<
            '_,
            Result<::unattended::store::Applied, ::unattended::store::ApplyError>,
        > {
            self.$($inner)+.apply(batch)
        }
    };
    (@get ($($inner:tt)+)) => {
        fn get<'a>(
            &'a self,
            ns: ::unattended::store::Ns,
            key: &'a str,
        ) -> ::unattended::time::BoxFuture<
            'a,
            Result<Option<::unattended::store::Record>, ::unattended::store::Error>,
        > {
            self.$($inner)+.get(ns, key)
        }
    };
    (@scan ($($inner:tt)+)) => {
        fn scan(
            &self,
            query: ::unattended::store::Query,
        ) -> ::unattended::time::BoxFuture<'_, Result<::unattended::store::Page, ::unattended::store::Error>>
        {
            self.$($inner)+.scan(query)
        }
    };
    (@events ($($inner:tt)+)) => {
        fn events<'a>(
            &'a self,
            ns: ::unattended::store::Ns,
            key: &'a str,
            after: u64,
            limit: u32,
        ) -> ::unattended::time::BoxFuture<
            'a,
            Result<Vec<::unattended::store::StoredEvent>, ::unattended::store::Error>,
        > {
            self.$($inner)+.events(ns, key, after, limit)
        }
    };
    (@prune ($($inner:tt)+)) => {
        fn prune(
            &self,
            prune: ::unattended::store::Prune,
        ) -> ::unattended::time::BoxFuture<'_, Result<u64, ::unattended::store::Error>> {
            self.$($inner)+.prune(prune)
        }
    };
    (@claim_due ($($inner:tt)+)) => {
        fn claim_due(
            &self,
            claim: ::unattended::store::ClaimDue,
        ) -> ::unattended::time::BoxFuture<
            '_,
            Result<Vec<::unattended::store::Claimed>, ::unattended::store::Error>,
        > {
            self.$($inner)+.claim_due(claim)
        }
    };
}

pub(crate) use forward;
