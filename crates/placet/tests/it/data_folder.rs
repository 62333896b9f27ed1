//! What is said of a data folder that cannot be used, and that nothing in it is touched.

use std::fs;
use std::path::Path;

use placet_testkit::{Ended, Launch};

use crate::PLACET;

async fn start_in(folder: &Path) -> Ended {
    let launch = Launch::serve(PLACET).args([Path::new("--data-dir"), folder]);
    launch.run().await.unwrap()
}

/// A data folder as a server leaves it behind, and what is kept alive with it.
async fn left_behind() -> (Launch, std::path::PathBuf) {
    let (_, launch) = crate::server().await.stop_to_restart().await.unwrap();
    let folder = launch.folder().join("placet-data");
    (launch, folder)
}

#[tokio::test]
async fn a_folder_that_another_server_has_is_refused_with_its_process_id() {
    let server = crate::server().await;
    let folder = server.announced().data_dir.clone().unwrap();
    let ended = start_in(&folder).await;
    assert_eq!(ended.code, Some(69));
    assert!(ended.stderr.contains(&format!("pid {}", server.announced().pid)), "{}", ended.stderr);
    assert_snap!(ended.stderr, @r"
    placet: FOLDER/placet-data/placet.db is in use by another process (pid N)
            stop the other server, or give this one its own folder with --data-dir
    ");
    assert_eq!(server.http().get("/readyz").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_refused() {
    let (launch, folder) = left_behind().await;
    // Nobody can write below a file, whoever he is.
    let ended = start_in(&folder.join("placet.db").join("below")).await;
    assert_eq!(ended.code, Some(73));
    assert_snap!(ended.stderr, @r"
    placet: FOLDER/placet-data/placet.db/below cannot be written: Not a directory (os error 20)
            choose a folder that this user can write with --data-dir
    ");
    drop(launch);
}

#[tokio::test]
async fn a_file_that_a_later_version_wrote_is_refused_and_not_touched() {
    let (launch, folder) = left_behind().await;
    let file = folder.join("placet.db");
    let mut bytes = fs::read(&file).unwrap();
    // The header's user version, big-endian (sqlite.org/fileformat.html, §1.3.13).
    bytes[60..64].copy_from_slice(&4_000_u32.to_be_bytes());
    fs::write(&file, &bytes).unwrap();
    let ended = start_in(&folder).await;
    assert_eq!(ended.code, Some(65));
    assert_snap!(ended.stderr, @r"
    placet: FOLDER/placet-data/placet.db has schema version 4000; this binary knows versions up to 10
            start it with the version that wrote it, or a later one
    ");
    assert!(fs::read(&file).unwrap() == bytes, "the file was changed");
    drop(launch);
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_not_touched() {
    let (launch, folder) = left_behind().await;
    let file = folder.join("placet.db");
    let whole = fs::read(&file).unwrap();
    let damages = [("cut off", whole[..whole.len() / 2].to_vec()), ("overwritten", vec![0xA5; whole.len()])];
    for (name, bytes) in damages {
        fs::write(&file, &bytes).unwrap();
        let ended = start_in(&folder).await;
        assert_eq!(ended.code, Some(65), "{name}: {ended:?}");
        assert!(ended.stderr.contains("is damaged: "), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains("put back a backup"), "{name}: {}", ended.stderr);
        assert!(fs::read(&file).unwrap() == bytes, "{name}: the file was changed");
    }
    drop(launch);
}
