//! `placet resume`: lets a suspended instance go on.

use super::call_about;
use crate::exit::Failure;
use crate::flags::Instance;

pub(super) fn run(of: &Instance) -> Result<(), Failure> {
    call_about(of, async |client| client.resume(&of.id, "").await)
}
