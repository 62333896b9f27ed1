//! SQLite's side: a VFS that asks the disk first and then the real one (sqlite.org/vfs.html). Each of its files holds
//! the real file behind a head of its own.
#![expect(unsafe_code, reason = "SQLite is C; what each call may rely on is in sqlite3.h at `sqlite3_io_methods`")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_vfs};

use crate::disk::{self, State};
use crate::fault::{Call, Kind};
use crate::trace::Event;

/// The VFS that was the default before this one.
struct Real(*mut sqlite3_vfs);

// SAFETY: a registered VFS may be used by any thread.
unsafe impl Send for Real {}
// SAFETY: the same.
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();

/// A file on a disk: first what SQLite sees of it, then ours; the real file stands behind it.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// A box of ours.
    ours: *mut Ours,
}

struct Ours {
    disk: Arc<State>,
    name: String,
}

/// Where the real file begins, in bytes: aligned as the allocator aligns.
const HEAD: usize = size_of::<File>().next_multiple_of(16);

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without the calls for memory mapping, which the store does not use.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes this the default VFS of the process, once.
pub(crate) fn register() {
    REAL.get_or_init(|| {
        // SAFETY: the real VFS lives as long as the process, and so does ours, which is never freed. All other calls
        // than these two work on the copy as on the original: they use only what is copied.
        unsafe {
            ffi::sqlite3_initialize();
            let real = ffi::sqlite3_vfs_find(std::ptr::null());
            assert!(!real.is_null(), "SQLite has a default VFS");
            let mut ours = *real;
            ours.zName = c"placet-test-disk".as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.szOsFile += c_int::try_from(HEAD).expect("a head is short");
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            let registered = ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
            assert_eq!(registered, ffi::SQLITE_OK, "the VFS is registered");
            Real(real)
        }
    });
}

fn real_vfs() -> *mut sqlite3_vfs {
    REAL.get().expect("files are opened through a registered VFS").0
}

