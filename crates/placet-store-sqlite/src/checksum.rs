//! The checksum that stands in each row: over its payload and its key and whatever else a decision rests on, so
//! that a payload that came to stand in another row is found out, too. A stable format: stored rows depend on it.

use crc32fast::Hasher;
use placet_core::chain::Entry;
use placet_core::ids::{Hub, InstanceId};
use placet_core::rows::{InstanceRow, RecordRow};

/// Of a payload in a row with a key of two numbers.
pub(crate) fn of_row(iid: i64, number: i64, payload: &[u8]) -> i64 {
    Sum::default().number(iid).number(number).bytes(payload).finish()
}

/// Of an instance: over all of its columns, with its hub's name instead of the number that stands for it.
pub(crate) fn of_instance(iid: i64, row: &InstanceRow) -> i64 {
    let InstanceRow { iid: _, hub, id, name, status, active, created_at, updated_at, completed_at, body } = row;
    let sum = Sum::default().number(iid).text(hub.as_str()).text(id.as_str()).text(name);
    let sum = sum.number(i32::from(*status).into()).number((*active).into());
    let sum = sum.number(created_at.0).number(updated_at.0);
    sum.number(completed_at.is_some().into()).number(completed_at.map_or(0, |at| at.0)).bytes(body).finish()
}

/// Of a turn: also over the number of its events.
pub(crate) fn of_turn(iid: i64, turn: u32, count: u32, events: &[u8]) -> i64 {
    Sum::default().number(iid).number(turn.into()).number(count.into()).bytes(events).finish()
}

/// Of a timer, which has no payload: when it is due is what a decision rests on.
pub(crate) fn of_timer(fire_at: i64, iid: i64, seq: i64, part: u8) -> i64 {
    Sum::default().number(fire_at).number(iid).number(seq).number(part.into()).finish()
}

/// Of what became of an ask. The turn came later: rows without one have the checksum that they had.
pub(crate) fn of_reply(iid: i64, ask_id: &str, turn: u32, answer: Option<&str>) -> i64 {
    let sum = Sum::default().number(iid).text(ask_id).number(answer.is_some().into());
    let sum = if turn == 0 { sum } else { sum.number(turn.into()) };
    sum.bytes(answer.unwrap_or_default().as_bytes()).finish()
}

/// Of a published row. The owner and the terms came later: rows without them have the checksum that they had.
pub(crate) fn of_published(
    (hub, kind, key): (&Hub, &str, &str),
    owner: Option<&str>,
    terms: Option<&[u8]>,
    body: &[u8],
) -> i64 {
    let sum = Sum::default().text(hub.as_str()).text(kind).text(key);
    let sum = if let Some(owner) = owner { sum.text(owner) } else { sum };
    let sum = if let Some(terms) = terms { sum.bytes(terms) } else { sum };
    sum.bytes(body).finish()
}

/// Of an entry, and of its text as it is stored: over all that a list of it tells.
pub(crate) fn of_entry(hub: &Hub, Entry { partition, number, link, owner, .. }: &Entry, said: &[u8]) -> i64 {
    let sum = Sum::default().text(hub.as_str()).number(partition.0.into()).bytes(&number.to_le_bytes());
    sum.bytes(link).text(owner.as_str()).bytes(said).finish()
}

/// Of an instance's id, by which its entries are found: such as they are written, and such as earlier versions wrote them.
///
/// An id that begins with a time (UUIDv7, RFC 9562 §5.7) has that before its sum: entries of about the same time lie beside each
/// other in their index, and a commit touches few of its pages.
pub(crate) fn of_owner(owner: &InstanceId) -> OwnerSums {
    const SUM_BITS: u32 = 15;
    let plain = Sum::default().text(owner.as_str()).finish();
    let sum = time_in(owner.as_str()).map_or(plain, |ms| (ms << SUM_BITS) | (plain & ((1 << SUM_BITS) - 1)));
    OwnerSums { sum, plain }
}

/// The sums of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnerSums {
    /// By which new entries are found.
    pub(crate) sum: i64,
    /// By which those of earlier versions are.
    pub(crate) plain: i64,
}

impl OwnerSums {
    /// Each once: what was written earlier comes first.
    pub(crate) fn each(self) -> impl Iterator<Item = i64> {
        [Some(self.plain), (self.sum != self.plain).then_some(self.sum)].into_iter().flatten()
    }
}

