//! Throwaway.
use placet_core::ids::*;
use placet_core::rows::*;
use placet_core::time::Timestamp;
use placet_store::Store;
use placet_store_sqlite::SqliteStore;
use std::time::{Duration, Instant};

fn row(iid: u64, n: u64) -> InstanceRow {
    InstanceRow {
        iid: Iid(iid),
        hub: Hub::new("default"),
        id: InstanceId::new(format!("{:016x}-{iid}", iid.wrapping_mul(0x9E3779B97F4A7C15))),
        name: "placet.approval".into(),
        status: 0.try_into().unwrap(),
        active: false,
        created_at: Timestamp(1),
        updated_at: Timestamp(n as i64),
        completed_at: None,
        body: vec![n as u8; 250].into(),
    }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let dir = std::path::PathBuf::from(&args[1]);
    let (group, preload, secs): (u64, u64, u64) =
        (args[2].parse().unwrap(), args[3].parse().unwrap(), args[4].parse().unwrap());
    std::fs::create_dir_all(&dir).unwrap();
    let begin = Instant::now();
    let store = SqliteStore::open(&dir.join("placet.db")).unwrap();
    println!("open {:?}", begin.elapsed());
    let claim = store.claim().unwrap();
    let begin = Instant::now();
    let mut iid = claim.iid_max.0;
    while iid < preload {
        let rows: Vec<u64> = (iid + 1..=(iid + 2000).min(preload)).collect();
        iid = *rows.last().unwrap();
        let b = Batch {
            instances_inserted: rows.iter().map(|i| row(*i, 0)).collect(),
            history_appended: rows
                .iter()
                .map(|i| HistoryRow { iid: Iid(*i), turn: Turn(0), count: 2, events: vec![1; 300].into() })
                .collect(),
            ..Batch::default()
        };
        store.commit(&b).unwrap();
    }
    println!("preload {preload} {:?}", begin.elapsed());
    let base = (claim.incarnation as u64) * 1_000_000;
    let (mut turn, mut at) = (base, 0u64);
    let mut times = vec![];
    let mut previous: Vec<(Iid, Seq)> = vec![];
    let mut log_max = 0;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(secs) {
        turn += 1;
        let mut b = Batch { newest: Timestamp(turn as i64), ..Batch::default() };
        b.inbox_deleted = std::mem::take(&mut previous);
        for _ in 0..group {
            at += 1;
            let iid = at.wrapping_mul(7919) % preload + 1;
            b.instances_updated.push((row(iid, turn), false));
            b.history_appended.push(HistoryRow {
                iid: Iid(iid),
                turn: Turn(turn as u32),
                count: 3,
                events: vec![turn as u8; 300].into(),
            });
            b.inbox_put.push(InboxRow { iid: Iid(iid), seq: Seq(turn), data: vec![3; 150].into() });
            previous.push((Iid(iid), Seq(turn)));
        }
        let start = Instant::now();
        store.commit(&b).unwrap();
        times.push(start.elapsed());
        if times.len() % 64 == 0 {
            log_max = log_max.max(std::fs::metadata(dir.join("placet.db-wal")).unwrap().len());
        }
    }
    let total: Duration = times.iter().sum();
    let commits = times.len() as f64;
    times.sort();
    println!(
        "group {group}: {} commits, p50 {:?} p99 {:?} max {:?}; in commit {:.0} turns/s, {:.0} rows/s; log max {} MiB",
        times.len(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
        commits * group as f64 / total.as_secs_f64(),
        commits * 4.0 * group as f64 / total.as_secs_f64(),
        log_max >> 20
    );
    let begin = Instant::now();
    let n = 20_000u64;
    for i in 0..n {
        store.load(&[Lookup::Iid(Iid(i * 7919 % preload + 1))]).unwrap();
    }
    println!("load by iid {:?} each", begin.elapsed() / n as u32);
    let begin = Instant::now();
    for i in 0..n {
        store.load(&[Lookup::Key(row(i * 7919 % preload + 1, 0).key())]).unwrap();
    }
    println!("load by key {:?} each", begin.elapsed() / n as u32);
    let begin = Instant::now();
    for i in 0..n {
        store.history(Iid(i * 7919 % preload + 1), Turn(0), 1 << 20).unwrap();
    }
    println!("history {:?} each", begin.elapsed() / n as u32);
    let begin = Instant::now();
    drop(store);
    println!("close {:?}", begin.elapsed());
}
