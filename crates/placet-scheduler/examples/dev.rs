//! Temporary.
use std::sync::Arc;
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    let store =
        Arc::new(placet_store_sqlite::SqliteStore::open(&std::path::Path::new(&dir).join("placet.db")).unwrap());
    let scheduler = placet_scheduler::Scheduler::start(store).unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rt.block_on(async move {
        let l = tokio::net::TcpListener::bind("127.0.0.1:8080").await.unwrap();
        placet_scheduler::grpc::serve(scheduler, vec![l], std::future::pending()).await.unwrap();
    });
}