/// The disk and the name of a file that SQLite names.
unsafe fn on_disk(path: *const c_char) -> Option<(Arc<State>, String)> {
    if path.is_null() {
        return None; // a temporary file
    }
    // SAFETY: SQLite's names end with a zero.
    let path = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    disk::find(Path::new(path))
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `file` has as many bytes as our VFS asks for, which are more than the real one needs.
    unsafe {
        let vfs = real_vfs();
        let real_open = (*vfs).xOpen.expect("every VFS opens files");
        let Some((disk, name)) = on_disk(path) else { return real_open(vfs, path, file, flags, out_flags) };
        (*file).pMethods = std::ptr::null();
        let is_new =
            flags & ffi::SQLITE_OPEN_CREATE != 0 && !Path::new(&*CStr::from_ptr(path).to_string_lossy()).exists();
        let inner = real(file);
        (*inner).pMethods = std::ptr::null();
        let code = disk.clone().ask(
            Call::Open,
            &name,
            |_| real_open(vfs, path, inner, flags, out_flags),
            |fails| (is_new && fails.is_none()).then(|| Event::Created(name.clone())),
        );
        if code == ffi::SQLITE_OK {
            (*file.cast::<File>()).ours = Box::into_raw(Box::new(Ours { disk, name }));
            (*file).pMethods = &raw const METHODS;
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, path: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: as SQLite called us.
    unsafe {
        let vfs = real_vfs();
        let real_delete = (*vfs).xDelete.expect("every VFS deletes files");
        let Some((disk, name)) = on_disk(path) else { return real_delete(vfs, path, sync_folder) };
        disk.ask(
            Call::Delete,
            &name,
            |_| real_delete(vfs, path, sync_folder),
            |fails| fails.is_none().then(|| Event::Deleted(name.clone(), sync_folder != 0)),
        )
    }
}

/// The real file behind the head.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: our files are longer than the head.
    unsafe { file.cast::<u8>().add(HEAD).cast() }
}

/// What is ours of an open file.
unsafe fn ours<'a>(file: *mut sqlite3_file) -> &'a Ours {
    // SAFETY: set when it was opened, freed when it is closed.
    unsafe { &*(*file.cast::<File>()).ours }
}

/// Calls the real file's method of this name.
macro_rules! pass {
    ($file:ident, $method:ident $(, $argument:expr)*) => {{
        let inner = real($file);
        let method = (*(*inner).pMethods).$method.expect("the real VFS has this call");
        method(inner $(, $argument)*)
    }};
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once and does not use it then.
    unsafe {
        drop(Box::from_raw((*file.cast::<File>()).ours));
        pass!(file, xClose)
    }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, length: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: as SQLite called us.
    unsafe {
        let Ours { disk, name } = ours(file);
        disk.ask(Call::Read, name, |_| pass!(file, xRead, to, length, at), |_| None)
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, length: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: `from` has `length` bytes.
    unsafe {
        let Ours { disk, name } = ours(file);
        let whole = std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(length).expect("a length"));
        let part = |fails| if fails == Some(Kind::Short) { whole.len() / 2 } else { whole.len() };
        disk.ask(
            Call::Write,
            name,
            |fails| pass!(file, xWrite, from, c_int::try_from(part(fails)).expect("it was one"), at),
            |fails| {
                let is_written = matches!(fails, None | Some(Kind::Short));
                let at = usize::try_from(at).expect("a place in a file");
                is_written.then(|| Event::Written(name.clone(), at, whole[..part(fails)].to_vec()))
            },
        )
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: as SQLite called us.
    unsafe {
        let Ours { disk, name } = ours(file);
        let to = usize::try_from(length).expect("a length");
        disk.ask(
            Call::Truncate,
            name,
            |_| pass!(file, xTruncate, length),
            |fails| fails.is_none().then(|| Event::Truncated(name.clone(), to)),
        )
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as SQLite called us.
    unsafe {
        let Ours { disk, name } = ours(file);
        disk.ask(
            Call::Sync,
            name,
            |_| pass!(file, xSync, flags),
            |fails| {
                let event = if fails.is_some() { Event::SyncFailed } else { Event::Synced };
                Some(event(name.clone()))
            },
        )
    }
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    // SAFETY: as SQLite called us.
    unsafe {
        *to = std::ptr::null_mut();
        let Ours { disk, name } = ours(file);
        disk.ask(Call::ShmMap, name, |_| pass!(file, xShmMap, region, size, extend, to), |_| None)
    }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: as SQLite called us.
    unsafe {
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            // SQLite does not look at what it answers: there is no way for it to fail.
            return pass!(file, xShmLock, offset, count, flags);
        }
        let Ours { disk, name } = ours(file);
        disk.ask(Call::ShmLock, name, |_| pass!(file, xShmLock, offset, count, flags), |_| None)
    }
}

/// Calls that go to the real file and nowhere else.
macro_rules! passed_on {
    ($($name:ident as $method:ident($($argument:ident: $of:ty),*) $(-> $answer:ty)?;)+) => {
        $(unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $of)*) $(-> $answer)? {
            // SAFETY: as SQLite called us.
            unsafe { pass!(file, $method $(, $argument)*) }
        })+
    };
}

passed_on! {
    file_size as xFileSize(size: *mut sqlite3_int64) -> c_int;
    lock as xLock(level: c_int) -> c_int;
    unlock as xUnlock(level: c_int) -> c_int;
    check_reserved_lock as xCheckReservedLock(is_held: *mut c_int) -> c_int;
    file_control as xFileControl(operation: c_int, argument: *mut c_void) -> c_int;
    sector_size as xSectorSize() -> c_int;
    device_characteristics as xDeviceCharacteristics() -> c_int;
    shm_barrier as xShmBarrier();
    shm_unmap as xShmUnmap(delete: c_int) -> c_int;
}