/// The milliseconds that an id begins with if it is a UUIDv7, with something behind it or not: 48 bits.
fn time_in(id: &str) -> Option<i64> {
    let uuid = id.get(..36)?;
    let is_one = [8, 13, 18, 23].iter().all(|at| uuid.as_bytes()[*at] == b'-') && uuid.as_bytes()[14] == b'7';
    let digits = [uuid.get(..8)?, uuid.get(9..13)?].concat();
    is_one.then(|| i64::from_str_radix(&digits, 16).ok()).flatten().filter(|ms| *ms >= 0)
}

/// Of a record row: over all of its columns, with its hub's name.
pub(crate) fn of_record(RecordRow { key, version, expires_at, body }: &RecordRow) -> i64 {
    let sum = Sum::default().text(key.hub.as_str()).text(&key.kind).text(&key.key);
    let sum = sum.bytes(&version.to_le_bytes()).number(expires_at.is_some().into());
    sum.number(expires_at.map_or(0, |at| at.0)).bytes(body).finish()
}

/// CRC-32 (the one of zlib and PNG) over parts whose bounds are never in doubt.
#[derive(Default)]
struct Sum(Hasher);

impl Sum {
    fn bytes(mut self, bytes: &[u8]) -> Sum {
        self.0.update(bytes);
        self
    }

    fn number(self, number: i64) -> Sum {
        self.bytes(&number.to_le_bytes())
    }

    fn text(self, text: &str) -> Sum {
        self.bytes(&(text.len() as u64).to_le_bytes()).bytes(text.as_bytes())
    }

    fn finish(self) -> i64 {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use placet_core::chain::{Part, Said};
    use placet_core::ids::{Iid, PartitionId, RecordKey};
    use placet_core::time::Timestamp;

    use super::*;

    #[test]
    fn checksums_stay_the_same_for_ever() {
        let row = InstanceRow {
            iid: Iid(1),
            hub: Hub::new("hub"),
            id: InstanceId::new("id"),
            name: "name".into(),
            status: 3.try_into().unwrap(),
            active: true,
            created_at: Timestamp(4),
            updated_at: Timestamp(-5),
            completed_at: None,
            body: "body".into(),
        };
        let ended = InstanceRow { completed_at: Some(Timestamp(6)), ..row.clone() };
        let record = RecordRow {
            key: RecordKey::new(Hub::new("hub"), "kind", "key"),
            version: 3,
            expires_at: Some(Timestamp(4)),
            body: "body".into(),
        };
        let lasting = RecordRow { expires_at: None, ..record.clone() };
        let entry = Entry {
            partition: PartitionId(3),
            number: 4,
            link: [5; 32],
            owner: InstanceId::new("owner"),
            said: Said::new(vec![Part::Erased([6; 32])]).unwrap(),
        };
        let sums = [
            of_row(1, 2, b"payload"),
            of_instance(1, &row),
            of_instance(1, &ended),
            of_turn(1, 2, 3, b"events"),
            of_timer(-1, 2, 3, 255),
            of_reply(1, "ask", 0, None),
            of_reply(1, "ask", 0, Some("")),
            of_reply(1, "ask", 0, Some("yes")),
            of_reply(1, "ask", 7, Some("yes")),
            of_published((&Hub::new("hub"), "kind", "key"), None, None, b"body"),
            of_published((&Hub::new("hub"), "kind", "key"), Some("owner"), None, b"body"),
            of_published((&Hub::new("hub"), "kind", "key"), None, Some(b"terms"), b"body"),
            of_record(&record),
            of_record(&lasting),
            of_entry(&Hub::new("hub"), &entry, b"said"),
            of_owner(&InstanceId::new("owner")).sum,
            of_owner(&InstanceId::new("01a22db0-4c07-7673-82a2-6a0bfc64807f:permit:1a2b3c4d")).sum,
        ];
        assert_eq!(sums, VECTOR);
    }

    /// Frozen: every stored row would be taken for damaged.
    const VECTOR: [i64; 17] = [
        2_652_228_202,
        4_208_270_286,
        1_888_453_992,
        2_349_909_775,
        1_455_950_322,
        2_243_077_953,
        1_226_352_607,
        18_412_949,
        1_056_144_558,
        4_038_946_753,
        2_788_610_574,
        1_055_251_750,
        3_447_050_612,
        2_870_268_237,
        3_692_848_817,
        454_681_840,
        58_853_387_739_065_883,
    ];
}
