//! What a target is: a program of cargo-fuzz; or, without the fuzzer, one that runs over the files that it is given, such
//! as those that the fuzzer has kept.

#[cfg(feature = "libfuzzer")]
#[doc(hidden)]
pub use libfuzzer_sys;

/// Makes a program of a function that takes bytes.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! target {
    ($function:path) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $function(data));
    };
}

/// Makes a program of a function that takes bytes.
#[cfg(not(feature = "libfuzzer"))]
#[macro_export]
macro_rules! target {
    ($function:path) => {
        fn main() -> std::io::Result<()> {
            std::env::args_os().skip(1).try_for_each(|path| Ok($function(&std::fs::read(path)?)))
        }
    };
}
