//! What orchestrations have published: placet.v1's GetPublished and ListPublished.

use placet_core::command::Refusal;
use placet_core::ids::Hub;
use placet_proto::placet::v1::{
    AnyTerm, GetPublishedRequest, GetPublishedResponse, ListPublishedRequest, ListPublishedResponse, ListedRow,
    term_match::Match,
};
use placet_store::{Answer, Listed, Listing, Place, Query, TermMatch};
use prost::Message as _;

use crate::scheduler::{CallError, Scheduler, Weighed};

/// Rows of a page if nobody says, and at most.
const ROWS_DEFAULT: usize = 100;
const ROWS_MAX: usize = 1_000;

/// Terms that one question may name: each of them is looked up.
const TERMS_MAX: usize = 2_000;

/// About what a page may have: a store ends it with the row that reaches a mebibyte, and a row may have eight.
const PAGE_BYTES_MAX: usize = 9 << 20;

impl Scheduler {
    /// placet.v1 GetPublished.
    ///
    /// # Errors
    /// If the store cannot be read; if it is to be signed, [`CallError::Key`] if the hub cannot.
    pub async fn published(&self, hub: Hub, request: GetPublishedRequest) -> Result<GetPublishedResponse, CallError> {
        let GetPublishedRequest { kind, key, signed } = request;
        let query = Query::Published { hub: hub.clone(), kind: kind.as_str().into(), key: key.as_str().into() };
        let body = self.read(move |store| match store.query(&query)? {
            Answer::Published(body) => Ok(body),
            _ => Ok(None),
        });
        let body = body.await?;
        let (note, note_key) = match (&body, signed) {
            (Some(body), true) => self.sign_published(&hub, [&kind, &key], body).await?,
            // Whoever asks before there is anything wants to know whether it could be signed.
            (None, true) => (String::new(), self.note_key(&hub).await?),
            (_, false) => Default::default(),
        };
        Ok(GetPublishedResponse { exists: body.is_some(), body: body.unwrap_or_default(), note, note_key })
    }

    /// placet.v1 ListPublished.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`] if it names too many terms, or none, or goes on where no page ended.
    pub async fn list_published(
        &self,
        hub: Hub,
        request: ListPublishedRequest,
    ) -> Result<Weighed<ListPublishedResponse>, CallError> {
        let query = Query::Listing(Box::new(listing_of(hub, request)?));
        let mut share = self.budget().large(PAGE_BYTES_MAX).await.map_err(|_| CallError::Busy)?;
        let page = self.read(move |store| match store.query(&query)? {
            Answer::Listed(page) => Ok(page),
            _ => Ok(Listed::default()),
        });
        let Listed { rows, next } = page.await?;
        let rows = rows.into_iter().map(|row| ListedRow { key: (*row.key).to_owned(), body: row.body });
        let value = ListPublishedResponse { rows: rows.collect(), next: next.map(token_of) };
        let bytes = value.encoded_len();
        share.shrink_to(bytes);
        Ok(Weighed { value, bytes, share: Some(share) })
    }
}

fn listing_of(hub: Hub, request: ListPublishedRequest) -> Result<Listing, Refusal> {
    let invalid = |what: String| Err(Refusal::InvalidArgument(what));
    let named: usize = request.all.iter().map(|any| any.any.len()).sum();
    if named > TERMS_MAX {
        return invalid(format!("all: names {named} terms, {TERMS_MAX} at most are taken"));
    }
    if request.all.is_empty() && request.sort.is_empty() {
        return invalid("all: must name a term, or sort must".to_owned());
    }
    let after = match request.after.as_str() {
        "" => None,
        token => match place_from(token) {
            Some(place) => Some(place),
            None => return invalid("after: not one that this server gave for such a question".to_owned()),
        },
    };
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    Ok(Listing {
        all: request.all.into_iter().map(any_of).collect(),
        sort: (!request.sort.is_empty()).then(|| request.sort.into()),
        descending: request.descending,
        within: request.from.unwrap_or(i64::MIN)..request.before.unwrap_or(i64::MAX),
        after,
        limit: if limit == 0 { ROWS_DEFAULT } else { limit.min(ROWS_MAX) },
        ..Listing::new(hub, request.kind.into())
    })
}

fn any_of(any: AnyTerm) -> Vec<TermMatch> {
    let matches = any.any.into_iter().filter_map(|term| term.r#match);
    let term_match = |term| match term {
        Match::Is(term) => TermMatch::Is(term),
        Match::Starts(beginning) => TermMatch::Starts(beginning),
    };
    matches.map(term_match).collect()
}

fn token_of(Place { order, row }: Place) -> String {
    format!("{order}.{row}")
}

fn place_from(token: &str) -> Option<Place> {
    let (order, row) = token.split_once('.')?;
    Some(Place { order: order.parse().ok()?, row: row.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_where_the_one_before_ended_and_nowhere_else() {
        for place in [Place { order: -7, row: 3 }, Place { order: i64::MAX, row: i64::MIN }] {
            assert_eq!(place_from(&token_of(place)), Some(place));
        }
        for token in ["", "1", "1.", "x.1", "1.2.3"] {
            assert_eq!(place_from(token), None, "{token}");
        }
    }
}
