//! Ending a file system as a power cut does: the one place with unsafe code.
//!
//! The kernel's call for it takes a pointer that no safe wrapper covers. It
//! ends whatever file system the given file is on, the machine's own too: the
//! caller proves first that it is a host's disk.
#![expect(unsafe_code, reason = "the ioctl has no safe wrapper; see each SAFETY")]

use std::os::fd::AsFd;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `EXT4_IOC_SHUTDOWN`, the same number as the generic `FS_IOC_SHUTDOWN`.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// Neither data nor the journal is written any more.
const NO_LOG_FLUSH: u32 = 2;

/// Ends the file system of `file` at once: what was not synced is lost, each
/// later access fails. Errors: the system's, such as `ENOTTY` from a file
/// system that does not know the call.
pub(crate) fn without_flush(file: impl AsFd) -> std::io::Result<()> {
    // SAFETY: the opcode is the kernel's for a pointer to one u32 that is read.
    let call = unsafe { Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH) };
    // SAFETY: the call above is described truly, and the u32 lives until it returns.
    unsafe { ioctl(file, call) }?;
    Ok(())
}
